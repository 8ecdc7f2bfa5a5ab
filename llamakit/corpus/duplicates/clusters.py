"""Connected components of pairs, each named by its smallest member."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


def components(n_items: int, pairs: I64) -> I64:
    """The smallest item each of `n_items` items is connected to, itself when it stands alone.

    Args:
        pairs: (n_pairs, 2) indices of items that belong together.
    """
    parent = {int(item): int(item) for item in np.unique(pairs)}

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs.tolist():
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    first = np.arange(n_items, dtype=np.int64)
    for item in parent:
        first[item] = root(item)
    return first


def first_of_equal(keys: NDArray[np.void]) -> I64:
    """For each key the index of its first occurrence."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    result: I64 = first[group].astype(np.int64)
    return result
