"""Whole words found in many texts at once, whatever their letter case and what stands between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from llamakit.artifacts.frames import join, unique


def spelled(texts: pl.Series) -> pl.Series:
    """Each text as its words in lower case, one blank before, between and after them.

    A word is a run of letters, marks, digits and underscores (`\\w` of Unicode), so that an
    apostrophe or a hyphen parts words: `they're` holds `they`.
    """
    words = pl.col("text").str.to_lowercase().str.replace_all(r"\W+", " ")
    frame = pl.DataFrame({"text": texts.cast(pl.String)})
    return frame.select(pl.lit(" ") + words + pl.lit(" "))[:, 0]


def contains_any(spelt: pl.Series, terms: Sequence[str]) -> pl.Series:
    """Whether each text, as `spelled` gives it, holds any of the terms."""
    return spelt.str.contains_any(as_patterns(terms))


def found_on(spelt: pl.Series, lists: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Which terms each text holds: a row (`row`, `list`, `term`) for each, once a text.

    A term that stands in two lists gives a row for either.
    """
    known = pl.DataFrame(
        [
            (pattern, name, pattern.strip())
            for name, terms in lists.items()
            for pattern in as_patterns(terms)
        ],
        schema={"pattern": pl.String(), "list": pl.String(), "term": pl.String()},
        orient="row",
    )
    patterns = list(dict.fromkeys(known["pattern"].to_list()))
    # Neighbouring words share the blank between them, so matches overlap.
    matches = spelt.str.extract_many(patterns, overlapping=True).alias("pattern")
    frame = matches.to_frame().with_row_index("row").explode("pattern").drop_nulls()
    return join(unique(frame, ["row", "pattern"]), known, "pattern").drop("pattern")


def as_patterns(terms: Sequence[str]) -> list[str]:
    """Terms as `spelled` writes them, each once: `African-American` is ` african american `."""
    spelt = spelled(pl.Series(list(terms), dtype=pl.String)).to_list()
    return list(dict.fromkeys(f" {' '.join(words)} " for t in spelt if (words := t.split())))
