from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.profiling.lengths import QUANTILES, buckets, density, summary

LENGTHS = st.lists(st.integers(0, 10**7), min_size=1, max_size=60)


@given(LENGTHS, st.data())
def test_quantiles_err_by_less_than_a_hundredth(values: list[int], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(values), max_size=len(values)))
    found = summary(buckets(np.array(values), np.array(weights)), 0)["quantiles"]
    spread = sorted(v for v, n in zip(values, weights, strict=True) for _ in range(n))
    for q in QUANTILES:
        true = spread[max(0, int(np.ceil(q * len(spread))) - 1)]
        assert found[str(q)] <= true
        assert found[str(q)] >= true * 0.99 - 1e-9 if true >= 1000 else found[str(q)] == true


@given(LENGTHS, LENGTHS)
def test_parts_add_up_to_the_whole(one: list[int], other: list[int]) -> None:
    def of(values: list[int]) -> dict[str, int]:
        return buckets(np.array(values), np.ones(len(values), np.int64))

    first, second = of(one), of(other)
    both = {key: first.get(key, 0) + second.get(key, 0) for key in first | second}
    assert both == of(one + other)


def test_by_hand() -> None:
    found = buckets(np.array([0, 7, 7, 1_234, 98_765]), np.array([1, 1, 2, 1, 0]))
    assert found == {"0": 1, "7": 3, "1230": 1}
    assert summary(found, 1_255)["mean"] == 251
    assert summary(found, 1_255)["quantiles"]["0.5"] == 7
    assert density(found, [1, 10, 100, 10_000]) == [0.6, 0.0, 0.2]
    assert summary({}, 0)["mean"] is None
