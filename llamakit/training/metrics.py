"""The metrics log: one JSON object a line, the truth that plots and trackers read."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from llamakit.artifacts.files import atomic_file

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"
"""Texts through training, rows of the same log (`samples.py`)."""


class MetricsLog:
    """Appends rows to a `metrics.jsonl`; use it as a context manager.

    Opening it at step N drops rows of later steps and a line that a crash cut short, so a resumed
    run leaves the log that an uninterrupted one would have. While the disk is full, rows wait in
    memory: a log is no reason to end a run.
    """

    def __init__(self, path: Path | None, step: int = 0) -> None:
        """`path` None keeps nothing: another process does."""
        self.kept: list[dict[str, Any]] = []
        """The rows that were there."""
        self._file: FileIO | None = None
        self._unwritten = b""
        if path is None:
            return
        if path.exists():
            self.kept = [row for row in read_metrics(path) if row["step"] <= step]
        with atomic_file(path) as temporary:
            temporary.write_text("".join(map(_line, self.kept)), encoding="utf-8")
        self._file = path.open("ab", buffering=0)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row, which must have a `step`, and hand it to the system at once."""
        if self._file is None:
            return
        self._unwritten += _line(row).encode("utf-8")
        try:
            self._write()
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise

    def _write(self) -> None:
        while self._file is not None and self._unwritten:
            written = self._file.write(self._unwritten)  # perhaps only a part
            self._unwritten = self._unwritten[written:]

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._write()
        except OSError:
            if error is None:
                raise
        finally:
            self.close()


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
