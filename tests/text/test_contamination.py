from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llamakit.text import contamination
from llamakit.text.contamination import TEMPLATE_ITEMS, Protected, protect, word_tokens

TOKENS = st.lists(st.integers(1, 3), max_size=24)


def as_tokens(values: list[int]) -> NDArray[np.uint64]:
    return np.array(values, np.uint64)


def slow_marks(
    items: list[list[int]], documents: list[list[int]], length: int, skips: int
) -> dict[int, list[bool]]:
    """Every pair of places compared, as the definition reads."""
    in_items: Counter[tuple[int, ...]] = Counter()
    for item in items:
        in_items.update({tuple(item[i : i + length]) for i in range(len(item) - length + 1)})
    found = {}
    for index, item in enumerate(items):
        marks = [False] * len(item)
        for start in range(len(item) - length + 1):
            gram = item[start : start + length]
            if in_items[tuple(gram)] >= TEMPLATE_ITEMS:
                continue
            for document in documents:
                for place in range(len(document) - length + 1):
                    if document[place : place + length] != gram:
                        continue
                    end, wrong = length, 0
                    for offset in range(length, min(len(item) - start, len(document) - place)):
                        if item[start + offset] == document[place + offset]:
                            end = offset + 1
                        else:
                            wrong += 1
                            if wrong > skips:
                                break
                    marks[start : start + end] = [True] * end
        if any(marks):
            found[index] = marks
    return found


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(TOKENS, min_size=1, max_size=14),
    st.lists(TOKENS, min_size=1, max_size=3),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_matches_against_the_slow_reading(
    items: list[list[int]], documents: list[list[int]], length: int, skips: int
) -> None:
    index = protect([as_tokens(item) for item in items], length=length, skips=skips)
    matches = list(index.matches([as_tokens(document) for document in documents]))
    marks = {item: found.tolist() for item, found in index.marks(matches).items()}
    assert marks == slow_marks(items, documents, length, skips)


def test_matches_are_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    item = as_tokens([1, 2, 1, 2, 1, 2, 1])
    documents = [item, as_tokens([3]), np.tile(item, 3), as_tokens([]), item, item]
    index = protect([item, item[1:]], length=2, skips=1)
    whole = list(index.matches(documents))
    assert len(whole) > 100
    for room in (1, 7, 40, len(whole)):
        monkeypatch.setattr(contamination, "_MATCHES", room)
        assert list(index.matches(documents)) == whole


def test_a_match_bridges_as_many_tokens_as_it_may() -> None:
    item = list(range(1, 31))
    index = protect([as_tokens(item)])
    document = item.copy()
    for place in (12, 15, 18, 21):
        document[place] = 99
    (first, *_) = index.matches([as_tokens(document)])
    assert (first.start, first.length) == (0, 30)
    document[24] = 99
    (first, *_) = index.matches([as_tokens(document)])
    assert (first.start, first.length) == (0, 24)


def test_an_item_is_contaminated_as_far_as_its_tokens_are() -> None:
    item = as_tokens(list(range(1, 41)))
    index = protect([item])
    marks = index.marks(list(index.matches([item[5:25]])))
    assert index.share(0, marks[0]) == pytest.approx(20 / 40)


def test_a_template_is_nobody_s() -> None:
    stem = list(range(1, 16))
    items = [as_tokens([*stem, *range(100 * n, 100 * n + 20)]) for n in range(1, 13)]
    index = protect(items)
    assert list(index.matches([as_tokens(stem)])) == []
    marks = index.marks(list(index.matches([items[3]])))
    assert list(marks) == [3]
    assert index.share(3, marks[3]) == 1.0
    assert protect(items[: TEMPLATE_ITEMS - 1]).marks(
        list(protect(items[: TEMPLATE_ITEMS - 1]).matches([as_tokens(stem)]))
    )


def test_short_items_cannot_be_found() -> None:
    index = protect([as_tokens([1, 2, 3]), as_tokens(list(range(20))), as_tokens([])])
    assert (len(index), index.findable()) == (3, 1)
    assert list(index.matches([as_tokens([1, 2, 3] * 10)])) == []
    assert list(protect([]).matches([as_tokens([1] * 20)])) == []


def test_words_are_compared_without_case_and_punctuation() -> None:
    same = ["The naïve Cat's 2nd hat!", "the NAÏVE cat s — 2nd… “hat”"]
    first, second = word_tokens(same)
    assert first.tolist() == second.tolist()
    assert len(first) == 6
    assert [len(tokens) for tokens in word_tokens(["", "市場は早い。", "a"])] == [0, 5, 1]
    assert word_tokens([]) == []


def test_an_index_is_kept(tmp_path: Path) -> None:
    item = as_tokens(list(range(30)))
    index = protect([item], length=8, skips=2)
    index.save(tmp_path / "index.npz")
    again = Protected.load(tmp_path / "index.npz")
    assert list(again.matches([item])) == list(index.matches([item]))
    assert (again.length, again.skips) == (8, 2)
