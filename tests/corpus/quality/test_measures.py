from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llamakit.corpus.quality.characters import TERMINALS
from llamakit.corpus.quality.measures import COLUMNS, measure
from llamakit.corpus.quality.scanning import STOP_WORDS

PIECES = [
    "a",
    "bb ",
    " the",
    "of.",
    "ß",
    "É",
    "é",
    "—",
    "…",
    "...",
    ". ",
    "# ",
    "{",
    "- ",
    "\n",
    "\n\n",
]
PIECES += [
    "\r\n",
    "\u2028",
    "\x85",
    "1 ",
    "x" * 40,
    "语。",
    "!",
    '"',
    "\t",
    "• ",
    "𝒜",
    "\U000e0001",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)


def slow(text: str) -> dict[str, float]:
    """The same measures, but for sentences, from Python's own string functions."""
    words = text.split()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paragraphs = [p.strip() for p in re.split(r"\n\s*\n", text) if p.strip()]
    n_words, n_lines = max(len(words), 1), max(len(lines), 1)
    stripped = {word.lower().strip('.,;:!?"()') for word in words}
    found = {
        "words": len(words),
        "word_length": sum(map(len, words)) / n_words,
        "hashes": text.count("#") / n_words,
        "ellipses": sum(w.count("...") + w.count("…") for w in words) / n_words,
        "alphabetic": sum(any(map(str.isalpha, w)) for w in words) / n_words if words else 1,
        "stop_words": len(stripped & set(STOP_WORDS)),
        "bullets": sum(line.startswith(tuple("•‣●*-–")) for line in lines) / n_lines,
        "trailing": sum(line.endswith(("...", "…")) for line in lines) / n_lines,
        "punctuated": sum(line.endswith(tuple(TERMINALS)) for line in lines) / n_lines,
        "short_lines": sum(len(line) <= 30 for line in lines) / n_lines,
        "newlines": text.count("\n") / n_words,
        "curly_brackets": text.count("{"),
    }
    if not words:
        found |= {"punctuated": 1, "newlines": 0}
    for name, units in (("line", lines), ("paragraph", paragraphs)):
        distinct = set(units)
        characters = max(sum(map(len, units)), 1)
        found[f"repeated_{name}s"] = (len(units) - len(distinct)) / max(len(units), 1)
        found[f"repeated_{name}_characters"] = 1 - sum(map(len, distinct)) / characters
    if not lines:
        found |= {"repeated_line_characters": 0, "repeated_paragraph_characters": 0}
    # Folded character by character, as the kernel does it: ß stays one character.
    folded = ["".join(c.casefold() if len(c.casefold()) == 1 else c for c in w) for w in words]
    for size in (2, 3, 4):
        found[f"top_{size}_gram"] = slow_top(folded, size)
    for size in range(5, 11):
        found[f"duplicate_{size}_grams"] = slow_repeated(folded, size)
    return found


def slow_top(items: list[str], size: int) -> float:
    grams = Counter(tuple(items[i : i + size]) for i in range(len(items) - size + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    longest = max(sum(map(len, gram)) for gram, n in grams.items() if n == most)
    return longest * most / sum(map(len, items))


def slow_repeated(items: list[str], size: int) -> float:
    seen = set()
    covered = set()
    for start in range(len(items) - size + 1):
        gram = tuple(items[start : start + size])
        if gram in seen:
            covered |= set(range(start, start + size))
        seen.add(gram)
    return sum(len(items[place]) for place in covered) / max(sum(map(len, items)), 1)


@settings(deadline=None)  # the first call compiles
@given(st.lists(TEXTS, min_size=1, max_size=4))
@example(["", "a", "the of. the of. the of. the of.\n\nThe of.\n \nThe of.", "\n", "a b " * 30])
def test_measures_against_the_slow_reading(texts: list[str]) -> None:
    table = measure(texts)
    for text, row in zip(texts, table, strict=True):
        found = dict(zip(COLUMNS, row.tolist(), strict=True))
        found.pop("sentences")
        assert found == pytest.approx(slow(text), abs=1e-9), repr(text)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=40))
def test_n_grams_against_the_slow_reading(items: list[str]) -> None:
    row = dict(zip(COLUMNS, measure([" ".join(items)])[0].tolist(), strict=True))
    for size in (2, 3, 4):
        assert row[f"top_{size}_gram"] == pytest.approx(slow_top(items, size))
    for size in range(5, 11):
        assert row[f"duplicate_{size}_grams"] == pytest.approx(slow_repeated(items, size))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("No end", 1),
        ("One. Two! Three? Four", 4),
        ("He said “Go.” Then he left.", 2),
        ("Mr. Smith met J. Doe at 3 p.m. today.", 1),
        ("A title\nA sentence. Another one.", 3),
        ("It costs 3.50 or so... but who knows.", 1),
        ("第一句。第二句！没有", 3),
        ("...", 0),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert measure([text])[0, COLUMNS.index("sentences")] == sentences


def test_batches_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["the of and", "", "a\na\na", "语。" * 5, "x " * 20]
    whole = measure(texts)
    monkeypatch.setattr("llamakit.corpus.quality.measures._BATCH_CHARACTERS", 4)
    assert (measure(texts) == whole).all()
    assert measure([]).shape == (0, len(COLUMNS))
