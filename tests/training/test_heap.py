"""Freed memory is kept inside, on large pages, and given back afterwards."""

from __future__ import annotations

import ctypes
import re
import resource
from pathlib import Path

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


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the system has no large pages"
)
def test_kept_memory_lies_on_large_pages() -> None:
    with freed_memory_kept():
        tensor = torch.empty(2**28)  # never filled; larger than any gap that earlier tests left
        middle = tensor[2**27 :]  # its first page may be shared with others
        assert "hg" in _flags(middle.data_ptr())
        held = _resident()
    del tensor, middle
    afterwards = torch.empty(2**28)
    assert "hg" not in _flags(afterwards.data_ptr())
    assert held < 2**31, "address space is asked for, not memory"


def _flags(address: int) -> list[str]:
    """What the system knows of the mapping that an address is in."""
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError("the address is in no mapping")


def _resident() -> int:
    """Bytes of memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        """A library without glibc's functions."""

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Other())
    with freed_memory_kept():
        assert float(torch.ones(3).sum()) == 3.0
