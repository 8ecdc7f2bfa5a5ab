"""Intervals against published values, closed forms and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.text.statistics import bootstrap_mean, bootstrap_ratio, paired_bootstrap, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_newcombes_table(successes: int, n: int, low: float, high: float) -> None:
    estimate = wilson(successes, n)
    assert (round(estimate.low, 4), round(estimate.high, 4)) == (low, high)
    assert estimate.value == successes / n


def test_wilson_mirrors_and_handles_the_ends() -> None:
    few, many = wilson(3, 10), wilson(7, 10)
    assert few.low == pytest.approx(1 - many.high)
    assert wilson(10, 10).high == 1.0
    nothing = wilson(0, 0)
    assert math.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="11 successes of 10"):
        wilson(11, 10)


def test_bootstrap_is_near_the_normal_interval_and_repeatable() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    estimate = bootstrap_mean(values, seed=1)
    half = 1.96 * values.std() / math.sqrt(400)
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.05)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.05)
    assert estimate == bootstrap_mean(values, seed=1)
    assert estimate != bootstrap_mean(values, seed=2)


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(4)
    trials = 300
    covered = 0
    for trial in range(trials):
        estimate = bootstrap_mean(generator.exponential(1.0, 60), seed=trial, resamples=400)
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.88 <= covered / trials <= 0.98


def test_pairs_remove_the_items_difficulty() -> None:
    generator = np.random.default_rng(2)
    difficulty = generator.normal(0, 5, 200)
    a, b = difficulty + 0.3 + generator.normal(0, 0.5, 200), difficulty
    paired = paired_bootstrap(a, b, seed=0)
    assert paired.low > 0
    assert paired.value == pytest.approx(float(np.mean(a - b)))
    assert (
        paired.high - paired.low < 0.1 * (bootstrap_mean(a, 0).high - bootstrap_mean(a, 0).low) * 2
    )
    with pytest.raises(ValueError, match="not pairs"):
        paired_bootstrap([1.0], [1.0, 2.0], seed=0)


def test_ratio_weighs_units_by_their_size() -> None:
    estimate = bootstrap_ratio([10.0, 1.0], [100.0, 1.0], seed=0, resamples=500)
    assert estimate.value == pytest.approx(11 / 101)
    assert estimate.low == pytest.approx(0.1)
    assert estimate.high == pytest.approx(1.0)


def test_resampling_in_pieces_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(50.0)
    whole = bootstrap_mean(values, seed=3, resamples=200)
    monkeypatch.setattr("llamakit.text.statistics._DRAWS_AT_ONCE", 70)
    assert bootstrap_mean(values, seed=3, resamples=200) == whole


def test_no_values_give_no_number() -> None:
    assert math.isnan(bootstrap_mean([], seed=0).value)
