"""Windows of bytes that stood earlier in the corpus, found exactly and in bounded memory.

    anchors     windows of half the length, at every multiple of it: any window of the whole length
                holds one, whatever its place
    search      anchors whose bytes stand at another place too: those of several anchors, and those
                that a rolling hash meets at a place that is none
    windows     the windows of whole length that hold a repeated anchor, with their hashes
    firsts      for each the first place with its hash, if it ended before the window begins

Every step takes one stretch of the text or one range of hashes. A place is a byte of all texts one
after another (`flat.py`); windows lie within one document. Hashes are of 63 bits, and what is found
is not yet compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates import rolling
from llamakit.corpus.duplicates.flat import Flat
from llamakit.corpus.duplicates.sketches import save_array

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

WINDOW = np.dtype([("key", np.uint64), ("place", np.int64)])
"""A window of whole length: its hash, and where it begins."""
REPEATED = np.dtype([("place", np.int64), ("first", np.int64)])
"""A window that repeats, and the first place with its hash."""

_STRETCH_BYTES = 8 * 2**20
_KEYS_AT_ONCE = 8_000_000
_LETTERS = np.random.default_rng(0).integers(1, 2**63, 256, np.uint64) | np.uint64(1)


@dataclass(frozen=True)
class Stretch:
    """Documents from `start` to `stop`, and the bytes of a window."""

    flat: Flat
    start: int
    stop: int
    length: int

    def read(self) -> tuple[U8, I64, int]:
        """Their bytes, where each begins in them, and the place of the first."""
        places = np.array(self.flat.offsets()[self.start : self.stop + 1])
        begin, end = int(places[0]), int(places[-1])
        return self.flat.data()[begin:end], places - begin, begin


@dataclass(frozen=True)
class Anchors:
    """Write the keys of a stretch's anchors to `out`, ascending."""

    stretch: Stretch
    out: Path


@dataclass(frozen=True)
class Table:
    """Bring the keys in some files, each ascending, together: those in range `index` of `ranges`
    as a hash table, and those that stood there more than once."""

    files: tuple[Path, ...]
    index: int
    ranges: int
    table: Path
    twice: Path


@dataclass(frozen=True)
class Search:
    """Write to `out` the keys in `tables` that are met in a stretch at places that are no
    anchors."""

    stretch: Stretch
    tables: tuple[Path, ...]
    out: Path


@dataclass(frozen=True)
class Windows:
    """Write to `out` the windows of a stretch that hold a key in `tables`, by key and place."""

    stretch: Stretch
    tables: tuple[Path, ...]
    out: Path


@dataclass(frozen=True)
class Firsts:
    """Find the first of each window in range `index` of `ranges` of the keys; those that are
    later, and do not overlap it, go to `out` by place."""

    files: tuple[Path, ...]
    index: int
    ranges: int
    length: int
    out: Path


def stretches(flat: Flat, length: int) -> list[Stretch]:
    """The texts, some megabytes of whole documents at a time."""
    offsets = flat.offsets()
    starts = [0]
    while starts[-1] < len(offsets) - 1:
        end = offsets[starts[-1]] + _STRETCH_BYTES
        starts.append(max(starts[-1] + 1, int(np.searchsorted(offsets, end, "right")) - 1))
    return [Stretch(flat, start, stop, length) for start, stop in pairwise(starts)]


def ranges_for(files: Sequence[Path]) -> int:
    """In how many ranges to take the keys of some files."""
    total = sum(len(np.load(path, mmap_mode="r")) for path in files)
    return -(-total // _KEYS_AT_ONCE) or 1


def find_anchors(task: Anchors) -> dict[str, Any]:
    """Returns how many there are."""
    data, offsets, _ = task.stretch.read()
    out = np.empty(len(data) // (task.stretch.length // 2) + 1, np.uint64)
    count = rolling.anchor_keys(data, offsets, task.stretch.length, _LETTERS, out)
    save_array(task.out, np.sort(out[:count]))
    return {"anchors": count}


def make_table(task: Table) -> dict[str, Any]:
    """Returns how many distinct keys are in the table."""
    limits = _limits(task.index, task.ranges)
    pieces = [_within(np.load(path, mmap_mode="r"), limits) for path in task.files]
    keys, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *pieces]), return_counts=True)
    table = np.zeros(1 << (2 * len(keys)).bit_length(), np.uint64)
    rolling.fill(keys, table)
    save_array(task.twice, keys[counts > 1])
    save_array(task.table, table)
    return {"keys": len(keys)}


def search(task: Search) -> dict[str, Any]:
    """Returns how many keys were met."""
    met, _ = _met(task.stretch, task.tables)
    save_array(task.out, met)
    return {"keys": len(met)}


def find_windows(task: Windows) -> dict[str, Any]:
    """Returns how many there are."""
    data, offsets, begin = task.stretch.read()
    _, marks = _met(task.stretch, task.tables)
    keys, places = np.empty(len(data), np.uint64), np.empty(len(data), np.int64)
    length = task.stretch.length
    count = rolling.window_keys(data, offsets, length, _LETTERS, marks, keys, places)
    order = np.argsort(keys[:count], kind="stable")
    found = np.zeros(count, WINDOW)
    found["key"], found["place"] = keys[order], places[order] + begin
    save_array(task.out, found)
    return {"windows": count}


def find_firsts(task: Firsts) -> dict[str, Any]:
    """Returns how many windows repeat."""
    limits = _limits(task.index, task.ranges)
    pieces = [np.zeros(0, WINDOW)]
    for path in task.files:
        whole = np.load(path, mmap_mode="r")
        start = np.searchsorted(whole["key"], limits[0])
        pieces.append(np.asarray(whole[start : np.searchsorted(whole["key"], limits[1], "right")]))
    windows = np.concatenate(pieces)
    # The files come in order of their places, so that equal keys stay in it.
    windows = windows[np.argsort(windows["key"], kind="stable")]
    _, starts, counts = np.unique(windows["key"], return_index=True, return_counts=True)
    first = np.repeat(windows["place"][starts], counts)
    later = windows["place"] - first >= task.length
    found = np.zeros(int(later.sum()), REPEATED)
    found["place"], found["first"] = windows["place"][later], first[later]
    save_array(task.out, found[np.argsort(found["place"])])
    return {"repeated": len(found)}


def confirmed(flat: Flat, files: Sequence[Path], start: int, stop: int, length: int) -> Any:
    """The repeated windows at places from `start` to `stop`, ascending, those whose bytes are
    indeed those at their first place: of REPEATED."""
    pieces = [np.zeros(0, REPEATED)]
    for path in files:
        whole = np.load(path, mmap_mode="r")
        low, high = np.searchsorted(whole["place"], [start, stop])
        pieces.append(np.asarray(whole[low:high]))
    found = np.concatenate(pieces)
    found = found[np.argsort(found["place"])]
    same = np.zeros(len(found), np.uint8)
    places, firsts = (np.ascontiguousarray(found[name]) for name in ("place", "first"))
    rolling.confirm(flat.data(), length, places, firsts, same)
    return found[same == 1]


def _met(stretch: Stretch, tables: Sequence[Path]) -> tuple[U64, U8]:
    """The keys met at places that are no anchors, ascending, and at which places any was met."""
    data, offsets, _ = stretch.read()
    marks = np.zeros(len(data), np.uint8)
    met = [np.zeros(0, np.uint64)]
    for index, path in enumerate(tables):
        table = np.load(path, mmap_mode="r")
        elsewhere = np.zeros(len(table), np.uint8)
        limits = _limits(index, len(tables))
        rolling.look_up(data, offsets, stretch.length, _LETTERS, limits, table, elsewhere, marks)
        met.append(np.sort(table[elsewhere == 1]))
    return np.concatenate(met), marks


def _limits(index: int, ranges: int) -> U64:
    """The first and the last key of a range."""
    return np.array([2**64 * index // ranges, 2**64 * (index + 1) // ranges - 1], dtype=np.uint64)


def _within(keys: U64, limits: U64) -> U64:
    start = np.searchsorted(keys, limits[0])
    return np.asarray(keys[start : np.searchsorted(keys, limits[1], "right")])
