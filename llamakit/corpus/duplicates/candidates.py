"""Pairs of documents that share a band of their signatures: those worth comparing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

WINDOW = 32
"""In a bucket of more documents each is paired with its next 32 and with the first only: a page
copied 10,000 times would otherwise make 50 million pairs, and these connect it all the same."""


def candidate_pairs(bands: Iterable[U64], items: I64) -> I64:
    """Distinct pairs (n_pairs, 2) of `items` with equal keys in any band, smaller index first.

    Args:
        bands: for each band the keys of `items`; one band is in memory at a time.
        items: ascending indices, below 2^32.
    """
    found = np.zeros(0, np.uint64)
    for keys in bands:
        found = np.union1d(found, _pairs_of_band(keys, items))
    pairs = np.empty((len(found), 2), np.int64)
    pairs[:, 0] = found >> np.uint64(32)
    pairs[:, 1] = found & np.uint64(0xFFFFFFFF)
    return pairs


def _pairs_of_band(keys: U64, items: I64) -> U64:
    order = np.argsort(keys, kind="stable")
    sorted_keys, members = keys[order], items[order].astype(np.uint64)
    found: list[U64] = []
    for distance in range(1, WINDOW + 1):
        same = np.flatnonzero(sorted_keys[distance:] == sorted_keys[:-distance])
        if not len(same):
            return np.concatenate(found) if found else np.zeros(0, np.uint64)
        found.append(_pack(members[same], members[same + distance]))
    # Buckets larger than the window: join every further member to the bucket's first.
    starts = np.append(True, sorted_keys[1:] != sorted_keys[:-1])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    far = np.flatnonzero(np.arange(len(starts)) - first > WINDOW)
    return np.concatenate([*found, _pack(members[first[far]], members[far])])


def _pack(small: U64, large: U64) -> U64:
    return small << np.uint64(32) | large
