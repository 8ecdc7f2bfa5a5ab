"""Answers sampled from a model, seeded so that no answer depends on the ones beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llamakit.evaluation.candidate import Candidate
from llamakit.model.generation import Sampling, generate

TOO_LONG = "longer than the context"

_PROMPTS_AT_ONCE = 256


@dataclass(frozen=True)
class Answer:
    """One generated answer."""

    text: str
    finished: bool
    """The model ended it itself, rather than the length limit."""


def answer(
    candidate: Candidate,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    keys: Sequence[Sequence[int]],
    advance: Callable[[int], None] | None = None,
) -> list[Answer | None]:
    """Answer prompts of ids; None for a prompt that leaves no room for the answer in the context.

    An answer has at most `sampling.max_new_tokens` tokens, and at most half the context; a prompt
    must leave room for all of them. The whole numbers in a prompt's key (seed, item, turn) are all
    that seeds its answer. `advance` is told how many prompts were just done.
    """
    longest = max(1, min(sampling.max_new_tokens, candidate.window // 2))
    sampling = replace(sampling, max_new_tokens=longest)
    room = candidate.window - longest
    found: list[Answer | None] = [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), _PROMPTS_AT_ONCE):
        chunk = order[start : start + _PROMPTS_AT_ONCE]
        fitting = [index for index in chunk if len(prompts[index]) <= room]
        generations = generate(
            candidate.model,
            candidate.vocabulary,
            [list(prompts[index]) for index in fitting],
            sampling,
            [seed_of(keys[index]) for index in fitting],
        )
        for index, generation in zip(fitting, generations, strict=True):
            found[index] = Answer(generation.text, generation.finished)
        if advance is not None:
            advance(len(chunk))
    return found


def seed_of(key: Sequence[int]) -> int:
    """A seed of 63 bits from a sequence of whole numbers."""
    state = np.random.SeedSequence([int(part) for part in key]).generate_state(1, np.uint64)
    return int(state[0]) >> 1


def greedy(sampling: Sampling, max_new_tokens: int, stop: Sequence[str]) -> Sampling:
    """The same settings, decoding greedily: for answers that are right or wrong."""
    return replace(sampling, temperature=0.0, max_new_tokens=max_new_tokens, stop=list(stop))
