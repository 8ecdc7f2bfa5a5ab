"""Shard functions that fail in the ways shards fail; light to import, for workers to start soon."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from llamakit.errors import InputError


def square(number: int) -> dict[str, int]:
    """A shard that works."""
    return {"square": number * number, "pid": os.getpid()}


def slow_square(number: int) -> dict[str, int]:
    """A shard that takes a while."""
    time.sleep(0.2)
    return square(number)


def where(number: int) -> dict[str, str]:
    """Where a shard was worked on: the node's id in Ray, the folder, the threads of polars."""
    import ray

    time.sleep(0.3)
    return {
        "node": ray.get_runtime_context().get_node_id(),
        "folder": os.getcwd(),
        "threads": os.environ["POLARS_MAX_THREADS"],
    }


def threads(number: int) -> dict[str, int]:
    """How many threads polars has in the worker."""
    import polars as pl

    return {"threads": pl.thread_pool_size()}


def fail_on_three(number: int) -> dict[str, int]:
    """A shard with a broken input."""
    if number == 3:
        raise InputError("three", where="here", fix="Leave it out.")
    return {"number": number}


def die_on_three(number: int) -> dict[str, int]:
    """A shard that always kills its worker."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": number}


@dataclass(frozen=True)
class Mortal:
    """A shard whose worker is killed the first time, as by an operator or the kernel."""

    number: int
    grave: Path

    def __call__(self) -> int:
        """The number, from the second call on."""
        if self.number % 3 == 0 and not self.grave.exists():
            self.grave.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.number


def die_once(shard: Mortal) -> dict[str, int]:
    """Works the second time."""
    return {"number": shard()}
