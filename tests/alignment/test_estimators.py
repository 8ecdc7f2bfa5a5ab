"""Advantages from groups of answers and their losses, against loops over the papers' formulae."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from llamakit.alignment.advantages import group_advantages, leave_one_out_advantages
from llamakit.alignment.estimators import credit, policy_loss, weight
from llamakit.alignment.experience import Movement
from llamakit.alignment.objectives import group_policy_loss, sequence_policy_loss
from llamakit.alignment.ppo import Ppo
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import plan, prompts

LENGTHS = [4, 2, 5, 1, 3, 3]


def tensors(seed: int = 0) -> dict[str, Tensor]:
    """Log-probabilities and a mask of six answers, three to each of two prompts."""
    generator = torch.Generator().manual_seed(seed)
    shape = (6, 5)
    old = -3 * torch.rand(shape, generator=generator)
    return {
        "old": old,
        "new": old + 0.3 * torch.randn(shape, generator=generator),
        "reference": old + 0.2 * torch.randn(shape, generator=generator),
        "mask": torch.arange(5)[None, :] < torch.tensor(LENGTHS)[:, None],
        "scores": torch.randn(6, generator=generator),
    }


def grouped(estimator: str, **changes: object) -> PpoPlan:
    return plan(estimator=estimator, answers=3, batch=6, mini_batch=6, **changes)


def test_leave_one_out_is_a_reward_less_the_mean_of_the_others() -> None:
    rewards = [1.0, 2.0, 6.0, -1.0, 0.0, 4.0]
    expected = []
    for index, reward in enumerate(rewards):
        group = rewards[index // 3 * 3 : index // 3 * 3 + 3]
        others = [other for place, other in enumerate(group) if place != index % 3]
        expected.append(reward - sum(others) / 2)
    assert leave_one_out_advantages(torch.tensor(rewards), 3).tolist() == pytest.approx(expected)


def test_group_advantages_are_standardised_within_a_prompt() -> None:
    rewards = [1.0, 2.0, 6.0, 5.0, 5.0, 5.0]
    found = group_advantages(torch.tensor(rewards), 3).tolist()
    mean, deviation = statistics.mean(rewards[:3]), statistics.stdev(rewards[:3])
    assert found[:3] == pytest.approx([(r - mean) / deviation for r in rewards[:3]], abs=1e-3)
    assert found[3:] == [0.0, 0.0, 0.0]


def test_rloo_charges_an_answer_for_its_whole_kl() -> None:
    t = tensors()
    kl = t["old"] - t["reference"]
    found = credit(t["scores"], kl, None, t["mask"], 0.3, grouped("rloo"))
    earned = [
        t["scores"][row].item() - 0.3 * sum(kl[row, :length].tolist())
        for row, length in enumerate(LENGTHS)
    ]
    for row, length in enumerate(LENGTHS):
        others = [earned[r] for r in range(row // 3 * 3, row // 3 * 3 + 3) if r != row]
        advantage = earned[row] - sum(others) / 2
        assert found.advantages_BT[row, :length].tolist() == pytest.approx([advantage] * length)
        assert found.advantages_BT[row, length:].abs().sum() == 0
    assert found.returns_BT is None


def test_grpo_leaves_the_kl_out_of_the_reward() -> None:
    t = tensors()
    found = [
        credit(t["scores"], kl, None, t["mask"], 0.3, grouped("grpo")).advantages_BT
        for kl in (torch.zeros((6, 5)), torch.ones((6, 5)))
    ]
    assert torch.equal(found[0], found[1])


def test_groups_without_spread_are_told() -> None:
    scores = torch.tensor([1.0, 1.0, 1.0, 2.0, 3.0, 2.0])
    mask = tensors()["mask"]
    assert credit(scores, torch.zeros((6, 5)), None, mask, 0.1, grouped("grpo")).flat == 0.5


def test_the_sequence_loss_takes_an_answer_as_one_action() -> None:
    t = tensors()
    advantages = torch.tensor([1.0, -1.0, 0.5, 2.0, -2.0, 0.1])
    total = 0.0
    for row, length in enumerate(LENGTHS):
        ratio = math.exp(sum((t["new"] - t["old"])[row, :length].tolist()))
        held = min(max(ratio, 0.8), 1.2)
        total -= min(ratio * advantages[row].item(), held * advantages[row].item())
    found = sequence_policy_loss(t["new"], t["old"], advantages, t["mask"], 0.2)
    assert found.item() == pytest.approx(total, abs=1e-5)


def test_at_a_ratio_of_1_the_sequence_loss_has_reinforces_gradient() -> None:
    t = tensors()
    advantages = torch.tensor([1.0, -1.0, 0.5, 2.0, -2.0, 0.1])
    new = t["old"].clone().requires_grad_()
    sequence_policy_loss(new, t["old"], advantages, t["mask"], 0.2).backward()
    assert new.grad is not None
    torch.testing.assert_close(new.grad, -advantages[:, None] * t["mask"])


def test_the_group_loss_is_a_mean_over_each_answers_tokens_with_k3() -> None:
    t = tensors()
    advantages = torch.randn((6, 5), generator=torch.Generator().manual_seed(1))
    total = 0.0
    for row, length in enumerate(LENGTHS):
        losses = []
        for place in range(length):
            ratio = math.exp((t["new"] - t["old"])[row, place].item())
            log_ratio = (t["reference"] - t["new"])[row, place].item()
            advantage = advantages[row, place].item()
            held = min(max(ratio, 0.8), 1.2)
            k3 = math.exp(log_ratio) - 1 - log_ratio
            losses.append(-min(ratio * advantage, held * advantage) + 0.04 * k3)
        total += sum(losses) / length
    found = group_policy_loss(
        t["new"], t["old"], t["reference"], advantages, t["mask"], 0.2, kl_weight=0.04
    )
    assert found.item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("estimator", ["gae", "rloo", "grpo"])
def test_padding_holds_anything(estimator: str) -> None:
    settings = plan() if estimator == "gae" else grouped(estimator)
    losses = []
    for filler in (0.0, 1e4):
        t = tensors()
        for name in ("old", "new", "reference"):
            t[name] = t[name].masked_fill(~t["mask"], filler if name == "new" else -filler)
        t["new"].requires_grad_()
        loss = policy_loss(
            t["new"], t["old"], t["reference"], t["mask"] * 1.0, t["mask"], 0.1, settings
        )
        loss.backward()
        assert t["new"].grad is not None
        assert bool(t["new"].grad.isfinite().all())
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1])


def test_what_losses_are_divided_by() -> None:
    assert weight(18, 6, plan()) == 18
    assert weight(18, 6, grouped("rloo")) == weight(18, 6, grouped("grpo")) == 6


@pytest.mark.parametrize("by_answer", [False, True])
def test_ratios_are_told_of_tokens_or_of_answers(by_answer: bool) -> None:
    t = tensors()
    movement = Movement(by_answer=by_answer)
    for rows in ([0, 1, 2], [3, 4, 5]):
        movement.see(*(t[n][rows] for n in ("new", "old", "reference", "mask")), 0.2)  # type: ignore[misc]
    moved = [(t["new"] - t["old"])[row, :length] for row, length in enumerate(LENGTHS)]
    ratios = torch.stack([m.sum() for m in moved]) if by_answer else torch.cat(moved)
    ratios = ratios.exp()
    found = movement.figures()
    assert found["ratio_mean"] == pytest.approx(ratios.mean().item(), rel=1e-5)
    assert found["ratio_max"] == pytest.approx(ratios.max().item(), rel=1e-5)
    beyond = ((ratios - 1).abs() > 0.2).float().mean().item()
    assert found["clip_fraction"] == pytest.approx(beyond)
    apart = sum(
        (m.exp() * (t["new"] - t["reference"])[row, : len(m)]).sum().item()
        for row, m in enumerate(moved)
    )
    assert found["kl_updating"] == pytest.approx(apart / 6, rel=1e-4)


@pytest.mark.parametrize("estimator", ["rloo", "grpo"])
def test_it_raises_a_reward_that_can_be_counted(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, estimator: str
) -> None:
    ppo = make_ppo(
        estimator=estimator, answers=4, batch=32, mini_batch=16, lr=5e-3, unfinished_penalty=0.0
    )
    history = [ppo.step(i, prompts(vocabulary))["score"] for i in range(20)]
    assert history[0] < 2.0
    assert sum(history[-3:]) / 3 > history[0] + 1.5


@pytest.mark.parametrize("estimator", ["rloo", "grpo"])
def test_answers_to_a_prompt_stand_side_by_side_and_differ(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, estimator: str
) -> None:
    ppo = make_ppo(estimator=estimator, answers=4, batch=8)
    rollouts = ppo.sample(prompts(vocabulary)[:2], 12, 0, 4)
    assert rollouts.prompt_B.tolist() == [0] * 4 + [1] * 4
    assert len(set(rollouts.texts)) > 2


def test_plans_that_make_no_sense_are_refused(make_ppo: Callable[..., Ppo]) -> None:
    with pytest.raises(ValueError, match="2 or more"):
        plan(estimator="grpo")
    with pytest.raises(ValueError, match="divide"):
        plan(answers=3, batch=8)
    ppo = make_ppo()
    with pytest.raises(ValueError, match="value model"):
        Ppo(
            policy=ppo.policy, reference=ppo.reference, value_model=ppo.value_model,
            judge=ppo.judge, vocabulary=ppo.vocabulary, plan=grouped("rloo"),
        )  # fmt: skip
