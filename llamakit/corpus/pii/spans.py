"""Where personal data stands in a text, and which of two finds is preferred."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


class Span(NamedTuple):
    """`text[start:end]` (characters) is personal data of a kind."""

    start: int
    end: int
    kind: str


KINDS = (
    "credential",
    "email",
    "iban",
    "crypto",
    "card",
    "ip",
    "ssn",
    "national_id",
    "phone",
    "address",
    "person",
)
"""In order of preference: where two finds overlap, the earlier kind stands."""

NAME_KINDS = ("person", "address")
"""Kinds that a gazetteer and rules guess, without a check digit to hold them to."""

STRUCTURED_KINDS = tuple(kind for kind in KINDS if kind not in NAME_KINDS)
"""Kinds that a form, a check digit or a numbering plan decides."""

_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


def resolved(found: Iterable[Span]) -> list[Span]:
    """The finds in order and apart: of those that overlap, the preferred kind, then the first."""
    spans = sorted(set(found))
    if all(one.end <= other.start for one, other in pairwise(spans)):
        return spans
    kept: list[Span] = []
    cluster: list[Span] = []
    end = -1
    for span in spans:
        if span.start >= end:
            kept += _apart(cluster)
            cluster = []
        cluster.append(span)
        end = max(end, span.end)
    return kept + _apart(cluster)


def _apart(cluster: list[Span]) -> list[Span]:
    """Of spans that hang together, those that stand; a cluster is as long as its overlaps."""
    if len(cluster) < 2:
        return cluster
    chosen: list[Span] = []
    by_rank = sorted(cluster, key=lambda span: (_RANK[span.kind], span.start, -span.end))
    taken: dict[int, int] = {}
    for span in by_rank:
        # Spans are short (the longest is a key block), so marking their characters is linear.
        if not any(place in taken for place in range(span.start, span.end)):
            taken.update(dict.fromkeys(range(span.start, span.end), 1))
            chosen.append(span)
    return sorted(chosen)


def replaced(text: str, spans: Sequence[Span], put: Callable[[Span], str]) -> str:
    """The text with `put(span)` in place of each span; spans are in order and apart."""
    pieces = []
    at = 0
    for span in spans:
        pieces += [text[at : span.start], put(span)]
        at = span.end
    return "".join([*pieces, text[at:]])


def placeholder(span: Span) -> str:
    """`<EMAIL>`, `<PHONE>` …"""
    return f"<{span.kind.upper()}>"
