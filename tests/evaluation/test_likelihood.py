"""Fast log-likelihoods equal a full forward pass for every choice."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from llamakit.evaluation import likelihood
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.likelihood import choice_logprobs, fitted
from llamakit.evaluation.prompts import ChoiceRows
from llamakit.model.transformer import Transformer


@torch.no_grad()
def slow(model: Transformer, question: ChoiceRows) -> list[float]:
    """Each choice alone: the whole row, all logits, a sum over its tokens."""
    scores = []
    for choice in question.choices:
        ids = question.context + choice
        logits = model.logits(model(torch.tensor([ids]))).double().log_softmax(-1)[0]
        places = range(len(question.context), len(ids))
        scores.append(sum(float(logits[place - 1, ids[place]]) for place in places))
    return scores


def questions(seed: int, n: int, prefix: int, size: int) -> list[ChoiceRows]:
    chance = random.Random(seed)

    def ids(length: int) -> list[int]:
        return [chance.randrange(3, size) for _ in range(length)]

    shared = [1, *ids(prefix)]
    found = []
    for _ in range(n):
        choices = [ids(chance.randint(1, 9)) for _ in range(chance.randint(2, 5))]
        # Single-token choices and choices that begin alike share the rows they are read in.
        choices += [[5], [6], [*choices[0][:-1], 7]]
        found.append(ChoiceRows(shared + ids(chance.randint(0, 40)), choices))
    return found


@pytest.mark.parametrize("prefix", [0, 1, 60])
def test_equal_to_the_slow_loop(make_candidate: Callable[..., Candidate], prefix: int) -> None:
    model = make_candidate().model
    asked = questions(prefix, 12, prefix, model.config.vocab_size)
    found = choice_logprobs(model, asked, 0)
    for question, scores in zip(asked, found, strict=True):
        assert scores == pytest.approx(slow(model, question), abs=2e-4)


def test_scores_do_not_depend_on_the_company(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_candidate().model
    asked = questions(3, 10, 20, model.config.vocab_size)
    together = choice_logprobs(model, asked, 0)
    alone = [choice_logprobs(model, [question], 0)[0] for question in asked]
    monkeypatch.setattr(likelihood, "_CACHED_TOKENS", 200)
    monkeypatch.setattr(likelihood, "_PROJECTED", 3)
    in_small_batches = choice_logprobs(model, list(reversed(asked)), 0)[::-1]
    for first, second, third in zip(together, alone, in_small_batches, strict=True):
        assert second == pytest.approx(first, abs=1e-4)
        assert third == pytest.approx(first, abs=1e-4)


def test_a_repeated_run_gives_the_same_bits(make_candidate: Callable[..., Candidate]) -> None:
    model = make_candidate().model
    asked = questions(5, 6, 10, model.config.vocab_size)
    assert choice_logprobs(model, asked, 0) == choice_logprobs(model, asked, 0)


def test_the_prefix_is_read_once(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_candidate().model
    asked = questions(7, 20, 100, model.config.vocab_size)
    read = 0
    forward = model.model.forward

    def counting(ids_BL: torch.Tensor, **options: object) -> torch.Tensor:
        nonlocal read
        read += ids_BL.numel()
        return forward(ids_BL, **options)

    monkeypatch.setattr(model.model, "forward", counting)
    choice_logprobs(model, asked, 0)
    naive = sum(len(q.context) + len(c) for q in asked for c in q.choices)
    assert read < naive / 4


def test_progress_counts_every_question(make_candidate: Callable[..., Candidate]) -> None:
    model = make_candidate().model
    told: list[int] = []
    choice_logprobs(model, questions(8, 9, 4, model.config.vocab_size), 0, told.append)
    assert sum(told) == 9


def test_a_context_too_long_keeps_its_first_token_and_its_end() -> None:
    rows, cut = fitted(ChoiceRows([1, *range(10, 30)], [[7, 8], [9]]), 10)
    assert cut
    assert rows == ChoiceRows([1, *range(23, 30)], [[7, 8], [9]])
    assert fitted(ChoiceRows([1, 2], [[3]]), 10) == (ChoiceRows([1, 2], [[3]]), False)


def test_a_choice_longer_than_the_window_is_cut_too() -> None:
    rows, cut = fitted(ChoiceRows([1, 5, 6], [list(range(20))]), 8)
    assert cut
    assert rows == ChoiceRows([1], [list(range(13, 20))])


def test_nothing_asked_nothing_found(make_candidate: Callable[..., Candidate]) -> None:
    assert choice_logprobs(make_candidate().model, [], 0) == []
