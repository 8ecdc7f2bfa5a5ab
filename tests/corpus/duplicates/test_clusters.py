from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.duplicates.clusters import (
    closest,
    components,
    similarity_of,
    survivors,
    with_copies,
)

PAIRS = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1, max_size=20)


@given(PAIRS)
def test_components_name_their_smallest_member(pairs: list[tuple[int, int]]) -> None:
    expected = list(range(16))
    for _ in range(16):
        for one, other in pairs:
            expected[one] = expected[other] = min(expected[one], expected[other])
    found = components(np.array(pairs, np.int64))
    assert found.members.tolist() == sorted({end for pair in pairs for end in pair})
    assert found.first.tolist() == [expected[member] for member in found.members]


def test_the_lowest_rank_survives_and_then_the_first() -> None:
    clusters = components(np.array([[1, 4], [4, 6], [2, 9]]))
    assert clusters.members.tolist() == [1, 2, 4, 6, 9]
    assert survivors(clusters, np.array([0, 0, 0, 0, 0])).tolist() == [1, 2, 1, 1, 2]
    assert survivors(clusters, np.array([5, 5, 3, 3, 4])).tolist() == [4, 9, 4, 4, 9]


def test_what_is_known_of_pairs() -> None:
    known, alike = np.array([[1, 4], [4, 6], [4, 7]]), np.array([0.8, 0.9, 0.9])
    asked = np.array([[6, 4], [1, 6], [1, 4], [9, 9]])
    assert np.array_equal(
        similarity_of(asked, known, alike), [0.9, np.nan, 0.8, np.nan], equal_nan=True
    )
    neighbours, degrees = closest(np.array([1, 4, 7]), known, alike)
    assert neighbours.tolist() == [4, 6, 4]
    assert degrees.tolist() == [0.8, 0.9, 0.9]


def test_pairs_follow_from_copies() -> None:
    pairs, alike = np.array([[0, 2], [5, 6]]), np.array([0.9, 0.8])
    copies = np.array([[0, 3], [2, 4], [0, 7]])
    found, degrees = with_copies(pairs, alike, copies)
    one, other = [0, 3, 7], [2, 4]
    expected = {(min(p), max(p)): 0.9 for p in product(one, other)} | {(5, 6): 0.8}
    expected |= {(0, 3): 1.0, (0, 7): 1.0, (3, 7): 1.0, (2, 4): 1.0}
    assert dict(zip(map(tuple, found.tolist()), degrees.tolist(), strict=True)) == expected
    assert len(found) == len(expected)
