from __future__ import annotations

import re
import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.duplicates.shingles import distinct, fold, normalise, shingle, shingle_batches

ALPHABET = "ab Cé\n.,-0 ß\u0301कि日本ไทย\0"


def slow_words(text: str) -> list[str]:
    words: list[str] = []
    current = ""
    for letter in fold(text):
        alone = re.match(r"[\u0e00-\u0eff\u3040-\u30ff\u4e00-\u9fff]", letter) is not None
        in_word = unicodedata.category(letter)[0] in "LNM"
        if current and (alone or not in_word):
            words.append(current)
            current = ""
        if alone and in_word:
            words.append(letter)
        elif in_word:
            current += letter
    return [*words, current] if current else words


def slow_ngrams(text: str, size: int) -> list[tuple[str, ...]]:
    words = slow_words(text)
    if len(words) < size:
        return [tuple(words)] if words else []
    return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]


@given(st.lists(st.text(ALPHABET, max_size=40), max_size=6), st.integers(1, 4))
def test_shingles_are_equal_exactly_where_the_ngrams_are(texts: list[str], size: int) -> None:
    found = shingle(texts, size)
    expected = [slow_ngrams(text, size) for text in texts]
    assert np.diff(found.offsets).tolist() == [len(grams) for grams in expected]
    flat = [gram for grams in expected for gram in grams]
    meaning = dict(zip(found.hashes.tolist(), flat, strict=True))
    assert len(meaning) == len(set(flat))
    assert [meaning[h] for h in found.hashes.tolist()] == flat


def test_the_hash_does_not_depend_on_the_neighbours() -> None:
    texts = [
        "one two three four five six",
        "x" * 3_000_000,
        "",
        "sechs mal fünf gibt dreißig nicht",
    ]
    together = np.concatenate([b.hashes for b in shingle_batches(texts)])
    apart = np.concatenate([shingle([text]).hashes for text in texts])
    assert together.tolist() == apart.tolist()


def test_distinct() -> None:
    found = distinct(shingle(["a b a b a b", "", "c"], 2))
    assert np.diff(found.offsets).tolist() == [2, 0, 1]
    assert sorted(found.hashes[:2].tolist()) == found.hashes[:2].tolist()


def test_normalise() -> None:
    assert normalise(" Caf\u0065\u0301\n\tSTRASSE ") == "café strasse" == normalise("CAFÉ Straße")
