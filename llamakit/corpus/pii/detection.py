"""Personal data in texts: triggers say where to look, finders decide, preferences settle."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from llamakit.corpus.pii.spans import Span, resolved
from llamakit.corpus.pii.triggers import hits, triggers


def find_all(
    texts: pl.Series, kinds: Sequence[str], regions: Sequence[str]
) -> dict[int, list[Span]]:
    """Spans by the number of the text, in order and without overlaps; texts without any are left
    out.

    Args:
        texts: one string a document.
        kinds: what to look for, of `spans.KINDS`.
        regions: countries (ISO 3166) whose way of writing telephone numbers is read where a number
            does not begin with +; `all` for every one.
    """
    found: dict[int, list[Span]] = {}
    for trigger in triggers(kinds, regions):
        row, text, at = -1, "", 0
        for number, hit in hits(texts, trigger.pattern):
            if number != row:
                row, text, at = number, texts[number], 0
            start = text.index(hit, at)
            at = start + len(hit)
            for kind, finder in trigger.finders:
                for first, last in finder(text, start, at):
                    found.setdefault(row, []).append(Span(first, last, kind))
    return {row: resolved(spans) for row, spans in sorted(found.items())}


def find_pii(text: str, kinds: Sequence[str], regions: Sequence[str]) -> list[Span]:
    """The spans of one text."""
    return find_all(pl.Series([text], dtype=pl.String), kinds, regions).get(0, [])
