from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.quality.heuristics import Thresholds, judge
from llamakit.corpus.quality.repetition import Repetition
from llamakit.stages.filter import Filter

PROSE = (
    "The market opens early, and people come from all the villages around to sell things. "
    "Some bring apples; others carry cloth or tools. By noon it is loud with talk and bells.\n"
    "Nobody knows who began it. An old book says that a king, who had lost his way, stopped here."
)


def thresholds(preset: str) -> Thresholds:
    found: Thresholds = Filter(documents="x", preset=preset)._thresholds()  # type: ignore[arg-type]
    return found


def words(count: int) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices("abcdefghij", k=5)) for _ in range(count)]


def test_prose_passes_every_preset() -> None:
    for preset in ("light", "gopher", "off"):
        assert judge(PROSE, "en", thresholds(preset)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("too short", "too_few_words"),
        (" ".join(["a", "b"] * 60), "short_words"),
        (" ".join(word * 4 for word in words(60)), "long_words"),
        (" ".join(f"#{word}" for word in words(60)), "symbols"),
        (" ".join(f"{n}{n + 7}" for n in range(10, 99)), "few_alphabetic_words"),
        (" ".join(words(60)), "few_stop_words"),
        (PROSE + " Lorem Ipsum dolor", "banned_phrase"),
        ("\n".join(f"- the {w} of that" for w in words(30)), "bullet_lines"),
        ("\n".join(f"the {w} of that {w}a ..." for w in words(30)), "symbols"),
        ("\n".join(["the same of that and again, said he."] * 3 + [PROSE]), "repeated_lines"),
        (" ".join(f"{w} the of" for w in words(60)), "top_2gram"),
    ],
)
def test_every_heuristic_has_its_name(text: str, reason: str) -> None:
    assert judge(text, "en", thresholds("gopher")) == reason
    assert judge(text, "en", thresholds("off")) is None


@pytest.mark.parametrize("text", ["", " \n", "Lorem ipsum", "!!", "# # #", "a\na\n\na\na"])
def test_off_keeps_everything(text: str) -> None:
    assert judge(text, "en", thresholds("off")) is None


def test_gopher_is_the_published_table() -> None:
    limits = thresholds("gopher")
    assert (limits.max_repeated_lines, limits.max_repeated_line_characters) == (0.3, 0.2)
    assert (limits.max_repeated_paragraphs, limits.max_repeated_paragraph_characters) == (0.3, 0.2)
    assert limits.max_top_ngram == (0.2, 0.18, 0.16)
    assert limits.max_repeated_ngrams == (0.15, 0.14, 0.13, 0.12, 0.11, 0.1)


@pytest.mark.parametrize(("unit", "separator"), [("line", "\n"), ("paragraph", "\n\n")])
def test_items_and_their_characters_have_limits_apart(unit: str, separator: str) -> None:
    text = separator.join(["a", "bbbb", "bbbb"])
    for kind, share in ((f"repeated_{unit}s", 1 / 3), (f"repeated_{unit}_characters", 4 / 9)):
        for limit, reason in ((share - 0.01, kind), (share + 0.01, None)):
            limits = replace(thresholds("off"), **{f"max_{kind}": limit})
            assert judge(text, "en", limits) == reason


def test_stop_words_are_asked_of_english_only() -> None:
    text = " ".join(words(60))
    assert judge(text, "de", thresholds("gopher")) is None


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


@given(st.lists(st.sampled_from(["a", "bb", "ccc", "dddd"]), max_size=40), st.integers(1, 6))
def test_repetition_against_the_slow_reading(items: list[str], size: int) -> None:
    repetition = Repetition(items)
    assert repetition.top_share(size) == pytest.approx(slow_top(items, size))
    for longer in range(size, 11):
        assert repetition.repeated_share(longer) == pytest.approx(slow_repeated(items, longer))
