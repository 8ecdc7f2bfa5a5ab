"""Segments of texts looked up in a table, and their ids put together: see `encoder`.

A word of the table is a segment that was met; its bytes lie in `keys`, its ids in `ids`. Two words
stand for the ends of a document. State between calls, so that a window may end anywhere:

    PLACE     where in `data` to go on           USED     bytes of `keys`
    DOCUMENT  the document that it is in         FOUND    words found in this window
    WORDS     words of the table                 FRESH    of them, those met for the first time
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.engine.native import helper, kernel

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

PLACE, DOCUMENT, WORDS, USED, FOUND, FRESH = range(6)
STATE = 6
BEGIN, END = 0, 1
"""The words that stand for a document's ends."""
LONGEST_KEY = 64
"""A longer segment is given a word each time it is met: it will not be met often."""
PAIRS = 1 << 16
"""Places of the table that says which characters stand side by side in a piece. Some share one,
and are then not cut apart, which changes no id."""

_SPACE, _LINE_BREAK, _MARK = np.uint64(0x20), np.uint64(0x0A), np.uint64(0x2581)
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_TO_PAIRS = np.uint64(48)
# So many slots are tried for a segment, then it is treated as a long one: texts that were made to
# share slots cost no more than others.
_PROBES = 64


@helper
def pair(first: Any, second: Any) -> Any:
    """The place of two characters among `PAIRS`; of code points as uint64, or arrays of them."""
    return (first * _FIRST + second * _SECOND) >> _TO_PAIRS


@helper
def _width(byte: int) -> int:
    """Bytes of the character that begins with this one."""
    if byte < 0x80:
        return 1
    if byte < 0xE0:
        return 2
    return 3 if byte < 0xF0 else 4


@helper
def _character(data: U8, place: int, width: int) -> np.uint64:
    """The code point at a place; SentencePiece's sign for a space is a space."""
    if width == 1:
        return np.uint64(data[place])
    value = np.uint64(data[place] & (0xFF >> (width + 1)))
    for step in range(1, width):
        value = (value << np.uint64(6)) | np.uint64(data[place + step] & 0x3F)
    return _SPACE if value == _MARK else value


@helper
def _segment_end(data: U8, place: int, end: int, together: U8) -> int:
    """Where the segment that begins at `place` ends."""
    width = _width(data[place])
    before = _character(data, place, width)
    place += width
    while place < end:
        width = _width(data[place])
        after = _character(data, place, width)
        # A line break is surely a segment of its own, whatever pair shares its place.
        alone = before == _LINE_BREAK or after == _LINE_BREAK  # noqa: PLR1714
        if alone or together[np.int64(pair(before, after))] == 0:
            break
        before = after
        place += width
    return place


@helper
def _hash(data: U8, begin: int, end: int) -> np.uint64:
    """FNV-1a, its high bits mixed into the low ones, which choose the slot."""
    value = np.uint64(0xCBF29CE484222325)
    for place in range(begin, end):
        value = (value ^ np.uint64(data[place])) * np.uint64(0x100000001B3)
    return value ^ (value >> np.uint64(29))


@helper
def _same(data: U8, begin: int, end: int, keys: U8, key_begin: int, key_end: int) -> bool:
    same = end - begin == key_end - key_begin
    step = 0
    while same and begin + step < end:
        same = data[begin + step] == keys[key_begin + step]
        step += 1
    return same


@helper
def _slot_of(data: U8, begin: int, end: int, slots: U32, keys: U8, key_begins: I64) -> Any:
    """The slot of a segment, or the free one where it belongs; -1 if neither is near."""
    mask = np.uint64(len(slots) - 1)
    slot = _hash(data, begin, end) & mask
    for _ in range(_PROBES):
        held = slots[np.int64(slot)]
        if held == 0:
            return np.int64(slot)
        word = np.int64(held) - 1
        if _same(data, begin, end, keys, key_begins[word], key_begins[word + 1]):
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & mask
    return np.int64(-1)


@kernel("u8[] i64[] u8[] i64[] u32[] u8[] i64[] i32[] i64[,]")
def look_up(
    data: U8,
    ends: I64,
    together: U8,
    state: I64,
    slots: U32,
    keys: U8,
    key_begins: I64,
    found: I32,
    fresh: I64,
) -> None:
    """Find the words of documents until `found` is full, or the table, or all is read.

    Args:
        data: UTF-8 of the documents, each but an empty one with its dummy space in front.
        ends: where each document ends.
        together: 1 at the `pair` of characters that are not to be cut apart.
        state: see the module's beginning.
        slots: words by hash, plus 1; 0 is free. Their number is a power of two.
        keys: bytes of the words.
        key_begins: where each word's begin, and the newest's end.
        found: to be filled with words.
        fresh: to be filled with where in `data` each new word (begins, ends).
    """
    place, document = state[PLACE], state[DOCUMENT]
    words, used = state[WORDS], state[USED]
    n_found = n_fresh = 0
    while document < len(ends):
        room = words + 1 < len(key_begins) and used + LONGEST_KEY <= len(keys)
        if n_found + 3 > len(found) or not room:
            break
        end = ends[document]
        if place == (ends[document - 1] if document > 0 else 0):
            found[n_found] = BEGIN
            n_found += 1
        if place < end:
            stop = _segment_end(data, place, end, together)
            slot = np.int64(-1)
            if stop - place <= LONGEST_KEY:
                slot = _slot_of(data, place, stop, slots, keys, key_begins)
            if slot >= 0 and slots[slot] > 0:
                found[n_found] = np.int64(slots[slot]) - 1
            else:
                found[n_found] = words
                fresh[n_fresh, 0] = place
                fresh[n_fresh, 1] = stop
                n_fresh += 1
                if slot >= 0:
                    slots[slot] = words + 1
                    for step in range(stop - place):
                        keys[used + step] = data[place + step]
                    used += stop - place
                words += 1
                key_begins[words] = used
            n_found += 1
            place = stop
        if place == end:
            found[n_found] = END
            n_found += 1
            document += 1
    state[PLACE], state[DOCUMENT] = place, document
    state[WORDS], state[USED] = words, used
    state[FOUND], state[FRESH] = n_found, n_fresh


def _join(found: I32, id_begins: I64, ids: NDArray[Any], out: NDArray[Any]) -> None:
    """Write the ids of words one after another.

    Args:
        found: words.
        id_begins: where each word's ids begin, and the newest's end.
        ids: the words' ids.
        out: as long as all of them.
    """
    filled = 0
    for place in range(len(found)):
        word = found[place]
        for index in range(id_begins[word], id_begins[word + 1]):
            out[filled] = ids[index]
            filled += 1


join_u16 = kernel("i32[] i64[] u16[] u16[]", "join_u16")(_join)
join_u32 = kernel("i32[] i64[] u32[] u32[]", "join_u32")(_join)
