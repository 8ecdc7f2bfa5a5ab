"""Dialogues that others repeat: whole ones, their requests, their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from llamakit.corpus.duplicates.candidates import pairs_of_keys, unpack
from llamakit.corpus.duplicates.shingles import normalise, shingle, similarities
from llamakit.corpus.duplicates.signatures import band_keys, choose_bands, sketch
from llamakit.corpus.duplicates.texts import encode
from llamakit.text.dialogue import Message

SIMILARITY, NGRAM, PERMUTATIONS = 0.8, 5, 128
_ANSWER_WORDS = 5

Copy = tuple[int, str, int]
"""A dialogue, the fault, and the earlier dialogue it repeats."""


def copies(dialogues: Sequence[Sequence[Message]]) -> Iterator[Copy]:
    """Each dialogue that repeats an earlier one, once for each way in which it does.

    A dialogue that is a copy as a whole is told as that only. Each must have a message, and its
    roles in order.
    """
    whole = [_key(messages) for messages in dialogues]
    again: set[int] = set()
    for place, first in _repeated(whole):
        again.add(place)
        yield place, "copy", first
    for place, first in _near(whole):
        if place not in again:
            again.add(place)
            yield place, "near_copy", first
    requests = [_key(one[:-1]) if one[-1]["role"] == "assistant" else "" for one in dialogues]
    for place, first in _repeated(requests):
        if place not in again:
            yield place, "same_request", first
    answers = [_answer_key(messages) for messages in dialogues]
    for place, first in _repeated(answers):
        if place not in again:
            yield place, "same_answer", first


def _key(messages: Sequence[Message]) -> str:
    return "\n".join(f"{one['role']}: {normalise(one['content'])}" for one in messages)


def _answer_key(messages: Sequence[Message]) -> str:
    if messages[-1]["role"] != "assistant":
        return ""
    text = normalise(messages[-1]["content"])
    return text if len(text.split()) >= _ANSWER_WORDS else ""


def _repeated(keys: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each place whose key, not empty, stood before, and where first."""
    seen: dict[str, int] = {}
    for place, key in enumerate(keys):
        if key and (first := seen.setdefault(key, place)) != place:
            yield place, first


def _near(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each text that is nearly an earlier one, and the first such; pairs that share a band of
    their MinHash values are compared truly."""
    encoded = encode(pl.Series(list(texts), dtype=pl.String))
    bands, rows = choose_bands(SIMILARITY, PERMUTATIONS)
    keys = band_keys(sketch(encoded, NGRAM, PERMUTATIONS), bands, rows)
    found = [np.zeros(0, np.uint64)]
    for band in keys:
        order = np.argsort(band, kind="stable").astype(np.uint64)
        found.append(pairs_of_keys(band[order], order))
    pairs = unpack(np.unique(np.concatenate(found)))
    sets = shingle(encoded, NGRAM)
    alike = similarities(sets, sets, pairs) >= SIMILARITY
    seen: set[int] = set()
    for first, place in pairs[alike].tolist():
        if place not in seen:
            seen.add(place)
            yield place, first
