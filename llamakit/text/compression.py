"""How well a vocabulary compresses each source, counted while documents are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from llamakit.artifacts.page import Page

MOST_IN_RECORD = 50


@dataclass(frozen=True)
class SourceCount:
    """What one source holds. `reads` and `training_tokens` are of an epoch: up-sampled documents
    count as often as they are read, held-out ones not at all."""

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    reads: int = 0
    training_tokens: int = 0

    def __add__(self, other: SourceCount) -> SourceCount:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return SourceCount(*(a + b for a, b in pairs))

    @property
    def bytes_per_token(self) -> float:
        """Bytes of text a token, BOS and EOS among the tokens."""
        return self.bytes / max(self.tokens, 1)


def count_sources(
    sources: Iterable[str],
    text_bytes: NDArray[np.int64],
    tokens: NDArray[np.int64],
    repeats: NDArray[np.int64],
) -> dict[str, SourceCount]:
    """Counts by source, sources in the order of their first document; one value a document."""
    codes: dict[str, int] = {}
    source_of = np.array([codes.setdefault(name, len(codes)) for name in sources], np.int64)
    ones = np.ones_like(repeats)
    sums = [
        np.bincount(source_of, values, minlength=len(codes)).astype(np.int64).tolist()
        for values in (ones, text_bytes, tokens, repeats, tokens * repeats)
    ]
    return {name: SourceCount(*(each[code] for each in sums)) for name, code in codes.items()}


def merged(counts: Iterable[Mapping[str, SourceCount]]) -> dict[str, SourceCount]:
    """Counts of all shards, the sources that most tokens are read of first."""
    total: dict[str, SourceCount] = {}
    for shard in counts:
        for name, count in shard.items():
            total[name] = total.get(name, SourceCount()) + count
    return dict(sorted(total.items(), key=lambda item: (-item[1].training_tokens, item[0])))


def metrics_of(counts: Mapping[str, SourceCount]) -> dict[str, float]:
    """Bytes a token for the record: in all, and of the `MOST_IN_RECORD` largest sources."""
    largest = list(counts.items())[:MOST_IN_RECORD]
    whole = sum(counts.values(), SourceCount())
    by_source = {f"bytes_per_token_{name}": count.bytes_per_token for name, count in largest}
    return {"bytes_per_token": whole.bytes_per_token, **by_source}


def counts_of(counts: Mapping[str, SourceCount]) -> dict[str, int]:
    """Tokens that an epoch reads of the `MOST_IN_RECORD` largest sources, for the record."""
    largest = list(counts.items())[:MOST_IN_RECORD]
    return {f"training_tokens_{name}": count.training_tokens for name, count in largest}


def report(counts: Mapping[str, SourceCount], vocab_size: int) -> str:
    """A page: what each source holds, how well it is compressed, its share of what is read."""
    whole = sum(counts.values(), SourceCount())
    page = Page("Tokens", f"{len(counts):,} sources, a vocabulary of {vocab_size:,} pieces")
    page.figures(
        {
            "documents": whole.documents,
            "tokens": whole.tokens,
            "tokens an epoch reads": whole.training_tokens,
            "bytes a token": whole.bytes_per_token,
        }
    )
    page.section(
        "Sources",
        "Tokens include BOS and EOS. An epoch reads up-sampled documents several times and "
        "held-out ones never. Few bytes a token mean that the vocabulary knows the source badly, "
        "and that its share of the tokens is larger than its share of the text.",
    )
    page.table(
        ["source", "documents", "bytes", "tokens", "bytes a token", "read an epoch", "share, %"],
        [
            [
                name,
                count.documents,
                count.bytes,
                count.tokens,
                count.bytes_per_token,
                count.training_tokens,
                100.0 * count.training_tokens / max(whole.training_tokens, 1),
            ]
            for name, count in counts.items()
        ],
    )
    return page.html()
