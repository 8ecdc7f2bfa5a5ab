"""Checks decide from the text alone whether an instruction was obeyed."""

from __future__ import annotations

import pytest

from llamakit.errors import InputError
from llamakit.text.checks import holds, words


@pytest.mark.parametrize(
    ("kind", "value", "text", "obeyed"),
    [
        ("starts_with", "Ahoy", "Ahoy! The river is long.", True),
        ("starts_with", "Ahoy", '  "ahoy there"', True),
        ("starts_with", "Ahoy", "Well, ahoy!", False),
        ("starts_with", ["Ahoy", "Hark"], "Hark, the river.", True),
        ("ends_with", "over and out.", "It is long. Over and out.", True),
        ("ends_with", "over and out.", "Over and out. It is long.", False),
        ("contains", "honey", "Some Honey here", True),
        ("contains", "honey", "none", False),
        ("uppercase", None, "THE RIVER IS 12 KM LONG.", True),
        ("uppercase", None, "The RIVER", False),
        ("uppercase", None, "12", False),
        ("lowercase", None, "the river is 12 km.", True),
        ("lowercase", None, "The river", False),
        ("max_words", 4, "one two three-and four", True),
        ("max_words", 4, "one two three and four", False),
        ("language_marker", ["le", "la", "est"], "La rivière est longue", True),
        ("language_marker", ["le", "la", "est"], "The best lake", False),
    ],
)
def test_kinds(kind: str, value: object, text: str, obeyed: bool) -> None:
    assert holds({"kind": kind, "value": value}, text) is obeyed


@pytest.mark.parametrize("kind", ["starts_with", "contains", "uppercase", "max_words"])
def test_silence_obeys_nothing(kind: str) -> None:
    value = 5 if kind == "max_words" else "x"
    assert not holds({"kind": kind, "value": value}, " \n")


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="starts_with"):
        holds({"kind": "rhymes"}, "text")


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "starts_with", "value": 3},
        {"kind": "contains", "value": []},
        {"kind": "contains", "value": ["a", ""]},
        {"kind": "max_words", "value": "4"},
        {"kind": "max_words", "value": True},
    ],
)
def test_a_wrong_value_is_refused(check: dict[str, object]) -> None:
    with pytest.raises(InputError):
        holds(check, "some text")


def test_words_are_unicode_words() -> None:
    assert words("L'été, c'est 3 jours — non?") == ["L'été", "c'est", "3", "jours", "non"]
