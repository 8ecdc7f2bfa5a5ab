"""Which documents a mixture reads, and how often, so that sizes come out as planned."""

from __future__ import annotations

import numpy as np
import xxhash
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

# Below this, a document's part of a reading is rounding in `repeats * factor`.
_NOTHING = 1e-9
_MOST_EXCHANGES = 4


def draw_repeats(sizes: I64, repeats: I64, factor: float, seed: int, name: str) -> I64:
    """How often each document of a component is read.

    Each gets the whole part of `repeats * factor`. Of what is left, documents are drawn with
    chances in proportion to their fractions (order sampling: Rosén 1997) up to the size wanted, and
    at last a few are added, left out or exchanged where that comes closer to it. The draw follows
    from the seed, the name and the documents' order alone.

    Args:
        sizes: tokens (or 1) a document.
        repeats: how often reading the component once reads each document: 1, or a mixture's count.
        factor: how often the component is read, e.g. 2.5.
    """
    exact = repeats * factor
    drawn: I64 = np.floor(exact + _NOTHING).astype(np.int64)
    chance = exact - drawn
    places = np.flatnonzero(chance > _NOTHING)
    if not len(places):
        return drawn
    wanted = factor * float((sizes * repeats).sum()) - float((sizes * drawn).sum())
    stream = np.random.default_rng([seed, xxhash.xxh64_intdigest(name.encode("utf-8"))])
    keys = stream.random(len(sizes))[places] / chance[places]
    order = np.argsort(keys, kind="stable")
    candidates = sizes[places][order]
    # The document that crosses the line is in when more than half of it fits.
    taken = np.cumsum(candidates) - candidates / 2 <= wanted
    for _ in range(_MOST_EXCHANGES):
        if not _exchange(candidates, taken, wanted):
            break
    drawn[places[order[taken]]] += 1
    return drawn


def _exchange(sizes: I64, taken: NDArray[np.bool_], wanted: float) -> bool:
    """Add, leave out or exchange the one document that brings the sum of what is taken closest;
    returns whether any did."""
    gap = wanted - float(sizes[taken].sum())
    if abs(gap) < 1:
        return False
    inside, outside = np.flatnonzero(taken), np.flatnonzero(~taken)
    # "No document", of size 0, stands on both sides for adding and leaving out.
    out_sizes = np.concatenate([[0], sizes[inside]]).astype(np.float64)
    by_size = np.argsort(sizes[outside], kind="stable")
    in_sizes = np.concatenate([[0], sizes[outside][by_size]]).astype(np.float64)
    right = np.searchsorted(in_sizes, out_sizes + gap).clip(0, len(in_sizes) - 1)
    left = np.maximum(right - 1, 0)
    misses = [np.abs(in_sizes[side] - out_sizes - gap) for side in (left, right)]
    better = np.where(misses[0] <= misses[1], left, right)
    miss = np.minimum(*misses)
    best = int(miss.argmin())
    if miss[best] >= abs(gap):
        return False
    if best:
        taken[inside[best - 1]] = False
    if better[best]:
        taken[outside[by_size[better[best] - 1]]] = True
    return True
