from __future__ import annotations

import re
import unicodedata

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.duplicates.shingles import shingle, similarities
from llamakit.corpus.duplicates.texts import Texts, encode, slices

ALPHABET = "ab Cé\n.,-0_ ß\u0301\u0327कि日本語ไทย\0İ\u1100\u1161𝒳😀\ufb03\xa0"
UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff]")


def texts_of(texts: list[str]) -> Texts:
    return encode(pl.Series(texts, dtype=pl.String))


def slow_words(text: str) -> list[str]:
    text = unicodedata.normalize("NFC", text)
    kinds = [kind(letter.casefold()[0]) for letter in text]
    characters = kinds.count("alone") > kinds.count("letter")
    words: list[str] = []
    current = ""
    for letter in "".join(letter.casefold() for letter in text):
        if (kind(letter) == "letter" and not characters) or (kind(letter) == "mark" and current):
            current += letter
            continue
        if current:
            words.append(current)
            current = ""
        if kind(letter) in ("alone", "letter"):
            words.append(letter)
    return [*words, current] if current else words


def kind(letter: str) -> str:
    category = unicodedata.category(letter)[0]
    if category not in "LNM" and letter != "_":
        return "other"
    if UNSPACED.match(letter):
        return "alone"
    return "mark" if category == "M" else "letter"


def slow_ngrams(text: str, size: int) -> list[tuple[str, ...]]:
    words = slow_words(text)
    if len(words) < size:
        return [tuple(words)] if words else []
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


@given(st.lists(st.text(ALPHABET, max_size=40), max_size=6), st.integers(1, 4))
def test_shingles_are_equal_exactly_where_the_ngrams_are(texts: list[str], size: int) -> None:
    found = shingle(texts_of(texts), size)
    expected = [list(dict.fromkeys(slow_ngrams(text, size))) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(grams) for grams in expected]
    flat = [gram for grams in expected for gram in grams]
    meaning = dict(zip(found.hashes.tolist(), flat, strict=True))
    assert len(meaning) == len(set(flat))
    assert [meaning[h] for h in found.hashes.tolist()] == flat


def test_words_are_those_of_a_regular_expression() -> None:
    text = "It's a snake_case_word, 3.14 and naïve Ünïts; ΣΊΣΥΦΟΣ Привет_мир x2."
    assert slow_words(text) == re.findall(r"\w+", text.casefold())


def test_slices_change_nothing() -> None:
    texts = [
        "one two three four five six",
        "x" * 300_000 + " y" * 9_000,
        "",
        "sechs mal fünf gibt dreißig nicht",
    ]
    series = pl.Series(texts)
    pieces = [(start, shingle(piece, 5)) for start, piece in slices(series, 30)]
    assert [start for start, _ in pieces] == [0, 1, 2, 3] or [s for s, _ in pieces] == [0, 1, 2]
    together = np.concatenate([piece.hashes for _, piece in pieces])
    apart = np.concatenate([shingle(texts_of([text]), 5).hashes for text in texts])
    assert together.tolist() == apart.tolist()


@given(st.lists(st.text("abc ", min_size=1, max_size=30), min_size=1, max_size=5))
def test_similarities_are_those_of_sets(texts: list[str]) -> None:
    sets = [set(slow_ngrams(text, 2)) for text in texts]
    found = shingle(texts_of(texts), 2)
    pairs = [(one, other) for one in range(len(texts)) for other in range(len(texts))]
    expected = [len(sets[a] & sets[b]) / max(1, len(sets[a] | sets[b])) for a, b in pairs]
    assert similarities(found, found, np.array(pairs)).tolist() == expected
