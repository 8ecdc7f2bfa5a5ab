"""How much of a text is repeated n-grams of words (Rae et al. 2021, appendix A1.1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

_LONGEST = 16
_KEYS: U64 = np.random.default_rng(20211208).integers(
    0, 2**64, _LONGEST, dtype=np.uint64
) | np.uint64(1)


class Repetition:
    """The n-grams of one text, counted by hash. Shares are of the characters in all its words."""

    def __init__(self, words: Sequence[str]) -> None:
        codes: dict[str, int] = {}
        self._words = np.array([codes.setdefault(w, len(codes)) for w in words], np.uint64)
        self._lengths = np.array([len(word) for word in words], np.int64)
        self._ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._lengths)))
        self._characters = max(int(self._ends[-1]), 1)
        # A longer n-gram can only be repeated where this one is.
        self._distinct_from = _LONGEST + 1

    def top_share(self, size: int) -> float:
        """Share that the most frequent n-gram covers (the longest of several); 0 if none occurs
        twice."""
        order, first = self._grouped(size)
        if order is None:
            return 0.0
        counts = np.diff(np.append(first, len(order)))
        most = int(counts.max())
        starts = order[first[counts == most]]
        longest = int((self._ends[starts + size] - self._ends[starts]).max())
        return longest * most / self._characters

    def repeated_share(self, size: int) -> float:
        """Share of the words in n-grams that stood in the text before; overlaps count once."""
        order, first = self._grouped(size)
        if order is None:
            return 0.0
        again = np.ones(len(order), bool)
        again[first] = False
        edges = np.zeros(len(self._words) + 1, np.int64)
        np.add.at(edges, order[again], 1)
        np.add.at(edges, order[again] + size, -1)
        covered = np.cumsum(edges)[:-1] > 0
        return int(self._lengths[covered].sum()) / self._characters

    def _grouped(self, size: int) -> tuple[I64, I64] | tuple[None, I64]:
        """The n-grams' starts sorted so that equal ones stand together in their order, and where
        each group begins; None when all are distinct."""
        n_grams = len(self._words) - size + 1
        none = np.zeros(0, np.int64)
        if n_grams < 2 or size >= self._distinct_from:
            return None, none
        keys = np.zeros(n_grams, np.uint64)
        for place in range(size):
            keys += (self._words[place : place + n_grams] + np.uint64(1)) * _KEYS[place]
        order = np.argsort(keys, kind="stable").astype(np.int64)
        ordered = keys[order]
        first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])).astype(np.int64)
        if len(first) == n_grams:
            self._distinct_from = size
            return None, none
        return order, first
