"""Clusters: connected components of pairs, who survives of each, and why the others go."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates import kernel
from llamakit.corpus.duplicates.candidates import WINDOW, pack

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Clusters:
    """Documents that are not alone, ascending; `first` is the smallest of each one's cluster."""

    members: I64
    first: I64


def components(pairs: I64) -> Clusters:
    """The connected components of pairs (n, 2)."""
    members, places = np.unique(pairs, return_inverse=True)
    parent = np.arange(len(members))
    kernel.union(np.ascontiguousarray(places.reshape(-1, 2)), parent)
    return Clusters(members, members[parent])


def survivors(clusters: Clusters, rank: I64) -> I64:
    """For each member the one that survives in its cluster: the lowest rank, then the first."""
    order = np.lexsort((clusters.members, rank, clusters.first))
    groups, starts = np.unique(clusters.first[order], return_index=True)
    best = clusters.members[order][starts]
    return best[np.searchsorted(groups, clusters.first)]


def similarity_of(pairs: I64, known: I64, similarities: F64) -> F64:
    """The similarities of pairs as far as they are among the `known`, which ascend; else NaN."""
    ends = np.sort(pairs, axis=1)
    wanted, have = pack(ends[:, 0], ends[:, 1]), pack(known[:, 0], known[:, 1])
    place = np.minimum(np.searchsorted(have, wanted), max(len(have) - 1, 0))
    if not len(have):
        return np.full(len(pairs), np.nan)
    return np.where(have[place] == wanted, similarities[place], np.nan)


def with_copies(pairs: I64, similarities: F64, copies: I64) -> tuple[I64, F64]:
    """The pairs of first copies, and those that follow from them by exact `copies` (first, later):
    ascending, with their similarities. Of a text with very many copies only the first stands for
    the others, which are paired with it."""
    alike: dict[int, list[int]] = {}
    for first, later in copies.tolist():
        alike.setdefault(first, [first]).append(later)
    few = {first: texts for first, texts in alike.items() if len(texts) <= WINDOW}
    found = [(first, later, 1.0) for first, later in copies.tolist()]
    for texts in few.values():
        found += [(min(pair), max(pair), 1.0) for pair in combinations(texts[1:], 2)]
    touched = np.isin(pairs, np.array(sorted(few), np.int64)).any(axis=1)
    for (one, other), degree in zip(
        pairs[touched].tolist(), similarities[touched].tolist(), strict=True
    ):
        for a, b in product(few.get(one, [one]), few.get(other, [other])):
            found.append((min(a, b), max(a, b), degree))
    more = np.array(found, np.float64).reshape(-1, 3)
    whole = np.concatenate([pairs[~touched], more[:, :2].astype(np.int64)])
    degrees = np.concatenate([similarities[~touched], more[:, 2]])
    order = np.lexsort((whole[:, 1], whole[:, 0]))
    return whole[order], degrees[order]


def closest(documents: I64, pairs: I64, similarities: F64) -> tuple[I64, F64]:
    """For each document, ascending, its most similar neighbour among the pairs, the first of
    equals; every document is in one of them."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    alike = np.concatenate([similarities, similarities])
    mine = np.isin(both[:, 0], documents)
    both, alike = both[mine], alike[mine]
    order = np.lexsort((both[:, 1], -alike, both[:, 0]))
    _, starts = np.unique(both[order, 0], return_index=True)
    best = order[starts]
    return both[best, 1], alike[best]
