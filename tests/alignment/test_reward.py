"""The parts of PPO's reward, each against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from llamakit.alignment.reward import (
    SAFETY_THRESHOLD,
    combined_score,
    kl_k1,
    kl_k3,
    logit,
    penalise_unfinished,
    safety_gate,
    token_rewards,
    whiten_scores,
)


def test_logit_undoes_the_sigmoid() -> None:
    assert 1 / (1 + math.exp(-logit(0.15))) == pytest.approx(0.15)


def test_the_gate_takes_safety_for_tagged_prompts_and_for_unsafe_answers() -> None:
    edge = logit(SAFETY_THRESHOLD)
    raw_safety = torch.tensor([edge - 0.01, edge + 0.01, 5.0, -40.0])
    tagged = torch.tensor([False, False, True, False])
    gate = safety_gate(raw_safety, tagged, SAFETY_THRESHOLD)
    assert gate.tolist() == [True, False, True, True]
    helpfulness = torch.tensor([1.0, 2.0, 3.0, 4.0])
    combined = combined_score(helpfulness, raw_safety, gate)
    assert combined.tolist() == pytest.approx([edge - 0.01, 2.0, 5.0, -40.0])


def test_whitened_scores_have_unit_spread() -> None:
    scores = torch.tensor([1.0, 2.0, 6.0, 3.0])
    assert whiten_scores(scores, shift_mean=True).std().item() == pytest.approx(1, rel=1e-4)
    kept = whiten_scores(scores, shift_mean=False)
    assert kept.mean().item() == pytest.approx(3.0, rel=1e-5)


def test_unfinished_answers_lose_the_penalty() -> None:
    scores = penalise_unfinished(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), 0.5)
    assert scores.tolist() == [1.0, 0.5]


def test_score_lands_on_the_last_token_and_kl_on_every_one() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    kl = torch.tensor([[0.1, 0.2, 9.0], [0.3, 0.4, 0.5]])
    rewards = token_rewards(torch.tensor([2.0, -1.0]), kl, mask, beta=0.1)
    expected = torch.tensor([[-0.01, 2 - 0.02, 0.0], [-0.03, -0.04, -1 - 0.05]])
    torch.testing.assert_close(rewards, expected)


def test_an_answer_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        token_rewards(torch.zeros(1), torch.zeros((1, 2)), torch.zeros((1, 2)).bool(), beta=0.1)


def test_kl_estimators_are_unbiased_and_k3_is_never_negative() -> None:
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn((2, 50), generator=generator).log_softmax(-1)
    exact = (policy.exp() * (policy - reference)).sum()
    # Expectation over the policy, written out: a sum over the vocabulary instead of samples.
    weights = policy.exp()
    assert (weights * kl_k1(policy, reference)).sum().item() == pytest.approx(
        exact.item(), rel=1e-4
    )
    assert (weights * kl_k3(policy, reference)).sum().item() == pytest.approx(
        exact.item(), rel=1e-4
    )
    assert (kl_k3(policy, reference) >= 0).all()


def test_kl_carries_no_gradient() -> None:
    logprobs = torch.zeros((1, 2), requires_grad=True)
    assert not kl_k1(logprobs, torch.ones((1, 2))).requires_grad
    assert not kl_k3(logprobs, torch.ones((1, 2))).requires_grad
