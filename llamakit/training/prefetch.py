"""Batches read one step ahead, in a thread, so that training does not wait for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from llamakit.training.micro_batch import MicroBatch

B = TypeVar("B", bound=MicroBatch)
B_co = TypeVar("B_co", bound=MicroBatch, covariant=True)


class Batches(Protocol[B_co]):
    """Training data: `batch(step)` gives a step's micro-batches and depends on nothing else, so
    the step is all that a checkpoint has to hold of where the data stands.
    """

    def batch(self, step: int) -> Sequence[B_co]:
        """The micro-batches of `step` (0 is the first)."""
        ...

    def ids(self, step: int) -> list[str]:
        """The ids of the texts that the batch of `step` is made of, on all processes."""
        ...


class Prefetch(Generic[B]):
    """The batches of steps in order; use it as a context manager.

    Args:
        end: the step before which to stop reading ahead.
        pin: put batches into pinned memory, for a GPU.
    """

    def __init__(self, batches: Batches[B], *, end: int, pin: bool) -> None:
        self._batches = batches
        self._end = end
        self._pin = pin
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead: tuple[int, Future[Sequence[B]]] | None = None

    def take(self, step: int) -> tuple[Sequence[B], float]:
        """The micro-batches of `step`, and the seconds they were waited for.

        What reading raised is raised here. The step after this one is read meanwhile; a step out of
        order is read when it is asked for.
        """
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._pool.submit(self._read, step))
        started = time.perf_counter()
        found = self._ahead[1].result()
        waited = time.perf_counter() - started
        following = step + 1
        self._ahead = (
            (following, self._pool.submit(self._read, following)) if following < self._end else None
        )
        return found, waited

    def _read(self, step: int) -> Sequence[B]:
        batch = self._batches.batch(step)
        return [micro.pinned() for micro in batch] if self._pin else batch

    def __enter__(self) -> Prefetch[B]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
