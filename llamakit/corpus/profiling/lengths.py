"""Distributions of whole numbers that add up: counts of values, kept to three digits.

Values below 1,000 are exact, larger ones are rounded down to three significant digits, so that a
corpus of any size has a few thousand different ones and a quantile errs by less than 1%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_DIGITS = 3
_POWERS: I64 = 10 ** np.arange(19, dtype=np.int64)


def buckets(values: I64, weights: I64) -> dict[str, int]:
    """How much weight each rounded value has, as JSON keeps it (keys are texts)."""
    digits = np.searchsorted(_POWERS, values, side="right")
    unit = _POWERS[np.maximum(digits - _DIGITS, 0)]
    rounded, place = np.unique(values // unit * unit, return_inverse=True)
    sums = np.zeros(len(rounded), np.int64)
    np.add.at(sums, place, weights)
    return {str(v): n for v, n in zip(rounded.tolist(), sums.tolist(), strict=True) if n}


def summary(found: Mapping[str, int], total: int) -> dict[str, Any]:
    """Mean (of the exact `total`) and quantiles by nearest rank; None of nothing."""
    values, weights = _sorted(found)
    n = int(weights.sum())
    if not n:
        return {"mean": None, "quantiles": dict.fromkeys(map(str, QUANTILES))}
    reached = np.cumsum(weights)
    places = [int(np.searchsorted(reached, q * n)) for q in QUANTILES]
    quantiles = {str(q): int(values[p]) for q, p in zip(QUANTILES, places, strict=True)}
    return {"mean": total / n, "quantiles": quantiles}


def density(found: Mapping[str, int], edges: Sequence[float]) -> list[float]:
    """Shares (0-1) of the weight between neighbouring edges; what is outside is in no bin."""
    values, weights = _sorted(found)
    counts, _ = np.histogram(values, np.asarray(edges), weights=weights)
    share: list[float] = (counts / max(int(weights.sum()), 1)).tolist()
    return share


def _sorted(found: Mapping[str, int]) -> tuple[I64, I64]:
    pairs = sorted((int(value), n) for value, n in found.items())
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]
