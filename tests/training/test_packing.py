"""Best-fit packing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.training.packing import pack


@given(st.lists(st.integers(1, 50), max_size=80))
def test_every_item_once_and_no_row_overfull(lengths: list[int]) -> None:
    rows = pack(lengths, 50)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    assert all(sum(lengths[item] for item in row) <= 50 for row in rows)
    fewest = -(-sum(lengths) // 50)
    assert len(rows) <= 11 / 9 * max(fewest, sum(n > 25 for n in lengths)) * 1.5 + 1


def slow_best_fit(lengths: list[int], capacity: int) -> int:
    rooms: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [room for room in rooms if room >= length]
        if fitting:
            rooms.remove(min(fitting))
            rooms.append(min(fitting) - length)
        else:
            rooms.append(capacity - length)
    return len(rooms)


@given(st.lists(st.integers(1, 30), max_size=60))
def test_as_many_rows_as_the_obvious_version(lengths: list[int]) -> None:
    assert len(pack(lengths, 30)) == slow_best_fit(lengths, 30)


def test_an_item_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="an item of 9 does not fit into rows of 8"):
        pack([3, 9], 8)
