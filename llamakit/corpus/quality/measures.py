"""What the rules look at, measured over texts by compiled passes.

Words are what stands between spaces; lines and paragraphs are without the space around them, and
empty ones do not count. Case counts in lines and paragraphs, not in n-grams of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.quality.repetition import REPEATED, repetition
from llamakit.corpus.quality.scanning import COUNTED, scan

COLUMNS = (*COUNTED, *REPEATED)
"""Counts: words, stop_words (different ones of eight), sentences, curly_brackets. Means by word:
word_length (characters), hashes, ellipses, newlines. All others are shares (0-1) of words, lines or
paragraphs, or of the characters in them; without any word they are 0, `alphabetic` and `punctuated`
1."""

_BATCH_CHARACTERS = 4_000_000


def measure(texts: Sequence[str], *, n_grams: bool = True) -> NDArray[np.float64]:
    """(texts, COLUMNS): each text's measures; without `n_grams` those of n-grams are left 0."""
    found = []
    for batch in _batches(texts):
        scanned = scan([text.encode("utf-8", "surrogatepass") for text in batch])
        found.append(np.hstack((scanned.counted, repetition(scanned, n_grams=n_grams))))
    return np.vstack(found) if found else np.zeros((0, len(COLUMNS)))


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = size = 0
    for place, text in enumerate(texts):
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield texts[start : place + 1]
            start, size = place + 1, 0
    if start < len(texts):
        yield texts[start:]
