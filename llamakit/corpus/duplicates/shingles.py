"""Word n-grams of many documents at once, as 64-bit hashes, in vectorised passes over code points.

A word is a run of letters, digits and marks of any script. Scripts written without spaces (Chinese,
Japanese, Thai …) have no such runs of one word, so there each character counts as a word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

NGRAM = 5
"""Words in a shingle."""

_BATCH_CHARACTERS = 2**18
_SEPARATOR, _IN_WORD, _ALONE = 0, 1, 2
_LONGEST_WORD = 1024

# Blocks of scripts written without spaces between words.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0x20000, 0x323AF),  # Han, further extensions
)


def normalise(text: str) -> str:
    """The text as copies are judged: canonical composition, case folded, blanks as one space."""
    return " ".join(fold(text).split())


def fold(text: str) -> str:
    """Canonical composition and case folding."""
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return text.casefold()


@dataclass(frozen=True)
class Shingles:
    """Hashes of the n-grams of consecutive documents, in order and with repetitions.

    `hashes[offsets[d]:offsets[d + 1]]` are document d's. A document of fewer words than an n-gram
    has one shingle of all its words; one without words has none.
    """

    hashes: U64
    offsets: NDArray[np.int64]


def shingle_batches(texts: Sequence[str], ngram: int = NGRAM) -> Iterator[Shingles]:
    """The shingles of the texts, a few megabytes of text at a time to bound memory."""
    start = 0
    while start < len(texts):
        stop, size = start, 0
        while stop < len(texts) and (stop == start or size < _BATCH_CHARACTERS):
            size += len(texts[stop])
            stop += 1
        yield shingle(texts[start:stop], ngram)
        start = stop


def shingle(texts: Sequence[str], ngram: int = NGRAM) -> Shingles:
    """The shingles of a few texts."""
    words, words_of = _words(texts)
    n_words = np.diff(words_of)
    n_shingles = np.where(n_words > 0, np.maximum(n_words - ngram + 1, 1), 0)
    offsets = np.concatenate(([0], np.cumsum(n_shingles)))
    if offsets[-1] == 0:
        return Shingles(np.zeros(0, np.uint64), offsets)
    # The word each shingle starts at, and how many words it holds.
    within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], n_shingles)
    first = np.repeat(words_of[:-1], n_shingles) + within
    length = np.repeat(np.minimum(n_words, ngram), n_shingles)
    keys = _keys(2, ngram)
    hashes = np.zeros(len(first), np.uint64)
    last = len(words) - 1
    for k in range(ngram):
        term = words[np.minimum(first + k, last)] * keys[k]
        hashes += np.where(k < length, term, np.uint64(0)) if n_words.min() < ngram else term
    return Shingles(mix64(hashes), offsets)


def distinct(shingles: Shingles) -> Shingles:
    """The same with each document's shingles sorted and made distinct."""
    pieces = [
        np.unique(shingles.hashes[start:stop])
        for start, stop in zip(shingles.offsets[:-1], shingles.offsets[1:], strict=True)
    ]
    offsets = np.concatenate(([0], np.cumsum([len(piece) for piece in pieces], dtype=np.int64)))
    return Shingles(np.concatenate([*pieces, np.zeros(0, np.uint64)]), offsets)


def mix64(values: U64) -> U64:
    """The MurmurHash3 finaliser: every bit of the input moves about half of the output's."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))


def _words(texts: Sequence[str]) -> tuple[U64, NDArray[np.int64]]:
    """Hashes of all words of the texts, and where each text's words begin (one more at the end)."""
    folded = "\0".join(fold(text).replace("\0", " ") for text in texts)
    codes = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[codes]
    in_word = kinds == _IN_WORD
    starts = kinds == _ALONE
    starts[1:] |= in_word[1:] & ~in_word[:-1]
    if len(starts):
        starts[0] |= in_word[0]
    begin = np.flatnonzero(starts)
    ends_of_texts = np.append(np.flatnonzero(codes == 0), len(codes))
    words_of = np.concatenate(([0], np.searchsorted(begin, ends_of_texts[: len(texts)])))
    if not len(begin):
        return np.zeros(0, np.uint64), words_of
    # Multilinear hashing: a random key for each place in the word, products summed modulo 2^64.
    counts = np.diff(np.append(begin, len(codes)))
    place = np.arange(len(codes) - begin[0]) - np.repeat(begin - begin[0], counts)
    terms = (codes[begin[0] :].astype(np.uint64) + np.uint64(1)) * _keys(1, _LONGEST_WORD)[
        place & (_LONGEST_WORD - 1)
    ]
    terms[kinds[begin[0] :] == _SEPARATOR] = 0
    return mix64(np.add.reduceat(terms, begin - begin[0])), words_of


@cache
def _keys(stream: int, count: int) -> U64:
    random = np.random.default_rng([20230718, stream])
    return random.integers(0, 2**64, count, dtype=np.uint64) | np.uint64(1)


@cache
def _kinds() -> NDArray[np.uint8]:
    """For every code point whether it separates words, belongs to one, or is one."""
    kinds = np.zeros(0x110000, np.uint8)
    # Planes 4 to 13 and 15, 16 hold no letters: skipping them saves most of the time.
    for code in (*range(0x40000), *range(0xE0000, 0xE0200)):
        if unicodedata.category(chr(code))[0] in "LNM":
            kinds[code] = _IN_WORD
    for first, last in _UNSPACED:
        block = kinds[first : last + 1]
        block[block == _IN_WORD] = _ALONE
    return kinds
