"""Freed memory is kept inside, and given back afterwards."""

from __future__ import annotations

import ctypes
import resource

import pytest
import torch

from llamakit.training.heap import freed_memory_kept

_NUMBERS = 12 * 2**20
"""Of fp32, 48 MB: glibc maps it afresh each time."""


def _pages_cleared() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(_NUMBERS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_tensors_take_the_pages_of_earlier_ones() -> None:
    fresh = _pages_cleared()
    with freed_memory_kept():
        torch.ones(2 * _NUMBERS)
        kept = _pages_cleared()
    assert kept < fresh / 10
    assert _pages_cleared() > fresh / 2


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A library without glibc's functions."""

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Other())
    with freed_memory_kept():
        assert float(torch.ones(3).sum()) == 3.0
