"""Make one stage of the micro pipeline in a process of its own, and die on request.

    python worker.py STORE STAGE NAME [KILL_AT]

Prints the version's reference, its digest and the number of progress events. With KILL_AT the
process kills itself with SIGKILL at that event: half-way, wherever the machine's speed puts it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from llamakit.artifacts.store import Store
from llamakit.events import Events, Figure, Task
from llamakit.pipeline.plan import bind
from llamakit.pipeline.spec import read_pipeline
from llamakit.stages.produce import produce

MICRO = Path(__file__).with_name("micro.toml")


class Counting(Events):
    """Counts progress events, and kills the process at one of them."""

    def __init__(self, kill_at: int | None) -> None:
        super().__init__()
        self.seen = 0
        self.kill_at = kill_at
        self.notes: list[str] = []

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        return _CountingTask(self, label, total, unit)

    def note(self, text: str) -> None:
        self.notes.append(text)


class _CountingTask(Task):
    def __init__(self, events: Counting, label: str, total: int | None, unit: str) -> None:
        super().__init__(label, total, unit)
        self.events = events

    def advance(self, n: int = 1, **figures: Figure) -> None:
        super().advance(n)
        self.events.seen += 1
        if self.events.seen == self.events.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Read the arguments, make the stage, print what came of it."""
    root, stage, name = sys.argv[1:4]
    kill_at = int(sys.argv[4]) if len(sys.argv) > 4 else None
    store, spec, events = Store(root), read_pipeline(MICRO), Counting(kill_at)
    stage_spec = next(each for each in spec.stages if each.name == stage)
    made = produce(bind(spec, stage_spec, store, {}, []), store, name=name, events=events)
    answer = {
        "reference": made.version.reference,
        "digest": made.version.digest,
        "events": events.seen,
        "notes": events.notes,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
