"""Perplexity of documents, and bits per byte, which models with different vocabularies share.

A document longer than the context is read in windows that overlap by half, so that every token but
the first half-window's is predicted from at least half a context.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.likelihood import token_logprobs
from llamakit.evaluation.prompts import ChoiceRows
from llamakit.evaluation.results import Curve, PartResult, Row, by_group
from llamakit.events import SILENT, Events
from llamakit.text.statistics import Estimate, bootstrap_ratio

BY_POSITION = "loss by position"
"""The curve of nats per token over the place in a document: what a longer context is good for."""
_SHOWN_CHARACTERS = 400
_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Text:
    """One document to predict."""

    id: str
    text: str
    source: str


def windows(ids: Sequence[int], size: int) -> list[ChoiceRows]:
    """A document's ids (beginning of sequence first) as contexts and the tokens scored after them.

    Every id but the first is scored exactly once.
    """
    if len(ids) <= size:
        return [ChoiceRows(list(ids[:1]), [list(ids[1:])])] if len(ids) > 1 else []
    step = max(1, size // 2)
    found = [ChoiceRows(list(ids[:1]), [list(ids[1:size])])]
    for start in range(size, len(ids), step):
        end = min(start + step, len(ids))
        found.append(ChoiceRows(list(ids[end - size : start]), [list(ids[start:end])]))
    return found


def perplexity(
    candidate: Candidate, texts: Sequence[Text], *, seed: int, events: Events = SILENT
) -> PartResult:
    """Predict every document, each from its own beginning.

    Documents are text without a dialogue, so chat models too read them plain. The end of sequence
    is not scored.
    """
    rows: list[Row] = []
    nats: list[list[float]] = []
    label = f"perplexity · {candidate.name}"
    with events.task(label, total=len(texts), unit="documents") as task:
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            chunk = texts[start : start + _TEXTS_AT_ONCE]
            ids = [candidate.vocabulary.encode(text.text, bos=True) for text in chunk]
            parts = [windows(row, candidate.window) for row in ids]
            flat = [part for row in parts for part in row]
            scores = iter(token_logprobs(candidate.model, flat, candidate.vocabulary.pad))
            for text, own in zip(chunk, parts, strict=True):
                nats.append([-logprob for _ in own for logprob in next(scores)[0]])
                rows.append(_row(text, nats[-1]))
            task.advance(len(chunk))
    tokens = int(sum(row.values["tokens"] for row in rows))
    return PartResult(
        part="perplexity",
        model=candidate.name,
        kind="perplexity",
        main="perplexity",
        higher_is_better=False,
        measures={"perplexity": _perplexity(rows, seed), "bits_per_byte": _bits(rows, seed)},
        groups={name: _perplexity(members, seed) for name, members in by_group(rows).items()},
        curves={BY_POSITION: _by_position(nats, seed)},
        notes=[f"{len(rows):,} documents, {tokens:,} tokens."],
        rows=rows,
    )


def _by_position(nats: Sequence[Sequence[float]], seed: int) -> Curve:
    """Nats per token at positions 1, 2-3, 4-7, … of a document; the interval resamples documents.

    Each point stands at the last position of its bucket.
    """
    xs: list[int] = []
    points: list[Estimate] = []
    first, longest = 1, max(map(len, nats), default=0)
    while first <= longest:
        buckets = [row[first - 1 : 2 * first - 1] for row in nats if len(row) >= first]
        xs.append(2 * first - 1)
        points.append(
            bootstrap_ratio([sum(one) for one in buckets], [len(one) for one in buckets], seed)
        )
        first *= 2
    return Curve("position", xs, points)


def _row(text: Text, nats: Sequence[float]) -> Row:
    size = len(text.text.encode("utf-8"))
    values = {
        "bits_per_byte": sum(nats) / math.log(2) / max(1, size),
        "nats": sum(nats),
        "bytes": float(size),
        "tokens": float(len(nats)),
    }
    return Row(text.id, text.text[:_SHOWN_CHARACTERS], group=text.source, values=values)


def _perplexity(rows: Sequence[Row], seed: int) -> Estimate:
    """exp of the mean nats per token over all tokens; its interval resamples documents."""
    mean = bootstrap_ratio(
        [row.values["nats"] for row in rows], [row.values["tokens"] for row in rows], seed
    )
    return Estimate(_exp(mean.value), _exp(mean.low), _exp(mean.high), mean.n)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _bits(rows: Sequence[Row], seed: int) -> Estimate:
    bits = [row.values["nats"] / math.log(2) for row in rows]
    return bootstrap_ratio(bits, [row.values["bytes"] for row in rows], seed)
