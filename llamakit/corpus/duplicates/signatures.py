"""MinHash signatures, bit-identical to datasketch 2 (affine32), and the bands cut from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates import kernel
from llamakit.corpus.duplicates.alphabet import alphabet
from llamakit.corpus.duplicates.shingles import shingle_keys
from llamakit.corpus.duplicates.texts import Texts

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

SEED = 1
"""datasketch's default."""


@dataclass(frozen=True)
class Sketches:
    """What stands for n documents: `exact` (2, n), equal where the normalised texts are;
    `signatures` (n, num_perm); `n_shingles` (n,), none where there are no words."""

    exact: U64
    signatures: U32
    n_shingles: I64


def sketch(texts: Texts, ngram: int, num_perm: int, seed: int = SEED) -> Sketches:
    """Read each text once.

    The permutations are datasketch's, h -> a h + b modulo 2^32 with a odd, of the low 32 bits of a
    shingle's hash after the MurmurHash3 finaliser.
    """
    count = len(texts)
    found = Sketches(
        np.empty((2, count), np.uint64),
        np.empty((count, num_perm), np.uint32),
        np.zeros(count, np.int64),
    )
    table, room = alphabet(), kernel.WINDOW + ngram
    kernel.sketch(
        texts.data,
        texts.offsets,
        table.letters,
        table.entries,
        table.expansions,
        texts.by_character,
        shingle_keys(ngram),
        *permutations(num_perm, seed),
        found.exact,
        found.signatures,
        found.n_shingles,
        np.empty(room, np.uint64),
        np.empty(room, np.uint64),
        np.empty(room, np.uint32),
        np.empty(6, np.uint64),
    )
    return found


def band_keys(sketches: Sketches, bands: int, rows: int) -> U64:
    """One 64-bit key a band and document, (bands, documents): equal values, equal key; all ones
    for a document without words."""
    keys = np.empty((bands, len(sketches.n_shingles)), np.uint64)
    kernel.band_keys(sketches.signatures, sketches.n_shingles, bands, rows, keys)
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


@cache
def permutations(num_perm: int, seed: int = SEED) -> tuple[U32, U32]:
    """datasketch's draws, from numpy's frozen legacy generator."""
    random = np.random.RandomState(seed)
    a = random.randint(0, 2**31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return a, random.randint(0, 2**32, num_perm, dtype=np.uint32)
