"""The compiled kernel of exact substrings: rolling hashes of bytes, looked up at every place.

A window of bytes c has the hash `sum letters[c_k] B^(n-1-k)` modulo 2^64, of which one step to the
right makes the next in two multiplications; `_key` mixes it. A hash only ever brings places
together: `confirm` compares the bytes. `text` is consecutive documents, `offsets` (documents + 1)
where each begins in it; half is `length // 2`, the bytes of an anchor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.engine.native import helper, kernel

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_ONE, _U32 = np.uint64(1), np.uint64(32)


@helper
def _key(value: np.uint64) -> np.uint64:
    """Mixed to the last bit, and never 0, which marks a free place of a table."""
    value = (value ^ (value >> _U32)) * _MIX
    value = (value ^ (value >> _U32)) * _MIX
    return (value ^ (value >> _U32)) | _ONE


@helper
def _hash(text: U8, start: int, stop: int, letters: U64) -> np.uint64:
    value = np.uint64(0)
    for place in range(start, stop):
        value = value * _BASE + letters[text[place]]
    return value


@helper
def _power(size: int) -> np.uint64:
    """What a window's first byte was multiplied by."""
    value = _ONE
    for _ in range(size - 1):
        value = value * _BASE
    return value


@kernel("u8[] i64[] i64 u64[] u64[] -> i64")
def anchor_keys(text: U8, offsets: I64, length: int, letters: U64, out: U64) -> int:
    """Fill `out` with the keys of anchors: windows of half at every multiple of half, in documents
    of at least `length` bytes. Returns how many there are."""
    half = length // 2
    count = 0
    for document in range(len(offsets) - 1):
        stop = offsets[document + 1]
        if stop - offsets[document] < length:
            continue
        for start in range(offsets[document], stop - half + 1, half):
            out[count] = _key(_hash(text, start, start + half, letters))
            count += 1
    return count


@kernel("u64[] u64[]")
def fill(keys: U64, table: U64) -> None:
    """Put distinct keys in a table: zeros, a power of two, at least twice as many."""
    mask = np.uint64(len(table) - 1)
    for index in range(len(keys)):
        place = (keys[index] >> _ONE) & mask
        while table[place] != 0:
            place = (place + _ONE) & mask
        table[place] = keys[index]


@kernel("u8[] i64[] i64 u64[] u64[] u64[] u8[] u8[]")
def look_up(
    text: U8,
    offsets: I64,
    length: int,
    letters: U64,
    limits: U64,
    table: U64,
    elsewhere: U8,
    marks: U8,
) -> None:
    """Look windows of half up in a table of the keys from `limits[0]` to `limits[1]`, at every
    place: `marks` (bytes of text) says where one was found, `elsewhere` (places of the table) which
    were found at a place that is no anchor itself."""
    half = length // 2
    power = _power(half)
    mask = np.uint64(len(table) - 1)
    low, high = limits[0], limits[1]
    for document in range(len(offsets) - 1):
        begin, stop = offsets[document], offsets[document + 1]
        if stop - begin < length:
            continue
        value = _hash(text, begin, begin + half, letters)
        until_anchor = 0
        for start in range(begin, stop - half + 1):
            if start > begin:
                value -= letters[text[start - 1]] * power
                value = value * _BASE + letters[text[start + half - 1]]
            key = _key(value)
            if low <= key <= high:
                place = (key >> _ONE) & mask
                while table[place] != 0:
                    if table[place] == key:
                        marks[start] = 1
                        if until_anchor > 0:
                            elsewhere[place] = 1
                        break
                    place = (place + _ONE) & mask
            until_anchor = half - 1 if until_anchor == 0 else until_anchor - 1


@kernel("u8[] i64[] i64 u64[] u8[] u64[] i64[] -> i64")
def window_keys(
    text: U8, offsets: I64, length: int, letters: U64, marks: U8, keys: U64, places: I64
) -> int:
    """Fill `keys` and `places` with the windows of `length` that may be repeated: those in which
    one of the first half places is marked. Returns how many there are."""
    half = length // 2
    power = _power(length)
    count = 0
    for document in range(len(offsets) - 1):
        begin, stop = offsets[document], offsets[document + 1]
        if stop - begin < length:
            continue
        value = np.uint64(0)
        rolling = False
        last: Any = np.int64(-1)
        for place in range(begin, begin + half - 1):
            if marks[place]:
                last = place
        for start in range(begin, stop - length + 1):
            if marks[start + half - 1]:
                last = start + half - 1
            if last < start:
                rolling = False
                continue
            if rolling:
                value -= letters[text[start - 1]] * power
                value = value * _BASE + letters[text[start + length - 1]]
            else:
                value = _hash(text, start, start + length, letters)
                rolling = True
            keys[count] = _key(value)
            places[count] = start
            count += 1
    return count


@kernel("u8[] i64 i64[] i64[] u8[]")
def confirm(text: U8, length: int, places: I64, firsts: I64, same: U8) -> None:
    """Say which windows of `length` at `places`, ascending, hold the bytes of those at `firsts`.
    Of one that goes on where the last one did only the new byte is compared."""
    for index in range(len(places)):
        here, there = places[index], firsts[index]
        start: Any = np.int64(0)
        goes_on = index > 0 and same[index - 1] and here == places[index - 1] + 1
        if goes_on and there == firsts[index - 1] + 1:
            start = np.int64(length - 1)
        equal = True
        for k in range(start, length):
            if text[here + k] != text[there + k]:
                equal = False
                break
        same[index] = 1 if equal else 0
