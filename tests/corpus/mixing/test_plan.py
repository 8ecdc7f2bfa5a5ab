from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.mixing.plan import draw_repeats, plan_by_factor, plan_by_weight, table

SIZES = {"a": 1_000, "b": 100, "c": 500}


def epochs(plans) -> dict[str, float]:  # type: ignore[no-untyped-def]
    return {plan.source: pytest.approx(plan.epochs) for plan in plans}


def test_weights_are_shares_of_tokens() -> None:
    plans = plan_by_weight(SIZES, {"a": 2, "c": 2}, 400, 4)
    assert epochs(plans) == {"a": 0.2, "b": 0.0, "c": 0.4}


def test_what_the_cap_takes_the_others_share_by_their_weights() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 2, "c": 1}, 1_600, 4)
    # b would be read 8 times; of the 1,200 left a and c take half each.
    assert epochs(plans) == {"a": 0.6, "b": 4.0, "c": 1.2}
    assert [plan.capped for plan in plans] == [False, True, False]


def test_all_capped_falls_short_of_the_budget() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 1, "c": 1}, 10_000, 2)
    assert sum(plan.wanted for plan in plans) == 2 * sum(SIZES.values())


def test_factors_count_readings() -> None:
    assert epochs(plan_by_factor(SIZES, {"b": 2.5}, None, 4)) == {"a": 1.0, "b": 2.5, "c": 1.0}
    assert epochs(plan_by_factor(SIZES, {"b": 9}, None, 4))["b"] == 4
    scaled = plan_by_factor(SIZES, {"b": 3}, 900, 4)
    assert epochs(scaled) == {"a": 0.5, "b": 1.5, "c": 0.5}


@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=6),
    st.lists(st.floats(0.01, 100), min_size=6, max_size=6),
    st.floats(1, 1e6),
    st.floats(0.1, 10),
)
def test_the_budget_is_met_unless_all_are_capped(
    sizes: list[int], weights: list[float], budget: float, cap: float
) -> None:
    named = {str(n): size for n, size in enumerate(sizes)}
    shares = {str(n): weight for n, weight in enumerate(weights)}
    plans = plan_by_weight(named, shares, budget, cap)
    total = sum(plan.wanted for plan in plans)
    assert total == pytest.approx(min(budget, cap * sum(sizes)))
    assert all(plan.epochs <= cap * (1 + 1e-9) for plan in plans)
    free = [plan for plan in plans if not plan.capped]
    ratios = [plan.wanted / shares[plan.source] for plan in free]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) if ratios else True


@given(st.lists(st.integers(1, 500), min_size=1, max_size=60), st.floats(0, 5))
def test_partial_epochs_hit_their_size_within_a_document(sizes: list[int], wanted: float) -> None:
    array = np.array(sizes)
    repeats = draw_repeats(array, wanted, seed=3, stream=1)
    assert abs(int((repeats * array).sum()) - wanted * array.sum()) <= max(sizes)
    assert set(repeats.tolist()) <= {int(wanted), int(wanted) + 1}
    assert repeats.tolist() == draw_repeats(array, wanted, seed=3, stream=1).tolist()


def test_table() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 1}, 1_000, 4)
    lines = table(plans, {"a": 10, "b": 5, "c": 1}, "tokens")
    assert len(lines) == 4
    assert "(capped)" in lines[2]
    assert "60.0%" in lines[1]
