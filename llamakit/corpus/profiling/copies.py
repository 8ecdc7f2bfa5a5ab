"""How much of a corpus stands in it before: whole documents and lines, by 64-bit keys on disk.

Each shard writes the keys of its documents and lines; they are compared range by range, so that
memory is bounded however many there are. At 10^9 keys 0.03 false copies are expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.corpus.duplicates.shingles import normalise

SHORTEST_LINE = 30
"""Shorter lines (`* * *`, `}`, a speaker's name) say nothing when they stand twice."""

KEYS = np.dtype([("key", np.uint64), ("size", np.int64)])
"""A document or line: its key and its characters."""

_KEYS_AT_ONCE = 2**25


@dataclass(frozen=True)
class Copies:
    """`items` of `characters` in all; those equal to an earlier one are `copies`."""

    items: int
    characters: int
    copies: int
    copied_characters: int


def document_keys(texts: Sequence[str]) -> NDArray[np.void]:
    """A key a text; equal for texts that differ in letter case and blanks only."""
    rows = [(xxhash.xxh3_64_intdigest(normalise(text).encode()), len(text)) for text in texts]
    return np.array(rows, KEYS)


def line_keys(texts: Sequence[str]) -> NDArray[np.void]:
    """A key a line of at least `SHORTEST_LINE` characters, blanks around it left out."""
    lines = [line for text in texts for each in text.split("\n") if _counts(line := each.strip())]
    return np.array([(xxhash.xxh3_64_intdigest(line.encode()), len(line)) for line in lines], KEYS)


def save_keys(path: Path, pieces: Sequence[NDArray[np.void]]) -> None:
    """Write the keys of a shard, atomically."""
    keys = np.concatenate([np.zeros(0, KEYS), *pieces])
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, keys, allow_pickle=False)


def count_copies(paths: Sequence[Path], at_once: int = _KEYS_AT_ONCE) -> Copies:
    """Compare the keys of all shards, about `at_once` of them in memory; earlier shards first."""
    items = sum(len(np.load(path, mmap_mode="r")) for path in paths)
    ranges = -(-items // at_once) or 1
    characters = copies = copied = 0
    for index in range(ranges):
        mine = [np.zeros(0, KEYS)]
        for path in paths:
            keys = np.load(path, mmap_mode="r")
            mine.append(keys[keys["key"] % np.uint64(ranges) == index])
        keys = np.concatenate(mine)
        _, first = np.unique(keys["key"], return_index=True)
        size = int(keys["size"].sum())
        characters += size
        copies += len(keys) - len(first)
        copied += size - int(keys["size"][first].sum())
    return Copies(items, characters, copies, copied)


def _counts(line: str) -> bool:
    return len(line) >= SHORTEST_LINE
