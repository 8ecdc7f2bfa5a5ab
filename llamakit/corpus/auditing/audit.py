"""The audit of dialogues: how many there are, how long they are, and what is wrong with which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from llamakit.artifacts.frames import Schema
from llamakit.corpus.auditing.copies import copies
from llamakit.corpus.auditing.faults import KINDS, contents, structure
from llamakit.corpus.profiling.lengths import buckets, summary
from llamakit.corpus.quality.language import UNKNOWN, tell_all
from llamakit.corpus.quality.measures import COLUMNS, measure
from llamakit.text.dialogue import Message, render, render_prompt
from llamakit.text.vocabulary import Vocabulary

Rows = Sequence[Mapping[str, Any]]
Dialogues = Sequence[Sequence[Message]]

FLAGGED: Schema = {
    "id": pl.String(),
    "artifact": pl.String(),
    "source": pl.String(),
    "fault": pl.String(),
    "weight": pl.String(),
    "like": pl.String(),
    "request": pl.String(),
    "answer": pl.String(),
}
"""One row for each dialogue and fault; `like` is the id of the earlier dialogue that a copy
repeats. Request and answer are the last ones."""

LOOPING, _FEWEST_WORDS = 0.3, 40
SURE = 0.9
"""Probability from which the languages of a request and its answer are compared."""
_FEWEST_LETTERS = 40
_AT_ONCE = 4096


@dataclass(frozen=True)
class Rules:
    """What the audit needs from elsewhere."""

    refuses: Callable[[str], bool]
    """Whether an answer is a refusal."""
    vocabulary: Vocabulary | None = None
    """Counts tokens; without one, words are counted only."""
    seq_len: int | None = None
    """Tokens of a row, from which a dialogue is too long; None: there is no such limit."""


@dataclass(frozen=True)
class Audit:
    """What was found."""

    rows: Rows
    faults: list[list[tuple[str, int | None]]]
    """Of each dialogue its faults, and which earlier one a copy repeats."""
    lengths: dict[str, list[int]]
    """Messages and words of each dialogue, words of each request and answer; with a vocabulary
    tokens too."""
    languages: list[str]
    """Of each looked-at dialogue's answers."""


def audit(rows: Rows, rules: Rules, advance: Callable[[int], None]) -> Audit:
    """Look at dialogues (`id`, `messages`, `source`, `artifact`), `advance` told how many are done.

    A dialogue with an error of structure is not looked at further.
    """
    faults: list[list[tuple[str, int | None]]] = [[] for _ in rows]
    lengths: dict[str, list[int]] = {}
    languages: list[str] = []
    whole: list[int] = []
    for start in range(0, len(rows), _AT_ONCE):
        part = range(start, min(start + _AT_ONCE, len(rows)))
        for place in part:
            faults[place] = [(fault, None) for fault in structure(rows[place]["messages"])]
        # A prompt is whole but for its answer.
        looked_at = [n for n in part if {fault for fault, _ in faults[n]} <= {"no_answer"}]
        dialogues = [rows[place]["messages"] for place in looked_at]
        told, differ = _languages(dialogues)
        found = [(n, "other_language") for n in differ] + [(n, "loops") for n in _loops(dialogues)]
        for number, messages in enumerate(dialogues):
            own = [*contents(messages), *_refusals(messages, rules.refuses)]
            found += [(number, name) for name in (*own, *_measured(messages, rules, lengths))]
        for number, name in found:
            faults[looked_at[number]].append((name, None))
        languages += told
        whole += looked_at
        advance(len(part))
    for number, name, first in copies([rows[place]["messages"] for place in whole]):
        faults[whole[number]].append((name, whole[first]))
    order = list(KINDS)
    for all_own in faults:
        all_own.sort(key=lambda fault: order.index(fault[0]))
    return Audit(rows, faults, lengths, languages)


def report(found: Audit) -> dict[str, Any]:
    """The numbers of an audit as JSON values."""
    rows = found.rows
    weights = [{KINDS[name].weight for name, _ in own} for own in found.faults]
    counts = Counter(name for own in found.faults for name, _ in own)
    sources: dict[str, Counter[str]] = {}
    for row, own, weight in zip(rows, found.faults, weights, strict=True):
        held = sources.setdefault(row["source"], Counter())
        held.update(["dialogues", *(f"with_{one}" for one in weight)])
        held.update(name for name, _ in own)
    return {
        "dialogues": len(rows),
        "messages": sum(len(row["messages"]) for row in rows),
        "safety": sum(bool(row["safety"]) for row in rows),
        "train_on_last": sum(row["train_on"] == "last" for row in rows),
        "with": {
            weight: sum(weight in own for own in weights) for weight in ("error", "doubt", "remark")
        },
        "clean": sum(not own & {"error", "doubt"} for own in weights),
        "faults": {
            name: {
                "dialogues": counts[name],
                "share": counts[name] / len(rows),
                "weight": kind.weight,
                "meaning": kind.meaning,
            }
            for name, kind in KINDS.items()
        },
        "sources": {name: dict(held) for name, held in sorted(sources.items())},
        "languages": dict(Counter(found.languages).most_common()),
        "lengths": {name: _length(values) for name, values in found.lengths.items()},
    }


def flagged(found: Audit) -> Iterator[dict[str, Any]]:
    """The rows of `FLAGGED`."""
    for row, own in zip(found.rows, found.faults, strict=True):
        asked, answered = last_exchange(row["messages"])
        for name, first in own:
            yield {
                "id": row["id"],
                "artifact": row["artifact"],
                "source": row["source"],
                "fault": name,
                "weight": KINDS[name].weight,
                "like": None if first is None else found.rows[first]["id"],
                "request": asked,
                "answer": answered,
            }


def last_exchange(messages: Sequence[Message]) -> tuple[str, str]:
    """The last request and the answer to it, each empty where there is none."""
    users = [place for place, one in enumerate(messages) if one["role"] == "user"]
    if not users:
        return "", messages[-1]["content"] if messages else ""
    answers = [one["content"] for one in messages[users[-1] + 1 :]]
    return messages[users[-1]]["content"], answers[0] if answers else ""


def _refusals(messages: Sequence[Message], refuses: Callable[[str], bool]) -> list[str]:
    texts = (one["content"] for one in messages if one["role"] == "assistant")
    return ["refusal"] if any(map(refuses, texts)) else []


def _measured(
    messages: Sequence[Message], rules: Rules, lengths: dict[str, list[int]]
) -> Iterator[str]:
    """Add a dialogue's lengths; tells of one that is too long."""
    words = [len(message["content"].split()) for message in messages]
    lengths.setdefault("messages", []).append(len(messages))
    lengths.setdefault("words of a dialogue", []).append(sum(words))
    for role, name in (("user", "words of a request"), ("assistant", "words of an answer")):
        held = lengths.setdefault(name, [])
        held += [n for n, one in zip(words, messages, strict=True) if one["role"] == role]
    if rules.vocabulary is None:
        return
    if messages[-1]["role"] == "assistant":
        rendered = render(messages, rules.vocabulary)
        size, answered = len(rendered.ids), sum(rendered.answer_mask)
        lengths.setdefault("tokens trained on", []).append(answered)
    else:
        size = len(render_prompt(messages, rules.vocabulary))
    lengths.setdefault("tokens of a dialogue", []).append(size)
    if rules.seq_len is not None and size > rules.seq_len + 1:
        yield "too_long"


def _loops(dialogues: Dialogues) -> list[int]:
    """Dialogues of which an answer repeats itself, ascending."""
    answers = [
        (number, message["content"])
        for number, messages in enumerate(dialogues)
        for message in messages
        if message["role"] == "assistant" and len(message["content"].split()) >= _FEWEST_WORDS
    ]
    repeated = measure([text for _, text in answers])[:, COLUMNS.index("duplicate_5_grams")]
    owners = np.array([number for number, _ in answers], np.int64)
    looping: list[int] = np.unique(owners[repeated > LOOPING]).tolist()
    return looping


def _languages(dialogues: Dialogues) -> tuple[list[str], list[int]]:
    """The language of each dialogue's answers, and the dialogues asked in another."""
    asked, answered = (
        ["\n".join(m["content"] for m in own if m["role"] == role) for own in dialogues]
        for role in ("user", "assistant")
    )
    one, sure_of_one = tell_all(asked, 0.5)
    other, sure_of_other = tell_all(answered, 0.5)
    differ = [
        number
        for number, texts in enumerate(zip(asked, answered, strict=True))
        if one[number] != other[number]
        and UNKNOWN not in (one[number], other[number])
        and min(sure_of_one[number], sure_of_other[number]) >= SURE
        and min(sum(map(str.isalpha, text)) for text in texts) >= _FEWEST_LETTERS
    ]
    return other, differ


def _length(values: Sequence[int]) -> dict[str, Any]:
    array = np.asarray(values, np.int64)
    found = buckets(array, np.ones_like(array))
    return {"n": len(values), **summary(found, int(array.sum())), "buckets": found}
