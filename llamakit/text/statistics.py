"""Confidence intervals for rates, means and paired differences (pure numpy).

Resampling is deterministic: the same values and seed give the same interval. Intervals are
two-sided at 95% unless a level is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

# Indices of at most this many draws are held at once.
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval."""

    value: float
    low: float
    high: float
    n: int
    """Independent observations behind it."""


def wilson(successes: float, n: int, level: float = 0.95) -> Estimate:
    """The share `successes / n` with Wilson's score interval (Wilson 1927, uncorrected).

    Unlike the textbook interval it stays inside 0-1 and is not empty at 0 or n successes. With
    n = 0 nothing is known: the value is nan and the interval 0-1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return Estimate(float("nan"), 0.0, 1.0, 0)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    # Rounding must not cut the ends that are exactly 0 and 1 off their own value.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Estimate(share, low, high, n)


def bootstrap_mean(
    values: Sequence[float] | NDArray[np.float64],
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """The mean of `values` [n] with a percentile bootstrap interval (Efron 1979)."""
    array = np.asarray(values, dtype=np.float64)
    return bootstrap_ratio(array, np.ones_like(array), seed, resamples, level)


def bootstrap_ratio(
    numerators: Sequence[float] | NDArray[np.float64],
    denominators: Sequence[float] | NDArray[np.float64],
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """`sum(numerators) / sum(denominators)` [n each], resampled by pairs.

    For a rate over units of unequal size, such as the log-likelihood per byte of documents.
    """
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    if above.shape != below.shape or above.ndim != 1:
        raise ValueError(f"shapes {above.shape} and {below.shape} are not one list each")
    n = above.size
    if n == 0 or float(below.sum()) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), n)
    value = float(above.sum() / below.sum())
    generator = np.random.default_rng([seed, n])
    rows = max(1, min(resamples, _DRAWS_AT_ONCE // n))
    found = []
    for start in range(0, resamples, rows):
        picks = generator.integers(0, n, size=(min(rows, resamples - start), n))
        found.append(above[picks].sum(axis=1) / np.maximum(below[picks].sum(axis=1), 1e-300))
    edge = (1 - level) / 2
    low, high = np.quantile(np.concatenate(found), [edge, 1 - edge])
    return Estimate(value, float(low), float(high), n)


def paired_bootstrap(
    a: Sequence[float] | NDArray[np.float64],
    b: Sequence[float] | NDArray[np.float64],
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """The mean of `a - b` over the same items, with a percentile bootstrap interval.

    Resampling items and not the two lists apart removes the items' difficulty from the noise.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} and {second.size} values are not pairs")
    return bootstrap_mean(first - second, seed, resamples, level)


def correlation(
    a: Sequence[float] | NDArray[np.float64],
    b: Sequence[float] | NDArray[np.float64],
    level: float = 0.95,
) -> Estimate:
    """Pearson's correlation of two lists [n] with Fisher's interval (Fisher 1921).

    With fewer than four items, or where one list does not vary, what is not known is nan.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"shapes {first.shape} and {second.shape} are not one list each")
    unknown, n = float("nan"), first.size
    if n < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return Estimate(unknown, unknown, unknown, n)
    first, second = first - first.mean(), second - second.mean()
    value = float(first @ second / np.sqrt((first @ first) * (second @ second)))
    value = max(-1.0, min(1.0, value))
    if n < 4:
        return Estimate(value, unknown, unknown, n)
    if abs(value) == 1.0:
        return Estimate(value, value, value, n)
    half = NormalDist().inv_cdf((1 + level) / 2) / float(np.sqrt(n - 3))
    middle = float(np.arctanh(value))
    return Estimate(value, float(np.tanh(middle - half)), float(np.tanh(middle + half)), n)


def ranks(values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """The place of each value in their order, from 1; equal ones share the mean of their places."""
    array = np.asarray(values, dtype=np.float64)
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    shared: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return shared


def mean_of_runs(values: Sequence[float], level: float = 0.95) -> Estimate:
    """The mean of a few independent runs with Student's t interval (Student 1908).

    With one run nothing is known of the spread: the interval's ends are nan.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    mean = float(array.mean())
    if array.size == 1:
        return Estimate(mean, float("nan"), float("nan"), 1)
    half = _t_quantile((1 + level) / 2, array.size - 1) * float(
        array.std(ddof=1) / np.sqrt(array.size)
    )
    return Estimate(mean, mean - half, mean + half, array.size)


def _t_quantile(share: float, freedom: int) -> float:
    """Where Student's t distribution reaches `share` (above one half): its density integrated over
    an angle, t = sqrt(freedom) * tan(angle), where it is proportional to cos ** (freedom - 1)."""
    angles = np.linspace(0.0, np.pi / 2, 200_001)
    density = np.cos(angles) ** (freedom - 1)
    steps = (density[1:] + density[:-1]) / 2
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = (share - 0.5) * 2 * cumulative[-1]
    return float(np.sqrt(freedom) * np.tan(np.interp(wanted, cumulative, angles)))
