"""DPO against a slow version of its formula, and as a whole: preferences move the policy."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from llamakit.alignment.direct import (
    answer_logprobs,
    implicit_rewards,
    objective,
    preference_loss,
    with_reference,
)
from llamakit.alignment.preferences import Pair, PairBatch, PairBatches, shuffled, tokenise_pairs
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.accumulation import accumulate


def preferences(count: int = 6) -> list[dict[str, object]]:
    return [
        {
            "id": f"pair-{i}",
            "prompt": [
                {"role": "user", "content": "Tell me a story." + " Please." * (i % 3)},
                {"role": "assistant", "content": "Yes, I can."},
                {"role": "user", "content": f"What is {i}?"},
            ],
            "chosen": [{"role": "assistant", "content": "Yes, " + "12 and " * (i % 4) + "30."}],
            "rejected": [{"role": "assistant", "content": "No." + " I will not." * (i % 3)}],
            "grade": "better",
            "safety": None,
            "source": "test",
        }
        for i in range(count)
    ]


@pytest.fixture
def pairs(policy: Transformer, vocabulary: Vocabulary) -> list[Pair]:
    found, _ = tokenise_pairs(preferences(), vocabulary, 128)
    return with_reference(policy, found, vocabulary.pad)


def batch_of(pairs: list[Pair], pad: int, tokens: int = 10**6) -> list[PairBatch]:
    return PairBatches(
        pairs, batch_pairs=6, tokens_at_once=tokens, epochs=1, seed=0, margin="none", pad=pad
    ).batch(0)


@torch.no_grad()
def slow_logprob(model: Transformer, vocabulary: Vocabulary, row: dict[str, object]) -> list[float]:
    """Log-probability of either answer of a pair: one row at a time, one token at a time."""
    from llamakit.text.dialogue import render, render_prompt

    found = []
    for side in ("chosen", "rejected"):
        start = len(render_prompt(row["prompt"], vocabulary))  # type: ignore[arg-type]
        ids = render([*row["prompt"], *row[side]], vocabulary).ids  # type: ignore[misc]
        logits = model.logits(model(torch.tensor([ids])))[0].double().log_softmax(-1)
        found.append(sum(float(logits[t - 1, ids[t]]) for t in range(start, len(ids))))
    return found


def test_log_probabilities_are_of_the_answers_tokens_alone(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    for pair, row in zip(pairs, preferences(), strict=True):
        assert pair.reference == pytest.approx(slow_logprob(policy, vocabulary, row), abs=1e-4)
        assert pair.chosen[: pair.start].tolist() == pair.rejected[: pair.start].tolist()


@pytest.mark.parametrize(("beta", "smoothing"), [(0.1, 0.0), (0.5, 0.2)])
def test_the_loss_is_the_papers(
    policy: Transformer,
    vocabulary: Vocabulary,
    pairs: list[Pair],
    beta: float,
    smoothing: float,
) -> None:
    moved = copy.deepcopy(policy)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.mul_(1.05)
    (batch,) = batch_of(pairs, vocabulary.pad)
    loss = objective(beta, smoothing)(moved, batch)
    expected = margin = 0.0
    hits = 0
    for row in preferences():
        before = slow_logprob(policy, vocabulary, row)
        after = slow_logprob(moved, vocabulary, row)
        h = beta * ((after[0] - before[0]) - (after[1] - before[1]))
        expected += (1 - smoothing) * math.log1p(math.exp(-h)) + smoothing * math.log1p(math.exp(h))
        margin += h
        hits += h > 0
    assert loss.total.item() == pytest.approx(expected, abs=1e-4)
    assert float(loss.figures["margin"]) == pytest.approx(margin, abs=1e-4)
    assert int(loss.figures["accuracy"]) == hits
    assert loss.count == 6


def test_before_training_the_loss_is_log_2(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    (batch,) = batch_of(pairs, vocabulary.pad)
    loss = objective(0.1, 0.0)(policy, batch)
    assert loss.total.item() / 6 == pytest.approx(math.log(2), abs=1e-5)
    assert float(loss.figures["chosen_reward"]) == pytest.approx(0, abs=1e-4)


def test_micro_batches_and_padding_change_no_gradient(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    gradients = []
    for tokens, pad in ((10**6, vocabulary.pad), (1, vocabulary.pad), (300, 277)):
        model = copy.deepcopy(policy)
        figures = accumulate(
            model,
            objective(0.3, 0.1),
            batch_of(pairs, pad, tokens),
            "cpu",
            after=lambda loss: torch.autograd.backward(loss.total),
        )
        gradients.append([weight.grad / figures["count"] for weight in model.parameters()])
    for other in gradients[1:]:
        for a, b in zip(gradients[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)


def test_smoothing_is_the_loss_on_pairs_of_which_some_are_flipped() -> None:
    chosen, rejected = torch.tensor([1.0, -0.5]), torch.tensor([0.2, 0.7])
    right = preference_loss(chosen, rejected, 0.5, 0.0)
    wrong = preference_loss(rejected, chosen, 0.5, 0.0)
    torch.testing.assert_close(
        preference_loss(chosen, rejected, 0.5, 0.25), 0.75 * right + 0.25 * wrong
    )


def test_a_batch_that_does_not_count_adds_nothing(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    from dataclasses import replace

    (batch,) = batch_of(pairs, vocabulary.pad)
    loss = objective(0.1, 0.0)(policy, replace(batch, counts=False))
    assert (loss.total.item(), loss.count) == (0.0, 0.0)


def test_training_ranks_the_pairs_and_the_rewards_say_so(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    model = copy.deepcopy(policy)
    (batch,) = batch_of(pairs, vocabulary.pad)
    adam = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(15):
        loss = objective(0.5, 0.0)(model, batch)
        torch.autograd.backward(loss.total)
        adam.step()
        adam.zero_grad()
    scored = implicit_rewards(model, pairs, vocabulary.pad, beta=0.5)
    assert all(one.agrees for one in scored)
    (batch,) = batch_of(pairs, vocabulary.pad)
    figures = objective(0.5, 0.0)(model, batch).figures
    assert sum(one.chosen for one in scored) == pytest.approx(
        float(figures["chosen_reward"]), abs=1e-3
    )


def test_a_flipped_pair_keeps_each_answers_reference(pairs: list[Pair]) -> None:
    for before, after in zip(pairs, shuffled(pairs, seed=1), strict=True):
        assert before.reference is not None
        flipped = before.chosen is after.rejected
        assert after.reference == (before.reference[::-1] if flipped else before.reference)


def test_answer_logprobs_do_not_depend_on_the_batch(
    policy: Transformer, vocabulary: Vocabulary, pairs: list[Pair]
) -> None:
    (batch,) = batch_of(pairs, vocabulary.pad)
    with torch.no_grad():
        together = answer_logprobs(policy, batch.ids_RL, batch.starts_R, batch.lengths_R)
    assert batch.reference_R is not None
    torch.testing.assert_close(together, batch.reference_R, rtol=0, atol=1e-4)
