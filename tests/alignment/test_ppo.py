"""PPO as a whole: it raises a reward that can be counted, and its update is what the papers say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from llamakit.alignment.control import Control
from llamakit.alignment.objectives import clipped_policy_loss, explained_variance, value_loss
from llamakit.alignment.ppo import Ppo
from llamakit.errors import UsageError
from llamakit.stages import ppo as stages
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import plan, prompts


def test_ppo_raises_a_reward_that_can_be_counted(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo(batch=32, mini_batch=16, lr=5e-3, unfinished_penalty=0.0)
    history = [ppo.step(i, prompts(vocabulary))["score"] for i in range(25)]
    assert history[0] < 2.0
    assert sum(history[-3:]) / 3 > history[0] + 2


def test_a_heavy_kl_weight_keeps_the_policy_near_its_start(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    kl = {}
    for weight in (0.0, 1.0):
        ppo = make_ppo(batch=16, mini_batch=8, lr=3e-3, kl_weight=weight)
        kl[weight] = [ppo.step(i, prompts(vocabulary)) for i in range(12)][-1]["kl_k3"]
    assert kl[1.0] < kl[0.0] / 2


def test_critic_warmup_leaves_the_policy_alone(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo(critic_warmup=1)
    before = [weight.clone() for weight in ppo.policy.parameters()]
    values = [weight.clone() for weight in ppo.value_model.parameters()]
    ppo.step(0, prompts(vocabulary))
    assert all(map(torch.equal, before, ppo.policy.parameters()))
    assert not all(map(torch.equal, values, ppo.value_model.parameters()))
    ppo.step(1, prompts(vocabulary))
    assert not all(map(torch.equal, before, ppo.policy.parameters()))


def test_micro_batches_change_nothing(make_ppo: Callable[..., Ppo], vocabulary: Vocabulary) -> None:
    whole, split = make_ppo(tokens_at_once=10_000), make_ppo(tokens_at_once=40)
    for ppo in (whole, split):
        ppo.step(0, prompts(vocabulary))
    for a, b in zip(whole.policy.parameters(), split.policy.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_the_same_seed_gives_the_same_weights(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    runs = [make_ppo(), make_ppo()]
    for ppo in runs:
        for iteration in range(2):
            ppo.step(iteration, prompts(vocabulary))
    assert all(map(torch.equal, runs[0].policy.parameters(), runs[1].policy.parameters()))


def test_scores_of_a_batch_are_whitened() -> None:
    scores = torch.tensor([1.0, 3.0, 5.0])
    assert Control(0.1).whiten(scores, plan(whitening="none")).tolist() == [1.0, 3.0, 5.0]
    full = Control(0.1).whiten(scores, plan(whitening="full"))
    assert full.mean().item() == pytest.approx(0, abs=1e-6)
    scaled = Control(0.1).whiten(scores, plan())
    assert scaled.mean().item() == pytest.approx(3.0)
    assert scaled.std().item() == pytest.approx(1.0, rel=1e-5)


def test_policy_loss_is_the_clipped_objective() -> None:
    old = torch.zeros((1, 4))
    new = torch.log(torch.tensor([[1.5, 1.5, 0.5, 0.5]]))
    advantages = torch.tensor([[1.0, -1.0, 1.0, -1.0]])
    mask = torch.ones((1, 4), dtype=torch.bool)
    loss = clipped_policy_loss(new, old, advantages, mask, 0.2)
    assert loss.item() == pytest.approx(-1.2 + 1.5 - 0.5 + 0.8)


def test_a_clipped_token_has_no_gradient() -> None:
    new = torch.log(torch.tensor([[1.5, 1.1]])).requires_grad_()
    mask = torch.ones((1, 2), dtype=torch.bool)
    clipped_policy_loss(new, torch.zeros((1, 2)), torch.ones((1, 2)), mask, 0.2).backward()
    assert new.grad is not None
    assert new.grad[0, 0] == 0
    assert new.grad[0, 1] != 0


def test_value_loss_and_explained_variance_see_real_tokens_only() -> None:
    values, returns = torch.tensor([[1.0, 2.0, 99.0]]), torch.tensor([[2.0, 4.0, 0.0]])
    mask = torch.tensor([[True, True, False]])
    assert value_loss(values, returns, mask).item() == pytest.approx(0.5 * (1 + 4))
    assert explained_variance(values, returns, mask) == pytest.approx(1 - 0.25 / 1.0)
    assert explained_variance(values, torch.ones((1, 3)), mask) == 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "rloo"}, "compares the answers to one prompt"),
        ({"estimator": "grpo", "answers": 3}, "answers = 3 does not divide batch = 512"),
        ({"estimator": "grpo", "answers": 4, "lam": 0.9}, "lam would do nothing: grpo has no"),
        (
            {"estimator": "rloo", "answers": 2, "value_lr": 1e-5, "critic_warmup": 1},
            "value_lr, critic_warmup would do nothing",
        ),
        ({"whitening": "none", "whiten_by": "running"}, "whiten_by would do nothing"),
        ({"kl_horizon": 100}, "kl_horizon would do nothing: there is no kl_target"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        stages.Ppo(prompts=["prompts"], model="sft", helpfulness="helpfulness", **changes)  # type: ignore[arg-type]
