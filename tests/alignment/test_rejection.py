"""Best of K: who wins, and what more samples would have gained."""

from __future__ import annotations

from itertools import combinations
from statistics import mean, median

import pytest

from llamakit.alignment.rejection import Candidate, best_of, order_statistic, reward_curves


def candidate(score: float, usable: bool = True) -> Candidate:
    return Candidate(f"{score}", score, gated=False, temperature=1.0, usable=usable)


def test_the_best_usable_answer_wins() -> None:
    held = [candidate(1.0), candidate(9.0, usable=False), candidate(3.0), candidate(3.0)]
    assert best_of(held) is held[2]
    assert best_of([candidate(1.0, usable=False)]) is None


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_expected_maximum_and_median_equal_all_subsets(n: int) -> None:
    scores = [[0.3, -1.0, 2.5, 0.0, 0.9], [5.0, 5.0, 4.0, -3.0, 1.0]]
    maxima, medians = reward_curves(scores)
    subsets = [list(combinations(one, n)) for one in scores]
    assert maxima[n - 1] == pytest.approx(mean(mean(map(max, held)) for held in subsets))
    assert medians[n - 1] == pytest.approx(mean(mean(map(median, held)) for held in subsets))


def test_order_statistics_of_all_scores_are_the_scores() -> None:
    assert [order_statistic([1.0, 2.0, 4.0], 3, rank) for rank in (1, 2, 3)] == [1.0, 2.0, 4.0]


def test_the_expected_maximum_grows_with_k() -> None:
    maxima, medians = reward_curves([[float(i * i % 11) for i in range(10)]])
    assert maxima == sorted(maxima)
    assert maxima[0] == pytest.approx(medians[0])
