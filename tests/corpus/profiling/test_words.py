from __future__ import annotations

import random
import unicodedata

import polars as pl
import pytest

from llamakit.corpus.profiling.terms import GENDER_SETS, PERSONS, identity_terms
from llamakit.corpus.profiling.words import as_patterns, contains_any, found_on, spelled

PIECES = [
    *("she", "He", "HERS", "they", "them", "it", "I", "you", "we", "the", "her", "a"),
    *("African", "American", "non-binary", "two", "spirit", "gay", "élan", "naïve", "者", "_x"),
]
GAPS = [" ", "  ", "\n", "-", "'", "’", ". ", "—", "/", "", "\u00a0"]


def _words(text: str) -> list[str]:
    """Slowly: runs of letters, marks, digits and connectors."""
    marked = "".join(
        c if unicodedata.category(c)[0] in "LM" or unicodedata.category(c) in ("Nd", "Pc") else " "
        for c in text.lower()
    )
    return marked.split()


def _holds(text: str, term: str) -> bool:
    words, wanted = _words(text), _words(term)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words)))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = random.Random(0)
    return [
        "".join(rng.choice(PIECES) + rng.choice(GAPS) for _ in range(rng.randint(0, 8)))
        for _ in range(400)
    ]


def test_sets_against_a_slow_reading(texts: list[str]) -> None:
    spelt = spelled(pl.Series(texts))
    for words in (*GENDER_SETS.values(), *PERSONS.values()):
        wanted = [any(_holds(text, word) for word in words) for text in texts]
        assert contains_any(spelt, words).to_list() == wanted


def test_terms_against_a_slow_reading(texts: list[str]) -> None:
    lists = identity_terms()
    found = found_on(spelled(pl.Series(texts)), lists)
    wanted = {
        (row, name, as_patterns([term])[0].strip())
        for row, text in enumerate(texts)
        for name, terms in lists.items()
        for term in terms
        if _holds(text, term)
    }
    assert set(found.select("row", "list", "term").iter_rows()) == wanted
    assert len(found) == len(wanted)


def test_neighbours_share_a_blank_and_a_term_may_stand_in_two_lists() -> None:
    lists = {"a": ("gay", "african american"), "b": ("gay", "American")}
    found = found_on(spelled(pl.Series(["gay gay african  American"])), lists)
    assert sorted(found.select("list", "term").iter_rows()) == [
        *(("a", "african american"), ("a", "gay"), ("b", "american"), ("b", "gay"))
    ]


def test_apostrophes_and_case_part_words_but_letters_do_not() -> None:
    spelt = spelled(pl.Series(["They’re", "theyre", "THEY", "s/he", ""]))
    assert contains_any(spelt, ["they"]).to_list() == [True, False, True, False, False]
    assert contains_any(spelt, ["he"]).to_list() == [False, False, False, True, False]


def test_nothing_of_nothing() -> None:
    spelt = spelled(pl.Series([], dtype=pl.String))
    assert contains_any(spelt, ["he"]).to_list() == []
    assert found_on(spelt, {"a": ("x",)}).is_empty()
