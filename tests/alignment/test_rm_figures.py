"""What is said of a reward model, against counting by hand and against other implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llamakit.alignment.agreement import ScoredPair, calibration_error
from llamakit.alignment.consensus import consensus
from llamakit.alignment.length_bias import length_bias
from llamakit.alignment.preferences import Pair
from llamakit.alignment.rm_figures import figures, groups, measures


def scored(
    chosen: float,
    rejected: float,
    longer_by: int = 0,
    row: int = 0,
    grade: str | None = None,
    safety: str | None = None,
) -> ScoredPair:
    """A pair whose chosen answer has so many tokens more."""
    lengths = 10 + max(0, longer_by), 10 + max(0, -longer_by)
    one, other = (np.zeros(length, np.int32) for length in lengths)
    return ScoredPair(
        Pair("x", one, other, grade, safety, "test", start=0, row=row), chosen, rejected
    )


def drawn(n: int, seed: int) -> list[ScoredPair]:
    draws = np.random.default_rng(seed)
    return [
        scored(*draws.normal(size=2).tolist(), longer_by=int(draws.integers(-5, 6)), row=row)
        for row in range(n)
    ]


def test_length_bias_counts() -> None:
    pairs = [
        scored(1, 0, longer_by=3),
        scored(0, 1, longer_by=2),
        scored(2, 0, longer_by=-1),
        scored(0, 2, longer_by=-4),
        scored(0, 3, longer_by=-4),
        scored(1, 0, longer_by=0),
    ]
    bias = length_bias(pairs)
    assert bias.length_only.value == pytest.approx((2 + 0.5) / 6)
    assert (bias.chosen_longer.value, bias.chosen_longer.n) == (0.5, 2)
    assert (bias.chosen_shorter.value, bias.chosen_shorter.n) == (pytest.approx(1 / 3), 3)
    assert bias.balanced == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert (bias.follows_length.value, bias.follows_length.n) == (pytest.approx(3 / 5), 5)


def test_a_model_that_counts_words_is_found_out() -> None:
    pairs = [scored(m.bit_length() * 0.1 + m, 0, longer_by=m) for m in range(-9, 12) if m]
    bias = length_bias(pairs)
    assert bias.follows_length.value == 1.0
    assert bias.correlation.value > 0.99
    assert (bias.chosen_longer.value, bias.chosen_shorter.value, bias.balanced) == (1.0, 0.0, 0.5)


def test_consensus_counts_pairs_in_common() -> None:
    first = [
        scored(1, 0, row=0, grade="better"),
        scored(1, 0, row=1, grade="better"),
        scored(0, 1, row=2, safety="both_safe"),
        scored(0, 1, row=3),
        scored(5, 5, row=4),
        scored(9, 0, row=77),
    ]
    second = [scored(*s, row=row) for row, s in enumerate([(2, 0), (0, 2), (3, 0), (0, 4), (1, 0)])]
    found = consensus(first, second)
    assert found.same.n == 5
    assert found.same.value == 2 / 5
    assert found.both_right.value == 1 / 5
    assert found.first_alone.value == 1 / 5
    assert found.second_alone.value == 2 / 5  # a tie is a miss
    assert found.both_wrong.value == 1 / 5
    assert {name: one.value for name, one in found.groups.items()} == {
        "better": 0.5, "both_safe": 0.0,
    }  # fmt: skip
    assert consensus(first, first).scores.value == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no pair in common"):
        consensus(first[-1:], second)


def test_correlations_equal_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = drawn(60, 1), drawn(60, 2)
    found = consensus(first, second)
    a = [[one.chosen, one.rejected] for one in first]
    b = [[one.chosen, one.rejected] for one in second]
    spearman = stats.spearmanr(np.ravel(a), np.ravel(b)).statistic
    assert found.scores.value == pytest.approx(spearman, abs=1e-12)
    wanted = stats.pearsonr(np.subtract(*np.transpose(a)), np.subtract(*np.transpose(b)))
    low, high = wanted.confidence_interval(0.95)
    assert found.differences.value == pytest.approx(wanted.statistic, abs=1e-12)
    assert (found.differences.low, found.differences.high) == pytest.approx((low, high), abs=1e-9)


def test_calibration_error_is_zero_where_the_loss_is_the_truth() -> None:
    """Pairs that the annotator prefers with just the probability that the scores give."""
    draws = np.random.default_rng(0)
    pairs = []
    for gap in np.abs(draws.normal(0, 1.5, 20_000)).tolist():
        right = draws.random() < 1 / (1 + math.exp(-gap))
        pairs.append(scored(gap, 0) if right else scored(0, gap))
    assert calibration_error(pairs) < 0.015
    sharper = [scored(4 * one.chosen, 4 * one.rejected) for one in pairs]
    assert calibration_error(sharper) > 0.1
    assert math.isnan(calibration_error([]))


def test_calibration_error_by_hand() -> None:
    even = math.log(0.52 / 0.48)  # predicts .52
    pairs = [scored(even, 0), scored(0, even), scored(50, 0), scored(50, 0), scored(0, 50)]
    assert calibration_error(pairs) == pytest.approx(
        2 / 5 * abs(0.52 - 1 / 2) + 3 / 5 * abs(1.0 - 2 / 3)
    )


def test_figures_hold_only_what_is_known() -> None:
    assert figures([], None) == {}
    pairs = [scored(1, 0, longer_by=2, grade="better"), scored(0, 1, longer_by=1, grade="better")]
    found = figures(pairs, None)
    assert all(math.isfinite(value) for value in found.values())
    assert found["agreement"] == found["agreement_grade_better"] == 0.5
    assert "agreement_chosen_shorter" not in found  # there is none
    assert math.isnan(measures(pairs, None)["agreement_chosen_shorter"].value)
    assert list(groups(pairs)) == ["grade better"]
