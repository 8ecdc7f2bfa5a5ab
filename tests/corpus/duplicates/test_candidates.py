from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.duplicates.candidates import WINDOW, candidate_pairs
from llamakit.corpus.duplicates.clusters import components, first_of_equal


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=20))
def test_all_pairs_of_small_buckets(rows: list[tuple[int, int]]) -> None:
    keys = np.array(rows, np.uint64).reshape(-1, 2).T
    items = np.arange(len(rows)) * 3 + 1
    expected = {
        (3 * i + 1, 3 * j + 1)
        for i, j in combinations(range(len(rows)), 2)
        if any(a == b for a, b in zip(rows[i], rows[j], strict=True))
    }
    pairs = candidate_pairs(iter(keys), items)
    assert [tuple(pair) for pair in pairs.tolist()] == sorted(expected)


def test_a_large_bucket_costs_linear_pairs_and_stays_connected() -> None:
    size = 5_000
    pairs = candidate_pairs(iter(np.zeros((1, size), np.uint64)), np.arange(size))
    assert len(pairs) <= (WINDOW + 1) * size
    assert (components(size, pairs) == 0).all()


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20))
def test_components_name_their_smallest_member(pairs: list[tuple[int, int]]) -> None:
    expected = list(range(16))
    for _ in range(16):
        for one, other in pairs:
            expected[one] = expected[other] = min(expected[one], expected[other])
    found = components(16, np.array(pairs, np.int64).reshape(-1, 2))
    assert found.tolist() == expected


def test_first_of_equal() -> None:
    keys = np.array([[1, 2], [3, 4], [1, 2], [1, 3]], np.uint64).view("V16").ravel()
    assert first_of_equal(keys).tolist() == [0, 1, 0, 3]
