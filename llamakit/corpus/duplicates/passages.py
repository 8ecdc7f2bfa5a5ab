"""Lines and paragraphs that stand in many documents: menus, licences, "subscribe to our letter".

    count each shard    the keys of its passages, with how many of its documents hold each
    merge               keys that enough documents hold, a range of keys at a time
    cut each shard      those passages go, all of them or all but the first

A key is 64 bits of the passage's normalised text: among 10^9 passages 0.03 false equals are
expected. Passages that are shorter than asked for are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xxhash
from numpy.typing import NDArray

from llamakit.artifacts.frames import read_table
from llamakit.corpus.duplicates.shingles import normalise
from llamakit.corpus.duplicates.sketches import save_array

U64 = NDArray[np.uint64]
Unit = Literal["lines", "paragraphs"]

COUNTED = np.dtype([("key", np.uint64), ("documents", np.int64), ("first", np.int64)])
"""A passage: how many documents hold it, and the number of the first."""

_KEYS_AT_ONCE = 4_000_000
_BREAKS = {"lines": re.compile(r"(\n)"), "paragraphs": re.compile(r"(\n[^\S\n]*\n\s*)")}


@dataclass(frozen=True)
class Cut:
    """Passages of `unit` of at least `shortest` characters that `documents` or more hold go;
    `keep_first`: all but the first."""

    unit: Unit
    documents: int
    shortest: int
    keep_first: bool


@dataclass(frozen=True)
class CountPassages:
    """Count the passages of `part`, whose documents are numbered from `begin`."""

    part: Path
    begin: int
    cut: Cut
    out: Path


@dataclass(frozen=True)
class MergePassages:
    """Find the passages, in range `index` of `ranges` of the keys, that enough documents hold."""

    counted: tuple[Path, ...]
    index: int
    ranges: int
    documents: int
    out: Path


def count_passages(shard: CountPassages) -> dict[str, Any]:
    """Write the shard's passages, ascending by key."""
    keys: list[int] = []
    places: list[int] = []
    for row, text in enumerate(read_table(shard.part, ["text"])["text"].to_list()):
        own = {key for _, key in passages(text, shard.cut) if key is not None}
        keys += own
        places += [row] * len(own)
    found, first, count = np.unique(
        np.array(keys, np.uint64), return_index=True, return_counts=True
    )
    table = np.zeros(len(found), COUNTED)
    table["key"], table["documents"] = found, count
    table["first"] = np.array(places, np.int64)[first] + shard.begin
    save_array(shard.out, table)
    return {"passages": len(found)}


def merge_passages(task: MergePassages) -> dict[str, Any]:
    """Write the passages that enough documents hold, ascending by key."""
    low, high = (2**64 * n // task.ranges for n in (task.index, task.index + 1))
    pieces = [np.zeros(0, COUNTED)]
    for path in task.counted:
        table = np.load(path, mmap_mode="r")
        ends = np.searchsorted(table["key"], np.array([low, high - 1], np.uint64))
        # The last key of a range is its own: 2^64 itself is no number of 64 bits.
        stop = ends[1] + int(ends[1] < len(table) and table["key"][ends[1]] == high - 1)
        pieces.append(np.asarray(table[ends[0] : stop]))
    whole = np.concatenate(pieces)
    keys, first, group = np.unique(whole["key"], return_index=True, return_inverse=True)
    # Shards come in order, so that a key's first place is its first document.
    found = np.zeros(len(keys), COUNTED)
    found["key"], found["first"] = keys, whole["first"][first]
    np.add.at(found["documents"], group, whole["documents"])
    found = found[found["documents"] >= task.documents]
    save_array(task.out, found)
    return {"passages": len(found)}


def merges(counted: Sequence[Path], cut: Cut, folder: Path) -> list[MergePassages]:
    """The tasks that bring the shards' passages together."""
    total = sum(len(np.load(path, mmap_mode="r")) for path in counted)
    ranges = -(-total // _KEYS_AT_ONCE) or 1
    return [
        MergePassages(tuple(counted), n, ranges, cut.documents, folder / f"{n:05d}.npy")
        for n in range(ranges)
    ]


def passages(text: str, cut: Cut) -> Iterator[tuple[str, int | None]]:
    """The pieces of a text, passages and what stands between them; a key for passages that are
    long enough."""
    for piece in _BREAKS[cut.unit].split(text):
        plain = piece.strip()
        counts = len(plain) >= max(cut.shortest, 1)
        yield piece, xxhash.xxh3_64_intdigest(normalise(plain).encode()) if counts else None


def without(text: str, number: int, repeated: dict[int, int], cut: Cut) -> tuple[str, int]:
    """The text of document `number` without the `repeated` passages (by key, the document that
    holds it first), and how many went, each with the break after it."""
    left: list[str] = []
    removed = 0
    seen: set[int] = set()
    dropped = False
    for index, (piece, key) in enumerate(passages(text, cut)):
        if index % 2:  # a break
            if not dropped:
                left.append(piece)
            continue
        dropped = key is not None and key in repeated
        if dropped and key is not None and cut.keep_first and key not in seen:
            dropped = repeated[key] != number
            seen.add(key)
        if dropped:
            removed += 1
        else:
            left.append(piece)
    return ("".join(left).rstrip() if removed else text), removed
