"""The named rules of the filter, their published thresholds, and the presets made of them.

Sources: Gopher (Rae et al. 2021, appendix A1.1 and table A1), C4 (Raffel et al. 2020, §2.2, and its
released code for what the paper leaves out), FineWeb (Penedo et al. 2024, §3.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamakit.errors import UsageError, nearest

Bound = Literal["min", "max", "line", "edit"]


@dataclass(frozen=True)
class Rule:
    """One rule. `min` and `max` drop a document whose `measure` is below or above the threshold;
    `line` drops a line, `edit` takes something out of the text."""

    name: str
    bound: Bound
    measure: str
    """The column of `measures` it looks at; empty for rules of lines."""
    threshold: float
    """The published value; 0 for rules that have none."""
    about: str
    """What it looks at, as a report says it."""

    @property
    def adjustable(self) -> bool:
        """Whether the rule has a threshold to set."""
        return self.bound in ("min", "max") or self.threshold > 0


def _gopher() -> list[Rule]:
    top = {2: 0.20, 3: 0.18, 4: 0.16}
    repeated = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
    family = "gopher.repetition"
    return [
        Rule("gopher.min_words", "min", "words", 50, "words"),
        Rule("gopher.max_words", "max", "words", 100_000, "words"),
        Rule("gopher.min_word_length", "min", "word_length", 3, "characters a word, mean"),
        Rule("gopher.max_word_length", "max", "word_length", 10, "characters a word, mean"),
        Rule("gopher.hash_to_word", "max", "hashes", 0.1, "# a word"),
        Rule("gopher.ellipsis_to_word", "max", "ellipses", 0.1, "ellipses a word"),
        Rule("gopher.alphabetic_words", "min", "alphabetic", 0.8, "share of words with a letter"),
        Rule("gopher.stop_words", "min", "stop_words", 2, "different stop words (English only)"),
        Rule("gopher.bullet_lines", "max", "bullets", 0.9, "share of lines behind a bullet"),
        Rule("gopher.ellipsis_lines", "max", "trailing", 0.3, "share of lines ending with …"),
        Rule(f"{family}.lines", "max", "repeated_lines", 0.3, "share of lines met before"),
        Rule(
            f"{family}.line_characters",
            "max",
            "repeated_line_characters",
            0.2,
            "share of characters in lines met before",
        ),
        Rule(
            f"{family}.paragraphs",
            "max",
            "repeated_paragraphs",
            0.3,
            "share of paragraphs met before",
        ),
        Rule(
            f"{family}.paragraph_characters",
            "max",
            "repeated_paragraph_characters",
            0.2,
            "share of characters in paragraphs met before",
        ),
        *(
            Rule(
                f"{family}.top_{size}_gram",
                "max",
                f"top_{size}_gram",
                share,
                f"share of characters in the most frequent {size}-gram of words",
            )
            for size, share in top.items()
        ),
        *(
            Rule(
                f"{family}.duplicate_{size}_grams",
                "max",
                f"duplicate_{size}_grams",
                share,
                f"share of characters in {size}-grams of words met before",
            )
            for size, share in repeated.items()
        ),
    ]


_C4 = [
    Rule("c4.lorem_ipsum", "max", "lorem_ipsum", 0, "“lorem ipsum”"),
    Rule("c4.curly_bracket", "max", "curly_brackets", 0, "curly brackets"),
    Rule("c4.bad_words", "max", "bad_words", 0, "words of the list given"),
    Rule("c4.citations", "edit", "", 0, "[1], [edit], [citation needed] taken out"),
    Rule("c4.max_word_length", "line", "", 1_000, "lines with a longer word"),
    Rule("c4.terminal_punctuation", "line", "", 0, "lines that do not end with . ! ? or a quote"),
    Rule("c4.min_words_per_line", "line", "", 3, "lines of fewer words"),
    Rule("c4.javascript", "line", "", 0, "lines that name JavaScript"),
    Rule("c4.policy", "line", "", 0, "lines of terms of use, privacy and cookies"),
    Rule("c4.min_sentences", "min", "sentences", 5, "sentences, of the lines that stay"),
]
_FINEWEB = [
    Rule("fineweb.line_punctuation", "min", "punctuated", 0.12, "share of lines that end one"),
    Rule("fineweb.short_lines", "max", "short_lines", 0.67, "share of lines of 30 characters"),
    Rule(
        "fineweb.duplicate_line_characters",
        "max",
        "repeated_line_characters",
        0.01,
        "share of characters in lines met before",
    ),
    Rule("fineweb.newlines", "max", "newlines", 0.3, "line breaks a word"),
]

RULES: Mapping[str, Rule] = {rule.name: rule for rule in (*_gopher(), *_C4, *_FINEWEB)}
"""In the order they are asked. Those of FineWeb, and C4's sentences, see the text as C4's rules of
lines leave it; a document is dropped under the first that it fails."""

AFTER_LINES = frozenset({"c4.min_sentences", *(rule.name for rule in _FINEWEB)})
"""Rules that see the text without the lines that were dropped."""


def _published(names: Iterable[str]) -> dict[str, float]:
    return {name: RULES[name].threshold for name in names}


_FAMILY_GOPHER = _published(name for name in RULES if name.startswith("gopher."))
_FAMILY_C4 = _published(name for name in RULES if name.startswith("c4.") and name != "c4.bad_words")
_FAMILY_FINEWEB = _published(name for name in RULES if name.startswith("fineweb."))

PRESETS: Mapping[str, Mapping[str, float]] = {
    # Debris only: sums, tables and short notes stay.
    "light": {
        "gopher.min_words": 5,
        "gopher.min_word_length": 2,
        "gopher.max_word_length": 20,
        "gopher.hash_to_word": 0.5,
        "gopher.ellipsis_to_word": 0.5,
        "gopher.ellipsis_lines": 0.5,
        "gopher.repetition.lines": 0.5,
        "gopher.repetition.line_characters": 0.5,
        "gopher.repetition.paragraphs": 0.5,
        "gopher.repetition.paragraph_characters": 0.5,
        "gopher.repetition.top_2_gram": 0.40,
        "gopher.repetition.top_3_gram": 0.36,
        "gopher.repetition.top_4_gram": 0.32,
        "gopher.repetition.duplicate_5_grams": 0.50,
        "gopher.repetition.duplicate_6_grams": 0.48,
        "gopher.repetition.duplicate_7_grams": 0.46,
        "gopher.repetition.duplicate_8_grams": 0.44,
        "gopher.repetition.duplicate_9_grams": 0.42,
        "gopher.repetition.duplicate_10_grams": 0.40,
        "c4.lorem_ipsum": 0,
    },
    "gopher": _FAMILY_GOPHER,
    "c4": _FAMILY_C4,
    # What FineWeb was made with: Gopher's, C4's but for the punctuation at the end of every line,
    # and its own.
    "fineweb": {
        name: threshold
        for name, threshold in (_FAMILY_GOPHER | _FAMILY_C4 | _FAMILY_FINEWEB).items()
        if name != "c4.terminal_punctuation"
    },
    "off": {},
}


def chosen(
    preset: str,
    rules: Sequence[str],
    skip: Sequence[str],
    thresholds: Mapping[str, float],
) -> dict[str, float]:
    """The rules that apply and their thresholds, in the order they are asked.

    `rules` and `skip` name rules or families of them (`gopher`, `gopher.repetition`).

    Raises:
        UsageError: a name that no rule and no family has, or a threshold for a rule that has none
            or does not apply.
    """
    found = dict(PRESETS[preset])
    for name in rules:
        found |= {rule: RULES[rule].threshold for rule in _named(name) if rule not in found}
    for name in skip:
        found = {rule: value for rule, value in found.items() if rule not in _named(name)}
    for name, value in thresholds.items():
        if _named(name) != [name]:
            raise UsageError(f"thresholds: {name!r} is a family; name one rule", where="filter")
        if not RULES[name].adjustable:
            raise UsageError(f"thresholds: {name} has none", where="filter")
        if name not in found:
            raise UsageError(
                f"thresholds: {name} does not apply here",
                where="filter",
                fix=f"Name it in rules too: --rules {name}",
            )
        if not 0 <= value < float("inf"):
            raise UsageError(f"thresholds: {name} = {value}; it must be 0 or more", where="filter")
        found[name] = value
    return {name: found[name] for name in RULES if name in found}


def _named(name: str) -> list[str]:
    found = [rule for rule in RULES if rule == name or rule.startswith(f"{name}.")]
    if not found:
        guess = nearest(name, list(RULES))
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise UsageError(
            f"there is no rule {name!r}",
            where="filter",
            fix=f"{hint}Families: gopher, gopher.repetition, c4, fineweb; "
            "docs/methods/filter.md lists the rules.",
        )
    return found
