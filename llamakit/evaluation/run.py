"""Every part measured on every model, each result kept as soon as it is there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llamakit.artifacts.files import write_json
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.results import PartResult


@dataclass(frozen=True)
class Part:
    """One measurement to make of every model."""

    name: str
    measure: Callable[[Candidate], PartResult]


def evaluate(
    models: Mapping[str, Callable[[], Candidate]],
    parts: Sequence[Part],
    *,
    done: Path,
    timed: Callable[[str, str, float], None],
) -> list[PartResult]:
    """Measure all parts on each model in turn, so that one model is in memory at a time.

    A result in the folder `done` is taken from there: a run that was killed continues with the
    first part it had not finished, and opens no model that is done. `timed` is told the model, the
    part and the seconds of each part measured now.
    """
    results = []
    for number, (name, opened) in enumerate(models.items()):
        candidate: Candidate | None = None
        for index, part in enumerate(parts):
            path = done / f"{number:03d}-{index:03d}.json"
            if not path.exists():
                candidate = candidate or opened()
                started = time.monotonic()
                write_json(path, part.measure(candidate).to_json())
                timed(name, part.name, time.monotonic() - started)
            # Fresh results are read back too, so that a resumed run has the very same numbers.
            results.append(PartResult.from_json(json.loads(path.read_text(encoding="utf-8"))))
    return results
