"""Clusters: connected components of pairs, the document of each that survives, and why the others
go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates import kernel
from llamakit.corpus.duplicates.candidates import pack

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
