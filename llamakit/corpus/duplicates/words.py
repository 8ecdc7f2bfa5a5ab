"""Compiled: the words of a UTF-8 text as hashes, and two hashes of the text as it is compared.

Used by the kernels of `kernel.py`; the tables are those of `alphabet.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates.alphabet import (
    ALONE,
    BLANK,
    CLASS_SHIFT,
    CODE,
    EXPANDS,
    LETTER,
    MARK,
)
from llamakit.engine.native import helper

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

_M1, _M2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_WORD = np.uint64(0x9E3779B97F4A7C15)
_TEXT1, _TEXT2 = np.uint64(0xD6E8FEB86659FD93), np.uint64(0xA0761D6478BD642F)
_SYMBOL, _SPACE = np.uint64(0xE7037ED1A0B428DB), np.uint64(0x8EBC6AF09C88C6E3)
_U33 = np.uint64(33)
_BLANK = np.uint8(32)


@helper
def mix64(value: np.uint64) -> np.uint64:
    """The MurmurHash3 finaliser: every bit of the input moves about half of the output's."""
    value ^= value >> _U33
    value *= _M1
    value ^= value >> _U33
    value *= _M2
    return value ^ (value >> _U33)


@helper
def decode(text: U8, place: Any) -> tuple[Any, Any]:
    """The code point at a place of valid UTF-8, and the place of the next."""
    first = np.int64(text[place])
    if first < 0x80:
        return first, place + 1
    second = np.int64(text[place + 1]) & 0x3F
    if first < 0xE0:
        return (first & 0x1F) << 6 | second, place + 2
    third = np.int64(text[place + 2]) & 0x3F
    if first < 0xF0:
        return (first & 0x0F) << 12 | second << 6 | third, place + 3
    return (first & 7) << 18 | second << 12 | third << 6 | np.int64(
        text[place + 3]
    ) & 0x3F, place + 4


@helper
def _run(
    text: U8,
    place: Any,
    limit: Any,
    letters: U64,
    word: Any,
    inside: Any,
    words: U64,
    count: Any,
) -> tuple[Any, Any, Any, Any]:
    """Words apart by spaces, up to another symbol or `limit`; each ended one's unmixed hash goes to
    `words`. Words end where no processor foresees it, so nothing here branches on that."""
    begun, at, number = np.uint64(inside), np.uint64(place), np.uint64(count)
    end = np.uint64(limit)
    one = np.uint64(1)
    while at < end:
        letter = letters[text[at]]
        ends = np.uint64(text[at] == _BLANK)
        if letter == 0 and ends == 0:
            break
        words[number] = word
        number += ends & begun
        begun = one - ends
        word = _WORD if ends else (word ^ letter) * _M1
        at += one
    return np.int64(at), word, begun != 0, np.int64(number)


@helper
def begin(state: U64, start: int) -> None:
    """The state before a document's first byte, for `scan`."""
    state[0], state[1], state[2], state[3], state[4], state[5] = start, _WORD, 0, 0, 1, 2


@helper
def scan(  # noqa: PLR0912, PLR0915 - one loop over characters, its state in registers
    text: U8,
    stop: int,
    letters: U64,
    entries: U32,
    expansions: U32,
    by_character: bool,
    state: U64,
    words: U64,
    count: int,
) -> int:
    """Hash a document's next words into `words` from `count` on, until they are full or it ends.

    Returns the number of words there are then. `state`: place, hash of the word begun, whether one
    is begun, whether a blank is due, and two chains over the normalised text, which is its words,
    symbols and runs of blanks; all of it is kept between calls.
    """
    room = len(words) - 4  # a word that ends, and a code point that folds to three
    place, word = np.int64(state[0]), state[1]
    inside, blank = state[2] != 0, state[3] != 0
    one, two = state[4], state[5]
    while place < stop and count < room:
        if not by_character:
            if text[place] == _BLANK and not inside:
                blank = one != 1
            first, begun = count, inside
            limit = min(stop, place + room - count)
            place, word, inside, count = _run(
                text, place, limit, letters, word, inside, words, count
            )
            for k in range(first, count):
                words[k] = mix64(words[k])
            for k in range(first, count):
                if blank:
                    one, two = (one ^ _SPACE) * _TEXT1, (two + _SPACE) * _TEXT2
                one, two = (one ^ words[k]) * _TEXT1, (two + words[k]) * _TEXT2
                two ^= two >> _U33
                blank = True
            if inside and blank and not (begun and count == first):
                one, two = (one ^ _SPACE) * _TEXT1, (two + _SPACE) * _TEXT2
                blank = False
            if place == limit:
                continue
        code, place = decode(text, place)
        entry = entries[code]
        several: Any = 1
        row = np.int64(0)
        if entry & EXPANDS:
            row = np.int64(entry & CODE)
            several = np.int64(expansions[row, 0])
        for which in range(several):
            if several > 1:
                code = np.int64(expansions[row, which + 1])
                entry = np.uint32((entries[code] & ~CODE) | np.uint32(code))
            kind = entry >> CLASS_SHIFT & 7
            folded = np.uint64(entry & CODE)
            if (kind == LETTER and not by_character) or (kind == MARK and inside):
                if blank:
                    one, two = (one ^ _SPACE) * _TEXT1, (two + _SPACE) * _TEXT2
                    blank = False
                inside = True
                word = (word ^ folded) * _M1
                continue
            if inside:
                value = mix64(word)
                words[count] = value
                count += 1
                one, two = (one ^ value) * _TEXT1, (two + value) * _TEXT2
                two ^= two >> _U33
                word = _WORD
                inside = False
            if kind == BLANK:
                blank = one != 1
                continue
            if blank:
                one, two = (one ^ _SPACE) * _TEXT1, (two + _SPACE) * _TEXT2
                blank = False
            if kind == ALONE or kind == LETTER:  # noqa: SIM109, PLR1714 - integers, compiled
                value = mix64((_WORD ^ folded) * _M1)
                words[count] = value
                count += 1
            else:
                value = mix64(folded + _SYMBOL)
            one, two = (one ^ value) * _TEXT1, (two + value) * _TEXT2
            two ^= two >> _U33
    if place >= stop and inside:
        value = mix64(word)
        words[count] = value
        count += 1
        one, two = (one ^ value) * _TEXT1, (two + value) * _TEXT2
        two ^= two >> _U33
        inside = False
    state[0], state[1], state[2], state[3] = place, word, inside, blank
    state[4], state[5] = one, two
    return count
