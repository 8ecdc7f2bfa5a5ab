from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.mixing.draw import draw_repeats

DOCUMENTS = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 4)), min_size=1, max_size=60)


@settings(deadline=None)
@given(DOCUMENTS, st.floats(0, 5))
def test_each_document_is_read_its_times_or_one_more(
    documents: list[tuple[int, int]], factor: float
) -> None:
    sizes, repeats = (np.array(column) for column in zip(*documents, strict=True))
    drawn = draw_repeats(sizes, repeats, factor, seed=3, name="web")
    extra = drawn - np.floor(repeats * factor + 1e-9).astype(int)
    assert set(extra.tolist()) <= {0, 1}
    # Never further off than half the largest document.
    wanted = factor * (sizes * repeats).sum()
    assert abs((drawn * sizes).sum() - wanted) <= sizes.max() / 2 + 1e-6
    again = draw_repeats(sizes, repeats, factor, seed=3, name="web")
    assert drawn.tolist() == again.tolist()


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("factor", [0.013, 0.37, 1.5, 3.91])
def test_with_documents_enough_sizes_come_out_within_a_thousandth(
    spread: float, factor: float
) -> None:
    draws = np.random.default_rng(1)
    sizes = np.maximum(draws.lognormal(6, spread, 1_000).astype(int), 1)
    ones = np.ones_like(sizes)
    drawn = draw_repeats(sizes, ones, factor, seed=0, name="web")
    assert (drawn * sizes).sum() == pytest.approx(factor * sizes.sum(), rel=1e-3)


def test_chances_are_in_proportion_to_what_is_left() -> None:
    sizes, repeats = np.full(400, 10), np.array([1, 2] * 200)
    totals = np.zeros(400)
    for seed in range(300):
        totals += draw_repeats(sizes, repeats, 0.4, seed, "web")
    # Documents read twice by the inner mixture come twice as often.
    assert totals[1::2].mean() / totals[::2].mean() == pytest.approx(2, rel=0.05)
    assert totals.sum() / 300 == pytest.approx(0.4 * 600, rel=0.01)
    assert totals[::2].std() < 3 * np.sqrt(300 * 0.4 * 0.6)


def test_seed_and_name_draw_anew_and_more_documents_keep_the_first() -> None:
    sizes = np.random.default_rng(0).integers(1, 100, 500)
    ones = np.ones_like(sizes)
    first = draw_repeats(sizes, ones, 0.5, 0, "web")
    assert first.tolist() != draw_repeats(sizes, ones, 0.5, 1, "web").tolist()
    assert first.tolist() != draw_repeats(sizes, ones, 0.5, 0, "forum").tolist()
    # A larger share holds nearly all of a smaller one.
    more = draw_repeats(sizes, ones, 0.7, 0, "web")
    assert (first > more).sum() <= 8


def test_whole_epochs_draw_nothing() -> None:
    sizes, repeats = np.array([5, 7, 9]), np.array([1, 3, 1])
    assert draw_repeats(sizes, repeats, 2.0, 0, "a").tolist() == [2, 6, 2]
    assert draw_repeats(sizes, repeats, 1 / 3, 0, "a")[1] == 1
    assert draw_repeats(sizes, repeats, 0.0, 0, "a").tolist() == [0, 0, 0]
