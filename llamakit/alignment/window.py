"""Fitting a dialogue into the context window: the oldest exchanges go, the last question stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamakit.text.dialogue import Message, render, render_prompt
from llamakit.text.vocabulary import Vocabulary


def without_oldest_exchange(messages: Sequence[Message]) -> list[Message] | None:
    """The dialogue without its first user message and the answers to it; a system message stays.

    Returns:
        None when only one user message is left, so that nothing can go.
    """
    users = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if len(users) < 2:
        return None
    return [*messages[: users[0]], *messages[users[1] :]]


@dataclass(frozen=True)
class FittedPrompt:
    """A prompt that leaves room for its answer."""

    messages: list[Message]
    ids: list[int]
    dropped: int
    """Exchanges that had to go."""


def fit_prompt(
    messages: Sequence[Message], vocabulary: Vocabulary, max_tokens: int
) -> FittedPrompt | None:
    """A prompt of at most `max_tokens`; None when even its last user message alone is too long."""
    left: list[Message] | None = list(messages)
    dropped = 0
    while left is not None:
        ids = render_prompt(left, vocabulary)
        if len(ids) <= max_tokens:
            return FittedPrompt(left, ids, dropped)
        left = without_oldest_exchange(left)
        dropped += 1
    return None


@dataclass(frozen=True)
class FittedAnswers:
    """A prompt with each of several answers, within the context."""

    rows: list[list[int]]
    """Ids of the prompt and an answer."""
    start: int
    """Tokens of the prompt, which all rows begin with."""
    dropped: int
    """Exchanges that had to go."""


def fit_answers(
    prompt: Sequence[Message],
    answers: Sequence[Sequence[Message]],
    vocabulary: Vocabulary,
    max_tokens: int,
) -> FittedAnswers | None:
    """The prompt with each answer, under one common prompt that makes all of them fit.

    Answers that are compared must follow the same text, so exchanges go for all or for none.

    Returns:
        None when nothing fits.
    """
    left: list[Message] | None = list(prompt)
    dropped = 0
    while left is not None:
        rows = [render([*left, *answer], vocabulary).ids for answer in answers]
        if max(map(len, rows)) <= max_tokens:
            return FittedAnswers(rows, len(render_prompt(left, vocabulary)), dropped)
        left = without_oldest_exchange(left)
        dropped += 1
    return None
