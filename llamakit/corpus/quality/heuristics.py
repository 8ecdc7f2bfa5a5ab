"""Heuristics that tell prose from boilerplate, spam and debris.

After Gopher (Rae et al. 2021, table A1) and C4 (Raffel et al. 2020); each has a name and a
threshold of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llamakit.corpus.quality.repetition import Repetition

STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))

_BULLETS = ("•", "‣", "●", "*", "-", "–")
_ELLIPSES = ("...", "…")


@dataclass(frozen=True)
class Thresholds:
    """Bounds of each heuristic; a minimum of 0, and a maximum of 0, switch it off.

    Shares are of 1. `max_top_ngram` bounds the characters in the most frequent 2-, 3-, 4-gram,
    `max_repeated_ngrams` those in all repeated 5- to 10-grams.
    """

    min_words: int
    max_words: int
    min_word_length: float
    max_word_length: float
    max_symbols: float
    max_bullet_lines: float
    max_ellipsis_lines: float
    min_alphabetic_words: float
    min_stop_words: int
    max_repeated_lines: float
    max_repeated_line_characters: float
    max_repeated_paragraphs: float
    max_repeated_paragraph_characters: float
    max_top_ngram: tuple[float, ...]
    max_repeated_ngrams: tuple[float, ...]
    banned: tuple[str, ...]


def judge(text: str, language: str | None, limits: Thresholds) -> str | None:
    """The name of the first heuristic the text fails, or None."""
    lowered = text.casefold()
    for phrase in limits.banned:
        if phrase in lowered:
            return "banned_phrase"
    words = text.split()
    return (
        _judge_words(words, language, limits)
        or _judge_lines(text, limits)
        or _judge_ngrams(lowered.split(), limits)
    )


def _judge_words(words: list[str], language: str | None, limits: Thresholds) -> str | None:
    n_words = len(words)
    if n_words < limits.min_words:
        return "too_few_words"
    if not words:
        return None
    if limits.max_words and n_words > limits.max_words:
        return "too_many_words"
    mean = sum(map(len, words)) / n_words
    if mean < limits.min_word_length:
        return "short_words"
    if limits.max_word_length and mean > limits.max_word_length:
        return "long_words"
    if limits.max_symbols:
        symbols = sum(w.count("#") + w.count("…") + w.count("...") for w in words)
        if symbols > limits.max_symbols * n_words:
            return "symbols"
    if limits.min_alphabetic_words:
        alphabetic = sum(any(c.isalpha() for c in word) for word in words)
        if alphabetic < limits.min_alphabetic_words * n_words:
            return "few_alphabetic_words"
    # The stop words are English; of other languages they would say nothing.
    if limits.min_stop_words and language == "en":
        present = STOP_WORDS & {word.lower().strip('.,;:!?"()') for word in words}
        if len(present) < limits.min_stop_words:
            return "few_stop_words"
    return None


def _judge_lines(text: str, limits: Thresholds) -> str | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if limits.max_bullet_lines:
        bullets = sum(line.startswith(_BULLETS) for line in lines)
        if bullets > limits.max_bullet_lines * len(lines):
            return "bullet_lines"
    if limits.max_ellipsis_lines:
        ellipses = sum(line.endswith(_ELLIPSES) for line in lines)
        if ellipses > limits.max_ellipsis_lines * len(lines):
            return "ellipsis_lines"
    if reason := _repeated(
        lines, "line", limits.max_repeated_lines, limits.max_repeated_line_characters
    ):
        return reason
    paragraphs = [p.strip() for p in re.split(r"\n\s{0,80}\n", text) if p.strip()]
    return _repeated(
        paragraphs,
        "paragraph",
        limits.max_repeated_paragraphs,
        limits.max_repeated_paragraph_characters,
    )


def _repeated(items: list[str], unit: str, max_items: float, max_characters: float) -> str | None:
    """Whether more than a share of the items, or of their characters, stood there before."""
    distinct = set(items)
    if len(distinct) == len(items):
        return None
    if max_items and len(items) - len(distinct) > max_items * len(items):
        return f"repeated_{unit}s"
    characters = sum(map(len, items))
    again = characters - sum(map(len, distinct))
    if max_characters and again > max_characters * characters:
        return f"repeated_{unit}_characters"
    return None


def _judge_ngrams(words: list[str], limits: Thresholds) -> str | None:
    repetition = Repetition(words)
    for size, limit in enumerate(limits.max_top_ngram, start=2):
        if limit and repetition.top_share(size) > limit:
            return f"top_{size}gram"
    for size, limit in enumerate(limits.max_repeated_ngrams, start=5):
        if limit and repetition.repeated_share(size) > limit:
            return f"repeated_{size}grams"
    return None
