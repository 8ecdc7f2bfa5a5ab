"""Prompts to sample answers for: dialogues that end with a user message, in tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llamakit.alignment.window import fit_prompt
from llamakit.errors import InputError
from llamakit.text.dialogue import Message
from llamakit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Prompt:
    """One prompt; `ids` end where the answer begins."""

    id: str
    messages: list[Message]
    ids: list[int]
    source: str
    safety: bool
    """Tagged as a safety prompt: its answers are judged by the safety model."""
    row: int
    """Its row in the table it comes from."""


def tokenise_prompts(
    rows: Iterable[Mapping[str, Any]], vocabulary: Vocabulary, max_tokens: int
) -> tuple[list[Prompt], Counter[str]]:
    """Render the rows of a dialogues table as prompts.

    An answer at a dialogue's end is taken off, so any dialogue serves. One that is too long loses
    its oldest exchanges; one that does not fit even so, or cannot be rendered, is dropped.

    Returns:
        the prompts, and how many were `shortened`, `dropped_too_long` and
        `dropped_not_renderable`.
    """
    prompts: list[Prompt] = []
    counts: Counter[str] = Counter()
    for index, row in enumerate(rows):
        messages = list(row["messages"])
        while messages and messages[-1]["role"] == "assistant":
            messages.pop()
        try:
            fitted = fit_prompt(messages, vocabulary, max_tokens)
        except InputError:
            counts["dropped_not_renderable"] += 1
            continue
        if fitted is None:
            counts["dropped_too_long"] += 1
            continue
        counts["shortened"] += fitted.dropped > 0
        prompts.append(
            Prompt(
                id=row["id"],
                messages=fitted.messages,
                ids=fitted.ids,
                source=row["source"],
                safety=bool(row["safety"]),
                row=index,
            )
        )
    return prompts, counts


def draw_batch(n_prompts: int, size: int, iteration: int, seed: int) -> list[int]:
    """Which prompts an iteration takes: one permutation after the other, cut into batches.

    A pure function of the iteration, so that a resumed run needs no cursor.
    """
    picked: list[int] = []
    place = iteration * size
    while len(picked) < size:
        epoch, start = divmod(place + len(picked), n_prompts)
        order = np.random.default_rng([seed, 10, epoch]).permutation(n_prompts)
        picked.extend(order[start : start + size - len(picked)].tolist())
    return picked


def draw_some(n_prompts: int, size: int, key: Sequence[int]) -> list[int]:
    """Which `size` of the prompts to take, drawn by a key without repetition, in their order."""
    drawn = np.random.default_rng([*key, 12]).choice(n_prompts, size=size, replace=False)
    return sorted(drawn.tolist())


def split_heldout(
    prompts: Sequence[Prompt], share: float, seed: int
) -> tuple[list[Prompt], list[Prompt]]:
    """Split into (training, held-out), drawn at random, order kept; `share` of 0 holds out none."""
    size = round(len(prompts) * share)
    order = np.random.default_rng([seed, 11]).permutation(len(prompts))
    held = set(order[:size].tolist())
    return (
        [prompt for index, prompt in enumerate(prompts) if index not in held],
        [prompt for index, prompt in enumerate(prompts) if index in held],
    )
