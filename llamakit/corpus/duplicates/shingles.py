"""Shingles: n-grams of a document's words, or of its characters, as sets of 64-bit hashes.

A word is a run of letters, digits and underscores of any script, with the marks that go on with
it, in canonical composition and case folded. Scripts written without spaces (Chinese, Japanese,
Thai …) have no such runs of one word: there each character counts as a word, and a document that is
mostly of such scripts is cut into characters throughout.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates import kernel
from llamakit.corpus.duplicates.alphabet import alphabet
from llamakit.corpus.duplicates.texts import Texts

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Shingles:
    """`hashes[offsets[d]:offsets[d + 1]]` are the distinct shingles of document d, in order of
    their first place. A document of fewer words than an n-gram has one shingle of all its words;
    one without words has none."""

    hashes: U64
    offsets: I64


def shingle(texts: Texts, ngram: int) -> Shingles:
    """The shingle sets of some texts."""
    sizes = np.diff(texts.offsets)
    # A word takes two bytes with what parts it from the next; a character may fold to more bytes.
    rooms = np.where(texts.by_character, 2 * sizes, sizes // 2) + 8
    longest = int(rooms.max(initial=8))
    out = np.empty(int(rooms.sum()), np.uint64)
    counts = np.zeros(len(texts), np.int64)
    table = alphabet()
    total = kernel.gather(
        texts.data,
        texts.offsets,
        table.letters,
        table.entries,
        table.expansions,
        texts.by_character,
        shingle_keys(ngram),
        out,
        counts,
        np.empty(longest, np.uint64),
        np.zeros(table_size(longest), np.uint64),
        np.empty(6, np.uint64),
    )
    return Shingles(out[:total].copy(), np.concatenate(([0], np.cumsum(counts))))


def similarities(ones: Shingles, others: Shingles, pairs: I64) -> NDArray[np.float64]:
    """The Jaccard similarity |A ∩ B| / |A ∪ B| of each pair (n, 2) of a set of `ones` and a set of
    `others`; fastest where pairs of the same first set stand together."""
    result = np.zeros(len(pairs))
    largest = int(np.diff(ones.offsets).max(initial=0))
    table = np.zeros(table_size(largest), np.uint64)
    kernel.jaccard(ones.hashes, ones.offsets, others.hashes, others.offsets, pairs, table, result)
    return result


def table_size(count: int) -> int:
    """Places of a hash table for `count` values."""
    return max(16, 1 << (2 * count).bit_length())


def normalise(text: str) -> str:
    """The text as exact copies are judged: canonical composition, case folded, blanks as one space.
    The kernel's exact key is equal where this is."""
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.casefold().split())


@cache
def shingle_keys(ngram: int) -> U64:
    """The odd factor of each place in an n-gram: a shingle's hash is the mixed sum of products."""
    random = np.random.default_rng([20230718, 2])
    return random.integers(0, 2**64, ngram, dtype=np.uint64) | np.uint64(1)
