"""What an engine is given to do, and how often it may lose a worker over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from llamakit.errors import LlamakitError

S = TypeVar("S")

ATTEMPTS = 3
"""Workers that may die on one shard. A killed worker is replaced; a shard that needs more memory
than there is would kill for ever."""

_SHOWN = 200

THREAD_VARIABLES = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")
"""Read by the libraries as they load; n workers would else start n threads each."""


@dataclass
class Work(Generic[S]):
    """Call `function` on the shards numbered in `todo`, and `finish` with each result.

    `done` is a folder on the store, `warn` tells of what did not stop the run.
    """

    function: Callable[[S], dict[str, Any]]
    shards: Sequence[S]
    todo: list[int]
    done: Path
    label: str
    finish: Callable[[int, dict[str, Any]], None]
    warn: Callable[[str], None]
    deaths: Counter[int] = field(default_factory=Counter)
    """Workers that died while they had the shard."""

    def died(self, index: int) -> None:
        """Count a worker that died with shard `index`.

        Raises:
            LlamakitError: it was the last one the shard is given.
        """
        self.deaths[index] += 1
        if self.deaths[index] >= ATTEMPTS:
            shown = str(self.shards[index])
            shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
            raise LlamakitError(
                f"a worker process died {ATTEMPTS} times on the same shard, each time killed or "
                "out of memory",
                where=f"{self.label}, shard {index} of {len(self.shards)}: {shown}",
                fix="It needs more memory than there is, or smaller parts. Run again to continue: "
                "finished shards are kept.",
            )
