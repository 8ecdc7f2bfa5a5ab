"""The MinHash kernel: signatures of shingled documents, bit-identical to datasketch 2 (affine32).

Kept by itself: a compiled kernel may take its place, and must give the same bytes.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates.shingles import Shingles, mix64

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

EMPTY = np.uint32(2**32 - 1)
"""Every value of the signature of a document without shingles."""

_BLOCK = 2**15


def signatures(shingles: Shingles, num_perm: int, seed: int = 1) -> U32:
    """MinHash values, one row of `num_perm` a document.

    The permutations are datasketch's, h -> a h + b modulo 2^32 with a odd, of the low 32 bits of a
    shingle's hash after the MurmurHash3 finaliser.
    """
    a, b = _permutations(num_perm, seed)
    values = _mix32(shingles.hashes.astype(np.uint32))
    n_documents = len(shingles.offsets) - 1
    result = np.full((num_perm, n_documents), EMPTY, np.uint32)
    for first, last in _blocks(shingles.offsets):
        start, stop = shingles.offsets[first], shingles.offsets[last]
        filled = np.flatnonzero(np.diff(shingles.offsets[first : last + 1])) + first
        if not len(filled):
            continue
        block = values[start:stop]
        begins = shingles.offsets[filled] - start
        permuted = np.empty_like(block)
        for k in range(num_perm):
            np.multiply(block, a[k], out=permuted)
            np.add(permuted, b[k], out=permuted)
            result[k, filled] = np.minimum.reduceat(permuted, begins)
    return np.ascontiguousarray(result.T)


def band_keys(values: U32, bands: int, rows: int) -> U64:
    """One 64-bit key a band and document, (bands, documents): equal rows, equal key."""
    n_documents = len(values)
    keys = np.empty((bands, n_documents), np.uint64)
    for band in range(bands):
        key = np.full(n_documents, band, np.uint64)
        for row in range(rows):
            key = mix64(key * np.uint64(0x9E3779B97F4A7C15) + values[:, band * rows + row])
        keys[band] = key
    return keys


def choose_bands(similarity: float, num_perm: int, found: float = 0.9995) -> tuple[int, int]:
    """Bands and rows: the most selective banding that still finds a pair at the threshold with
    probability `found`. 25 x 5 for 0.8 of 128 permutations.

    A false candidate costs one comparison, since candidates are verified; a pair that is missed is
    lost. So recall decides, unlike in datasketch's choice (9 x 13).
    """
    best = (num_perm, 1)
    for rows in range(1, num_perm + 1):
        bands = num_perm // rows
        if 1 - (1 - similarity**rows) ** bands >= found:
            best = (bands, rows)
    return best


def _blocks(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of documents whose shingles fit the cache together (at least one document)."""
    blocks = []
    first, n_documents = 0, len(offsets) - 1
    while first < n_documents:
        last = int(np.searchsorted(offsets, offsets[first] + _BLOCK, side="right")) - 1
        last = min(max(last, first + 1), n_documents)
        blocks.append((first, last))
        first = last
    return blocks


def _mix32(values: U32) -> U32:
    """The 32-bit MurmurHash3 finaliser."""
    values = values ^ (values >> np.uint32(16))
    values = values * np.uint32(0x85EBCA6B)
    values = values ^ (values >> np.uint32(13))
    values = values * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


@cache
def _permutations(num_perm: int, seed: int) -> tuple[U32, U32]:
    """datasketch's draws, from numpy's frozen legacy generator."""
    random = np.random.RandomState(seed)
    a = random.randint(0, 2**31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.randint(0, 2**32, num_perm, dtype=np.uint32)
