from __future__ import annotations

import sys

import pytest

from llamakit.corpus.pii import gazetteer
from llamakit.corpus.pii.detection import find_pii
from llamakit.errors import LlamakitError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Yesterday Jane Miller and Hans-Peter Schmidt met.", ["Jane Miller"]),
        ("My name is Rubija", ["Rubija"]),
        ("Dear Mrs. Okonkwo, Anna D. Yefremova's letter", ["Okonkwo", "Anna D. Yefremova"]),
        ("In May the New York Times met in Paris.", []),
        ("The Old Bridge Is Closed", []),
    ],
)
def test_people(text: str, names: list[str]) -> None:
    pytest.importorskip("faker")
    found = [text[span.start : span.end] for span in find_pii(text, ["person"], [])]
    assert [name for name in found if name in names] == names
    assert names or not found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("lives at 1668 Glyn St, London", "1668 Glyn St"),
        ("at 14 Crown Street Suite 12 now", "14 Crown Street Suite 12"),
        ("in der Hauptstraße 12a, Bonn", "Hauptstraße 12a"),
        ("Puruntie 82", "Puruntie 82"),
        ("Rua do Arenque 1634", "Rua do Arenque 1634"),
        ("P.O. Box 123", "P.O. Box 123"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert [text[s.start : s.end] for s in find_pii(text, ["address"], [])] == [address]


@pytest.mark.parametrize("text", ["During 1972", "in 1999 King won", "5 Apples"])
def test_no_addresses(text: str) -> None:
    assert find_pii(text, ["address"], []) == []


def test_a_missing_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faker", None)
    gazetteer.first_names.cache_clear()
    with pytest.raises(LlamakitError, match="not installed") as error:
        gazetteer.first_names()
    assert "llamakit[pii-names]" in str(error.value.fix)
    gazetteer.first_names.cache_clear()
