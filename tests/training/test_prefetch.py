"""Batches read ahead: in order, out of order, and what goes wrong while reading."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest
import torch

from llamakit.training.prefetch import Prefetch
from tests.training.small import RandomRows, Rows


@dataclass(frozen=True)
class Recording(RandomRows):
    """Batches that remember which were read, by which thread, and take their time."""

    read: list[tuple[int, str]] = field(default_factory=list)
    held: threading.Event | None = None
    broken: int = -1

    def batch(self, step: int) -> list[Rows]:
        self.read.append((step, threading.current_thread().name))
        if step == self.broken:
            raise OSError("the disk is gone")
        if self.held is not None and step > 0:
            self.held.wait()
        return super().batch(step)

    def steps(self) -> list[int]:
        return [step for step, _ in self.read]


def equal(a: list[Rows], b: list[Rows]) -> bool:
    return all(torch.equal(x.x_BD, y.x_BD) for x, y in zip(a, b, strict=True))


def test_each_step_is_read_once_ahead_and_in_a_thread() -> None:
    batches = Recording()
    with Prefetch(batches, end=5, pin=False) as ahead:
        for step in range(5):
            found, _ = ahead.take(step)
            assert equal(list(found), RandomRows().batch(step))
    assert batches.steps() == [0, 1, 2, 3, 4]  # nothing past the end
    assert all(name.startswith("batches") for _, name in batches.read)


def test_the_next_is_read_while_the_last_is_worked_on() -> None:
    batches = Recording(held=threading.Event())
    assert batches.held is not None
    with Prefetch(batches, end=9, pin=False) as ahead:
        ahead.take(0)
        while batches.steps() != [0, 1]:  # read though nobody has asked for it
            time.sleep(0.001)
        threading.Timer(0.1, batches.held.set).start()
        _, waited = ahead.take(1)
    assert waited > 0.05


def test_a_step_out_of_order_is_right_too() -> None:
    with Prefetch(Recording(), end=99, pin=False) as ahead:
        for step in (3, 4, 9, 2, 2, 98):
            assert equal(list(ahead.take(step)[0]), RandomRows().batch(step))


def test_what_goes_wrong_is_raised_when_that_step_is_asked_for() -> None:
    with Prefetch(Recording(broken=2), end=9, pin=False) as ahead:
        ahead.take(0)
        ahead.take(1)
        time.sleep(0.05)  # it has failed by now
        with pytest.raises(OSError, match="the disk is gone"):
            ahead.take(2)


def test_the_thread_ends_with_the_block() -> None:
    def mine() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name.startswith("batches")]

    def stopped() -> None:
        with Prefetch(Recording(), end=9, pin=False) as ahead:
            ahead.take(0)
            assert mine()
            raise KeyError

    with pytest.raises(KeyError):
        stopped()
    assert not mine()
