"""The processes that `torchrun` started for one command: how they meet, agree and fail as one.

Two channels: torch's process group carries tensors, and the key-value store that all of them reach
carries what is said in words (JSON): what the first process decided, and who failed of what.
"""

from __future__ import annotations

import json
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from llamakit.engine.ranks import Ranks
from llamakit.errors import FellowError, LlamakitError, Stopped

_POLL_S = 0.05
# Time for a failure that all processes have in common to be the first process's.
_GRACE_S = 1.0
# Time for the others to hear the last word before the process that may hold the store is gone.
_FAREWELL_S = 10.0
# One process may be busy alone for long: reading data, writing the model.
_TIMEOUT = timedelta(hours=2)

# What gloo, NCCL and the store say when the other end of a connection is gone.
_BROKEN = re.compile(
    r"connection (was )?(closed|reset|refused|aborted)|broken pipe|remote process exited"
    r"|(failed to|unable to) (recv|send)",
    re.IGNORECASE,
)

Explain = Callable[[BaseException], tuple[str, int]]


class Team:
    """This process among the others; made by `joined`."""

    def __init__(self, ranks: Ranks, store: Store) -> None:
        self.ranks = ranks
        self._store = store
        self._told = 0

    def tell(self, order: dict[str, Any]) -> None:
        """Say something to all others; only the first process does."""
        self._store.set(f"order-{self._told}", json.dumps(order))
        self._told += 1

    def hear(self) -> dict[str, Any]:
        """The next thing the first process says, waited for without limit.

        Raises:
            FellowError: a process failed instead.
        """
        key = f"order-{self._told}"
        while not self._store.check([key]):
            if failure := self._failure():
                raise self._fellow(failure)
            time.sleep(_POLL_S)
        self._told += 1
        order: dict[str, Any] = json.loads(self._store.get(key))
        return order

    @contextmanager
    def as_one(self, explain: Explain) -> Iterator[None]:
        """What fails in the block on one process ends all, and one of them says why.

        Args:
            explain: the paragraph and the exit code of an exception.

        Raises:
            FellowError: another process was first to fail.
        """
        try:
            yield
            self._part()
        except FellowError:
            raise
        except Stopped as stopped:
            # All were asked, or will be: the first process tells.
            self._first(*explain(stopped))
            if self.ranks.leads:
                raise
            raise FellowError("", stopped.exit_code) from None
        except Exception as error:
            own = _in_words(error)
            if failure := self._first(*explain(own)):
                raise self._fellow(failure) from None
            if own is not error:
                raise own from error
            raise

    def _first(self, text: str, code: int) -> dict[str, Any] | None:
        """Put this process's failure on record, unless another was first: then hand that back."""
        mine = {"rank": self.ranks.rank, "host": platform.node(), "text": text, "code": code}
        with suppress(RuntimeError):  # the store may be gone with the process that held it
            until = time.monotonic() + (0 if self.ranks.leads else _GRACE_S)
            while time.monotonic() < until and not self._store.check(["failed"]):
                time.sleep(_POLL_S)
            first = json.loads(self._store.compare_set("failed", "", json.dumps(mine)))
            return None if first["rank"] == self.ranks.rank else first
        return None

    def _failure(self) -> dict[str, Any] | None:
        if not self._store.check(["failed"]):
            return None
        failure: dict[str, Any] = json.loads(self._store.get("failed"))
        return failure

    def _fellow(self, failure: dict[str, Any]) -> FellowError:
        where = f"rank {failure['rank']} on {failure['host']}"
        # A process that failed has said so on its own machine; one that was stopped has not.
        said = failure["host"] == platform.node() and failure["code"] < 128
        return FellowError("" if said else f"{where}: {failure['text']}", failure["code"])

    def _part(self) -> None:
        """Leave together: the process that holds the store leaves last."""
        self._store.add("left", 1)
        until = time.monotonic() + _FAREWELL_S
        while self.ranks.leads and self._store.add("left", 0) < self.ranks.world:
            if time.monotonic() > until:
                return
            time.sleep(_POLL_S)


@contextmanager
def joined(ranks: Ranks, explain: Explain) -> Iterator[Team]:
    """Meet the other processes; in the block torch's process group exists.

    A process with a GPU of its own is bound to it (`LOCAL_RANK`): "cuda" means that one from here
    on.
    """
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(ranks.local_rank % torch.cuda.device_count())
    store, _, _ = next(rendezvous("env://", ranks.rank, ranks.world))
    team = Team(ranks, PrefixStore("words", store))
    with team.as_one(explain):
        dist.init_process_group(
            backend,
            store=PrefixStore("tensors", store),
            rank=ranks.rank,
            world_size=ranks.world,
            timeout=_TIMEOUT,
        )
        yield team
    dist.destroy_process_group()


def _in_words(error: BaseException) -> BaseException:
    """A broken connection is another process's end; what the libraries say of it tells nobody."""
    broken = isinstance(error, RuntimeError) and _BROKEN.search(str(error))
    if not (broken or isinstance(error, dist.DistNetworkError)):
        return error
    return LlamakitError(
        "another process of this run ended without a word",
        fix="Its own output, or the system's log (was memory short?), may tell why. The same "
        "command continues from the last checkpoint.",
    )
