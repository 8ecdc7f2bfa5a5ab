"""The metrics log: one JSON object a line, the truth that plots and trackers read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from llamakit.artifacts.files import atomic_file


class MetricsLog:
    """Appends rows to a `metrics.jsonl`; use it as a context manager.

    Opening it at step N drops rows of later steps and a line that a crash cut short, so a resumed
    run leaves the log that an uninterrupted one would have.
    """

    def __init__(self, path: Path | None, step: int = 0) -> None:
        """`path` None keeps nothing: another process does."""
        self.kept: list[dict[str, Any]] = []
        """The rows that were there."""
        self._file: TextIO | None = None
        if path is None:
            return
        if path.exists():
            self.kept = [row for row in read_metrics(path) if row["step"] <= step]
        with atomic_file(path) as temporary:
            temporary.write_text("".join(map(_line, self.kept)), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row, which must have a `step`, and hand it to the system at once."""
        if self._file is not None:
            self._file.write(_line(row))
            self._file.flush()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics log in order; lines that are no JSON (cut by a crash) are left out."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"
