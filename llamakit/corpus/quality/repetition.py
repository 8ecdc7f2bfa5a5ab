"""How much of texts is repeated: lines, paragraphs and n-grams of words (Rae et al. 2021, A1.1).

Units are known by 64-bit hashes, n-grams by hashes of those. Shares are of the characters in all
units of the kind, without the spaces between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.quality.scanning import Scan, Units
from llamakit.engine.native import helper, kernel

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

TOP_SIZES = (2, 3, 4)
REPEATED_SIZES = (5, 6, 7, 8, 9, 10)

REPEATED = (
    "repeated_lines",
    "repeated_line_characters",
    "repeated_paragraphs",
    "repeated_paragraph_characters",
    *(f"top_{size}_gram" for size in TOP_SIZES),
    *(f"duplicate_{size}_grams" for size in REPEATED_SIZES),
)
"""What `repetition` measures, a column each; see `measures.COLUMNS`."""

_GROWTH = np.uint64(0x9E3779B97F4A7C15)


def repetition(scan: Scan, *, n_grams: bool) -> F64:
    """(texts, REPEATED): the repetition in each text; without `n_grams` those are left 0."""
    found = np.zeros((len(scan.words.ends), len(REPEATED)))
    for column, units in ((0, scan.lines), (2, scan.paragraphs)):
        keys, stamps = _table(units)
        _repeated_units(units.hashes, units.lengths, units.ends, keys, stamps, column, found)
    if n_grams:
        words = scan.words
        keys, stamps = _table(words)
        counts, before = np.empty(len(keys), np.int64), np.empty(len(keys) + 1, np.int64)
        grams = np.empty(len(keys), np.uint64)
        _n_grams(
            words.hashes, words.lengths, words.ends, keys, stamps, counts, grams, before, 4, found
        )
    return found


def _table(units: Units) -> tuple[U64, I64]:
    """An open table, empty, that holds the units of any one text at half load: keys, stamps."""
    slots = _slots(int(np.diff(units.ends, prepend=0).max(initial=1)))
    return np.empty(slots, np.uint64), np.full(slots, -1, np.int64)


@helper
def _slots(units: int) -> int:
    """A power of two that holds so many units at half load."""
    slots = 4
    while slots < 2 * units:
        slots *= 2
    return slots


@helper
def _slot(key: np.uint64, keys: U64, stamps: I64, stamp: int, mask: int) -> Any:
    """Where the key stands in an open table, or the free place for it."""
    mixed = key ^ (key >> np.uint64(32))
    slot = np.int64((mixed * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(32)) & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@kernel("u64[] i64[] i64[] u64[] i64[] i64 f64[,]")
def _repeated_units(
    hashes: U64, lengths: I64, ends: I64, keys: U64, stamps: I64, column: int, found: F64
) -> None:
    """Shares of units, and of their characters, that stood in the text before: two columns."""
    start = 0
    for text in range(len(ends)):
        end = ends[text]
        mask = _slots(end - start) - 1
        again = again_characters = characters = 0
        for place in range(start, end):
            key = hashes[place]
            slot = _slot(key, keys, stamps, text, mask)
            characters += lengths[place]
            if stamps[slot] == text:
                again += 1
                again_characters += lengths[place]
            else:
                keys[slot] = key
                stamps[slot] = text
        if again:
            found[text, column] = again / (end - start)
            found[text, column + 1] = again_characters / characters
        start = end


@kernel("u64[] i64[] i64[] u64[] i64[] i64[] u64[] i64[] i64 f64[,]")
def _n_grams(
    hashes: U64,
    lengths: I64,
    ends: I64,
    keys: U64,
    stamps: I64,
    counts: I64,
    grams: U64,
    before: I64,
    column: int,
    found: F64,
) -> None:
    """Sizes 2-4: the share of the n-gram met most often (the longest of several), 0 if none is met
    twice. Sizes 5-10: the share of the words in n-grams met before, each word once."""
    stamp = 0
    start = 0
    for text in range(len(ends)):
        end = ends[text]
        n_words = end - start
        mask = _slots(n_words) - 1
        before[0] = 0
        for place in range(n_words):
            grams[place] = hashes[start + place]
            before[place + 1] = before[place] + lengths[start + place]
        for size in range(2, 11):
            most = longest = covered = covered_to = 0
            stamp += 1
            for place in range(n_words - size + 1):
                key = (grams[place] * _GROWTH) + hashes[start + place + size - 1]
                grams[place] = key
                slot = _slot(key, keys, stamps, stamp, mask)
                if stamps[slot] != stamp:
                    stamps[slot] = stamp
                    keys[slot] = key
                    counts[slot] = 1
                    continue
                counts[slot] += 1
                length = before[place + size] - before[place]
                if counts[slot] > most:
                    most, longest = counts[slot], length
                elif counts[slot] == most:
                    longest = max(longest, length)
                begin = max(place, covered_to)
                covered_to = place + size
                covered += before[covered_to] - before[begin]
            if most == 0:
                break  # a longer n-gram can only be repeated where a shorter one is
            part = most * longest if size < 5 else covered
            found[text, column + size - 2] = part / before[n_words]
        start = end
