"""Answers are compared as the protocols say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from llamakit.evaluation.exact_match import (
    contains_answer,
    is_exact,
    normalise,
    number_in,
    short_answer,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Beatles!", "beatles"),
        ("a cat, an owl & the dog", "cat owl dog"),
        ("theatre", "theatre"),
        ("U.S.A.", "usa"),
        ("14 December 1972 UTC", "14 december 1972 utc"),
        ("rock ’n’ roll", "rock n roll"),
        ("Cafe\u0301", "caf\u00e9"),
        ("Ärger", "ärger"),
        ("The", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Paris.\nQ: Who", "Paris"),
        ("\nParis,", "Paris"),
        (" J. R. R. Tolkien.", "J. R. R. Tolkien"),
        ("", ""),
    ],
)
def test_short_answer(text: str, expected: str) -> None:
    assert short_answer(text) == expected


def test_any_alias_will_do() -> None:
    assert is_exact("the argentine republic", ["Argentina", "Argentine Republic"])
    assert not is_exact("Argentina, in 1982", ["Argentina"])
    assert contains_answer("It was Argentina, in 1982.", ["argentina"])
    assert not contains_answer("The Argentinas", ["Argentina"])


def test_an_answer_of_nothing_matches_only_itself() -> None:
    assert is_exact("The", ["The"])
    assert not is_exact("an", ["The"])
    assert not contains_answer("anything", ["The"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16 / 2 = 8 cheap ones.\n#### 64", "64"),
        ("#### 1,234", "1234"),
        ("#### $18.00", "18"),
        ("#### -5", "-5"),
        ("####12%", "12"),
        ("so 5 and 7 make 12.", "12"),
        ("It costs $1,250.50.", "1250.5"),
        ("−3", "-3"),
        ("0.0", "0"),
        ("100", "100"),
        (".5", "0.5"),
        ("#### 8\n\nQuestion: next\n#### 9", "8"),
        ("#### none", None),
        ("no number", None),
        ("", None),
    ],
)
def test_number_in(text: str, expected: str | None) -> None:
    assert number_in(text) == expected


def test_every_gsm8k_solution_has_its_number(real_data: Path) -> None:
    with gzip.open(real_data / "eval" / "gsm8k_test.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line)["answer"] for line in lines]
    for answer in answers:
        written = answer.rsplit("####", 1)[1].strip().replace(",", "")
        assert number_in(answer) == written
