"""Planted duplicates: exact copies, and copies with a few words changed."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from llamakit.world.truth import Copy, Page, Span

_WORD = re.compile(r"\w+")
NEAR = 0.85
"""A near-copy keeps at least this similarity; pages that are no copies stay below `DISTINCT`."""
DISTINCT = 0.65
LEAST_WORDS = 45
"""Shorter pages get no near-copy: one changed word would change a large part of their 5-grams."""
_NOTES = ("Read more below.", "Share this page.", "Last changed today.", "Copied from a friend.")


def similarity(left: str, right: str) -> float:
    """Jaccard similarity of the word 5-grams of two texts, ignoring case (0-1)."""
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b) if a | b else 1.0


def shingles(text: str) -> set[tuple[str, ...]]:
    """The word 5-grams of a text; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def copy_of(page: Page, cluster: int, rng: random.Random) -> tuple[Page, Copy]:
    """A copy of a page, on another site: exact, or near if the page is long enough for that."""
    site = f"mirror-{rng.randint(1, 5)}.example"
    if len(_WORD.findall(page.text)) < LEAST_WORDS or rng.random() < 0.35:
        return replace(page, site=site, source="web"), Copy(cluster, "exact", 1.0)
    text = page.text
    while text == page.text:
        text = _edited(page, rng)
    copied = replace(
        page,
        text=text,
        site=site,
        source="web",
        spans=[_moved(span, text) for span in page.spans],
        decoys=[_moved(span, text) for span in page.decoys],
    )
    return copied, Copy(cluster, "near", round(similarity(page.text, text), 4))


def _edited(page: Page, rng: random.Random) -> str:
    """One or two small edits; those that would cost too much similarity are not made."""
    text = page.text
    for _ in range(rng.randint(1, 2)):
        edit = rng.choice((_noted, _shouted, _spaced, _dropped))
        changed = edit(text, rng)
        kept = all(span.text in changed for span in [*page.spans, *page.decoys])
        kept = kept and not (page.lies and edit is _dropped)  # the lie may be in the last words
        if kept and similarity(page.text, changed) >= NEAR:
            text = changed
    return text


def _noted(text: str, rng: random.Random) -> str:
    return f"{text}\n{rng.choice(_NOTES)}"


def _shouted(text: str, rng: random.Random) -> str:
    first, rest = text.split(" ", 1)
    return f"{first.upper()} {rest}"


def _spaced(text: str, rng: random.Random) -> str:
    return text.replace(". ", ".  ", rng.randint(1, 3))


def _dropped(text: str, rng: random.Random) -> str:
    """Leave out the last few words."""
    return " ".join(text.split(" ")[: -rng.randint(1, 4)])


def _moved(span: Span, text: str) -> Span:
    start = text.index(span.text)
    return Span(start, start + len(span.text), span.kind, span.text)
