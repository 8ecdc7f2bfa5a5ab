"""Ids that are unique over all shards: a second `x` becomes `x~2`, wherever it stands.

Ids are known by 64-bit keys, on disk; a bucket of keys is in memory at a time. Two ids that share
a key by chance (one pair in 2^64) only make one of them be renamed for nothing.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from llamakit.artifacts.files import write_array

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_BUCKET_ROWS = 4_000_000
_SHARE_SEED = 1  # not the hash of the keys, by which rows may be ordered elsewhere
_NUMBERED = re.compile(r"(.*)~([1-9][0-9]{0,17})", re.DOTALL)


class IdKeys:
    """The keys of a shard's ids in the order of its rows, and which ids look like `x~2` already."""

    def __init__(self) -> None:
        self._keys = array("Q")
        self._numbered = array("Q")

    def add(self, name: str) -> None:
        """Note the next row's id."""
        self._keys.append(xxhash.xxh3_64_intdigest(name.encode()))
        if "~" in name and (match := _NUMBERED.fullmatch(name)):
            self._numbered.extend((xxhash.xxh3_64_intdigest(match[1].encode()), int(match[2])))

    def save(self, folder: Path) -> None:
        """Write `keys.npy` and `numbered.npy` (key of `x`, number)."""
        write_array(folder / "keys.npy", np.array(self._keys, np.uint64))
        write_array(folder / "numbered.npy", np.array(self._numbered, np.uint64).reshape(-1, 2))


def in_share(name: str, share: float) -> bool:
    """Whether the row of this id is among a `share` (0-1) of all rows.

    Decided by the id alone: order, shards and other rows change nothing, and the rows of a smaller
    share are among those of a larger one.
    """
    return xxhash.xxh3_64_intdigest(name.encode(), seed=_SHARE_SEED) < share * 2**64


def new_numbers(folders: Sequence[Path], bucket_rows: int = _BUCKET_ROWS) -> tuple[I64, I64]:
    """The rows whose ids occurred before, and the numbers that make them unique.

    Args:
        folders: where each shard saved its keys, in order.
        bucket_rows: keys looked at together, about.

    Returns:
        positions in all rows, ascending, and the number for each: the least from 2 on that no other
        row of the id gets and no id of the input already ends with.
    """
    keys = [np.load(folder / "keys.npy", mmap_mode="r") for folder in folders]
    begins = np.cumsum([0, *(len(each) for each in keys)])
    taken = np.concatenate(
        [np.zeros((0, 2), np.uint64), *(np.load(folder / "numbered.npy") for folder in folders)]
    )
    taken = taken[np.argsort(taken[:, 0], kind="stable")]
    n_buckets = max(1, -(-int(begins[-1]) // bucket_rows))
    found = [_bucket(keys, begins, taken, index, n_buckets) for index in range(n_buckets)]
    positions = np.concatenate([each[0] for each in found])
    numbers = np.concatenate([each[1] for each in found])
    order = np.argsort(positions)
    return positions[order], numbers[order]


def _bucket(
    keys: Sequence[U64], begins: I64, taken: U64, index: int, n_buckets: int
) -> tuple[I64, I64]:
    """`new_numbers` of the keys that fall into one bucket."""
    own = [np.flatnonzero(each % np.uint64(n_buckets) == index) for each in keys]
    mine = np.concatenate(
        [np.zeros(0, np.uint64), *(each[rows] for each, rows in zip(keys, own, strict=True))]
    )
    places = np.concatenate(
        [np.zeros(0, np.int64), *(rows + b for rows, b in zip(own, begins[:-1], strict=True))]
    )
    order = np.argsort(mine, kind="stable")
    mine, places = mine[order], places[order]
    first = np.flatnonzero(np.concatenate([[True], mine[1:] != mine[:-1]])[: len(mine)])
    sizes = np.diff(np.append(first, len(mine)))
    rank = np.arange(len(mine)) - np.repeat(first, sizes)
    numbers = rank + 1
    # Numbers that ids of the input end with are passed over; few ids have any.
    lows, highs = (np.searchsorted(taken[:, 0], mine[first], side) for side in ("left", "right"))
    for group in np.flatnonzero((sizes > 1) & (lows < highs)):
        used = set(taken[lows[group] : highs[group], 1].tolist())
        free = (n for n in range(2, int(sizes[group]) + len(used) + 2) if n not in used)
        begin = first[group] + 1
        numbers[begin : begin + sizes[group] - 1] = list(free)[: sizes[group] - 1]
    again = rank > 0
    return places[again], numbers[again].astype(np.int64)
