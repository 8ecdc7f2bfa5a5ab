"""What the kernel knows of every code point: its class, its case folding, and whether NFC moves it.

One table of 32-bit entries, indexed by code point:

    bits 0-20    the code point it folds to (str.casefold); for a folding of several, their row
    bits 24-26   its class: SYMBOL, BLANK, LETTER, ALONE or MARK
    bit 27       it folds to several code points, found in `expansions`
    bit 28       it may not be in canonical composition: the text goes through `unicodedata` first
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]

SYMBOL, BLANK, LETTER, ALONE, MARK = range(5)
"""LETTER: letters, digits and the underscore of scripts with spaces between words. ALONE: those of
scripts without. MARK: combining marks, which go on with a word but do not begin one."""

CLASS_SHIFT = 24
EXPANDS = np.uint32(1 << 27)
COMPOSES = np.uint32(1 << 28)
CODE = np.uint32(0x1FFFFF)

# Blocks of scripts written without spaces between words.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana, extension
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x323AF),  # Han, further extensions
)
# Blocks of nothing but letters that fold and compose to themselves: filled at once, since asking
# `unicodedata` for each code point would take as long as sketching megabytes of text.
_PLAIN = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A3),
    (0x20000, 0x2F7FF),
    (0x30000, 0x323AF),
)
# The rest of what is assigned; outside of both everything is a symbol.
_ASKED = (
    (0x0000, 0x33FF),
    (0xA000, 0xABFF),
    (0xD7B0, 0xD7FF),
    (0xF900, 0xFFFF),
    (0x10000, 0x1FBFF),
    (0x2F800, 0x2FA1F),
    (0xE0100, 0xE01EF),
)
_CLASSES = {"L": LETTER, "N": LETTER, "M": MARK}


@dataclass(frozen=True)
class Alphabet:
    """`entries`: (0x110000,). `expansions`: (n, 4): how many code points, then up to three.
    `letters`: (256,): what a byte that is an ASCII letter or digit folds to, else 0."""

    entries: U32
    expansions: U32
    letters: NDArray[np.uint64]


@cache
def alphabet() -> Alphabet:
    """The table, by the Unicode data of this Python."""
    entries = np.arange(0x110000, dtype=np.uint32)
    for first, last in _PLAIN:
        entries[first : last + 1] |= np.uint32(LETTER << CLASS_SHIFT)
    expansions: list[list[int]] = []
    seconds = _seconds()
    for first, last in _ASKED:
        for code in range(first, last + 1):
            letter = chr(code)
            folded = letter.casefold()
            entry = _class_of(folded[0]) << CLASS_SHIFT
            if len(folded) == 1:
                entry |= ord(folded)
            else:
                entry |= int(EXPANDS) | len(expansions)
                expansions.append([len(folded), *map(ord, folded), *[0] * (3 - len(folded))])
            if code >= 0x300 and (
                code in seconds
                or unicodedata.combining(letter)
                or not unicodedata.is_normalized("NFC", letter)
            ):
                entry |= int(COMPOSES)
            entries[code] = entry
    for first, last in _UNSPACED:
        block = entries[first : last + 1]
        kind = block >> np.uint32(CLASS_SHIFT) & np.uint32(7)
        block[(kind == LETTER) | (kind == MARK)] &= ~np.uint32(7 << CLASS_SHIFT)
        block[(kind == LETTER) | (kind == MARK)] |= np.uint32(ALONE << CLASS_SHIFT)
    ascii_ = entries[:128]
    letters = np.zeros(256, np.uint64)
    letters[:128] = np.where(ascii_ >> CLASS_SHIFT & 7 == LETTER, ascii_ & CODE, 0)
    return Alphabet(entries, np.array(expansions, np.uint32), letters)


def _class_of(letter: str) -> int:
    if letter == "_":
        return LETTER
    if letter.isspace():
        return BLANK
    return _CLASSES.get(unicodedata.category(letter)[0], SYMBOL)


def _seconds() -> set[int]:
    """Code points that may compose with the one before them."""
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul, by arithmetic
    for first, last in ((0xC0, 0x33FF), (0x10000, 0x1FBFF)):
        for code in range(first, last + 1):
            parts = unicodedata.decomposition(chr(code)).split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                found.add(int(parts[1], 16))
    return found
