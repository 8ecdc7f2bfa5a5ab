from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.mixing.plan import (
    Component,
    Plan,
    plan_by_factor,
    plan_by_weight,
    table,
    weights_by_temperature,
)


def component(name: str, size: int, most: float = 1.0) -> Component:
    return Component(name, documents=3, distinct=size, size=size, most=most)


SIZES = [component("a", 1_000), component("b", 100), component("c", 500)]


def factors(plans: list[Plan]) -> dict[str, float]:
    return {plan.component.name: pytest.approx(plan.factor) for plan in plans}


def test_weights_are_shares_of_tokens() -> None:
    plans = plan_by_weight(SIZES, {"a": 2, "c": 2}, 400, 4)
    assert factors(plans) == {"a": 0.2, "b": 0.0, "c": 0.4}
    assert [plan.asked for plan in plans] == [0.5, 0.0, 0.5]


def test_what_the_cap_takes_the_others_share_by_their_weights() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 2, "c": 1}, 1_600, 4)
    # b would be read 8 times; of the 1,200 left a and c take half each.
    assert factors(plans) == {"a": 0.6, "b": 4.0, "c": 1.2}
    assert [plan.capped for plan in plans] == [False, True, False]
    assert [plan.asked for plan in plans] == [0.25, 0.5, 0.25]


def test_the_cap_holds_for_the_most_read_source_of_a_mixture() -> None:
    nested = Component("web", documents=3, distinct=400, size=600, most=3.0)
    plans = plan_by_weight([nested, component("books", 1_000)], {"web": 1, "books": 1}, 2_000, 4)
    assert factors(plans) == {"web": 4 / 3, "books": 1.2}
    assert plans[0].capped
    assert plans[0].epochs == pytest.approx(2.0)


def test_all_capped_falls_short_of_the_budget() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 1, "c": 1}, 10_000, 2)
    assert sum(plan.wanted for plan in plans) == 2 * 1_600


def test_factors_count_readings() -> None:
    assert factors(plan_by_factor(SIZES, {"b": 2.5}, None, 4)) == {"a": 1.0, "b": 2.5, "c": 1.0}
    assert factors(plan_by_factor(SIZES, {"b": 9}, None, 4))["b"] == 4
    scaled = plan_by_factor(SIZES, {"b": 3}, 900, 4)
    assert factors(scaled) == {"a": 0.5, "b": 1.5, "c": 0.5}


def test_temperature() -> None:
    def shares(temperature: float) -> list[float]:
        weights = weights_by_temperature(SIZES, temperature)
        return [weight / sum(weights.values()) for weight in weights.values()]

    assert shares(1) == pytest.approx([0.625, 0.0625, 0.3125])
    roots = [1_000**0.5, 100**0.5, 500**0.5]
    assert shares(2) == pytest.approx([root / sum(roots) for root in roots])
    # mT5's exponent 0.3 is a temperature of 1 / 0.3.
    assert shares(1 / 0.3) == pytest.approx(
        [c.size**0.3 / sum(d.size**0.3 for d in SIZES) for c in SIZES]
    )
    assert shares(1e9) == pytest.approx([1 / 3] * 3)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=6),
    st.lists(st.floats(0.01, 100), min_size=6, max_size=6),
    st.lists(st.floats(1, 8), min_size=6, max_size=6),
    st.floats(1, 1e6),
    st.floats(0.1, 10),
)
def test_the_budget_is_met_unless_all_are_capped(
    sizes: list[int], weights: list[float], most: list[float], budget: float, cap: float
) -> None:
    known = [component(str(n), size, most[n]) for n, size in enumerate(sizes)]
    shares = {str(n): weight for n, weight in enumerate(weights)}
    plans = plan_by_weight(known, shares, budget, cap)
    total = sum(plan.wanted for plan in plans)
    assert total == pytest.approx(min(budget, sum(c.size * cap / c.most for c in known)))
    assert all(plan.factor <= cap / plan.component.most * (1 + 1e-9) for plan in plans)
    free = [plan for plan in plans if not plan.capped]
    ratios = [plan.wanted / shares[plan.component.name] for plan in free]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)) if ratios else True


def test_table() -> None:
    plans = plan_by_weight(SIZES, {"a": 1, "b": 1}, 1_000, 4)
    lines = table(plans, [600, 400, 0], "tokens", "input")
    assert len(lines) == 4
    assert "(capped)" in lines[2]
    assert lines[0].startswith("input ")
    assert "50.0%" in lines[1]
    assert "60.0%" in lines[1]
