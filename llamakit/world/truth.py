"""The truth table: what the generator knows of its own documents and no stage is told.

Offsets count characters (code points) of the final text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

Record = dict[str, object]


@dataclass(frozen=True)
class Span:
    """A piece of personal data, or a decoy that only looks like one, in a text."""

    start: int
    end: int
    kind: str
    text: str


@dataclass(frozen=True)
class Lie:
    """A sentence that contradicts a fact."""

    entity: str
    attribute: str
    value: str
    true: str


@dataclass(frozen=True)
class Copy:
    """How a document is a copy of another."""

    cluster: int
    kind: str
    """`exact` or `near`."""
    similarity: float
    """Jaccard similarity of the word 5-grams of copy and original."""


@dataclass
class Page:
    """A document in the making, with what is true of it."""

    text: str
    source: str
    site: str
    genre: str
    language: str = "en"
    subjects: tuple[str, ...] = ()
    spans: list[Span] = field(default_factory=list)
    decoys: list[Span] = field(default_factory=list)
    lies: list[Lie] = field(default_factory=list)


def truth_records(
    pages: list[tuple[str, Page]], copies: dict[str, tuple[str, Copy]], heavy_sites: set[str]
) -> Iterator[tuple[str, Record]]:
    """Yield the truth table's lines as (file, record).

    Args:
        pages: identifier and page of every document, in the order of documents.jsonl.
        copies: by the copy's identifier: the original's, and how it is a copy.
        heavy_sites: sites on which most pages hold personal data.
    """
    for name, page in pages:
        yield (
            "truth/documents.jsonl",
            {
                "id": name,
                "genre": page.genre,
                "source": page.source,
                "site": page.site,
                "language": page.language,
                "subjects": list(page.subjects),
            },
        )
    for name, (original, copy) in copies.items():
        yield "truth/duplicates.jsonl", {"id": name, "original": original, **asdict(copy)}
    for name, page in pages:
        for span in page.spans:
            yield "truth/pii.jsonl", {"id": name, **asdict(span)}
    for name, page in pages:
        for span in page.decoys:
            yield "truth/decoys.jsonl", {"id": name, **asdict(span)}
    for name, page in pages:
        for lie in page.lies:
            yield "truth/false_facts.jsonl", {"id": name, **asdict(lie)}
    for site in sorted({page.site for _, page in pages}):
        yield "truth/sites.jsonl", {"site": site, "heavy": site in heavy_sites}
