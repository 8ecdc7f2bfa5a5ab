"""How much of texts is repeated: lines, paragraphs and n-grams of words (Rae et al. 2021, A1.1).

Units are known by 64-bit hashes, n-grams by hashes of those. Shares are of the characters in all
units of the kind, without the spaces between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.quality.scanning import Scan
from llamakit.engine.compiled import compiled

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
    _repeated_units(scan.lines.hashes, scan.lines.lengths, scan.lines.ends, found[:, 0:2])
    paragraphs = scan.paragraphs
    _repeated_units(paragraphs.hashes, paragraphs.lengths, paragraphs.ends, found[:, 2:4])
    if n_grams:
        words = scan.words
        _n_grams(words.hashes, words.lengths, words.ends, found[:, 4:])
    return found


@compiled
def _slots(ends: I64) -> int:
    """A power of two that holds the units of any one text at half load."""
    most = 1
    start = 0
    for end in ends:
        most = max(most, end - start)
        start = end
    slots = 4
    while slots < 2 * most:
        slots *= 2
    return slots


@compiled
def _slot(key: np.uint64, keys: U64, stamps: I64, stamp: int, mask: int) -> Any:
    """Where the key stands in an open table, or the free place for it."""
    mixed = key ^ (key >> np.uint64(32))
    slot = np.int64((mixed * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(32)) & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled
def _mask_for(units: int) -> int:
    slots = 4
    while slots < 2 * units:
        slots *= 2
    return slots - 1


@compiled
def _repeated_units(hashes: U64, lengths: I64, ends: I64, found: F64) -> None:
    """Shares of units, and of their characters, that stood in the text before."""
    slots = _slots(ends)
    keys = np.empty(slots, np.uint64)
    stamps = np.full(slots, -1, np.int64)
    start = 0
    for text in range(len(ends)):
        end = ends[text]
        mask = _mask_for(end - start)
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
            found[text, 0] = again / (end - start)
            found[text, 1] = again_characters / characters
        start = end


@compiled
def _n_grams(hashes: U64, lengths: I64, ends: I64, found: F64) -> None:
    """Sizes 2-4: the share of the n-gram met most often (the longest of several), 0 if none is met
    twice. Sizes 5-10: the share of the words in n-grams met before, each word once."""
    slots = _slots(ends)
    keys = np.empty(slots, np.uint64)
    stamps = np.full(slots, -1, np.int64)
    counts = np.empty(slots, np.int64)
    grams = np.empty(slots, np.uint64)
    before = np.empty(slots + 1, np.int64)
    stamp = 0
    start = 0
    for text in range(len(ends)):
        end = ends[text]
        n_words = end - start
        mask = _mask_for(n_words)
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
            found[text, size - 2] = (most * longest if size < 5 else covered) / before[n_words]
        start = end
