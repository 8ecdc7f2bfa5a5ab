"""Our functions against TRL's, where it is installed: an independent implementation."""

from __future__ import annotations

import os
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llamakit.alignment.advantages import masked_mean, masked_variance, whiten
from llamakit.alignment.preferences import PairBatches, tokenise_pairs
from llamakit.alignment.ranking import objective
from llamakit.alignment.response import logprobs_and_entropy
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import handmade


@pytest.fixture(scope="module")
def trl() -> Any:
    pytest.importorskip("trl", reason="TRL is an optional oracle: pip install trl==1.12.0")
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.experimental.ppo import ppo_trainer
        from trl.trainer import reward_trainer, utils
    return SimpleNamespace(ppo=ppo_trainer, reward=reward_trainer, utils=utils)


def test_masked_statistics_and_whitening(trl: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn((4, 7), generator=generator) * 3 + 1
    mask = torch.rand((4, 7), generator=generator) < 0.6
    torch.testing.assert_close(masked_mean(values, mask), trl.ppo.masked_mean(values, mask))
    torch.testing.assert_close(masked_variance(values, mask), trl.ppo.masked_var(values, mask))
    for shift in (True, False):
        theirs = trl.ppo.masked_whiten(values, mask, shift_mean=shift)
        torch.testing.assert_close(whiten(values, mask, shift_mean=shift)[mask], theirs[mask])


def test_logprobs_and_entropy(trl: Any, policy: Transformer, vocabulary: Vocabulary) -> None:
    rollouts = handmade(vocabulary, [([1, 260, 261], [270, 271, 2]), ([1, 262], [280])])
    mask = rollouts.response_mask
    with torch.no_grad():
        logits = policy.logits(policy(rollouts.ids_BL)) / 0.7
    picked = logits[torch.arange(2)[:, None], rollouts.predictors]
    theirs = trl.utils.selective_log_softmax(picked, rollouts.responses)
    ours, entropies = logprobs_and_entropy(policy, rollouts, 0.7)
    torch.testing.assert_close(ours[mask], theirs[mask], rtol=0, atol=1e-5)
    entropy = trl.utils.entropy_from_logits(picked)
    torch.testing.assert_close(entropies[mask], entropy[mask], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("margin", "centring"), [("none", 0.0), ("small", 0.0), ("large", 0.01)])
def test_reward_loss(
    trl: Any, reward_model: RewardModel, vocabulary: Vocabulary, margin: Any, centring: float
) -> None:
    pairs, _ = tokenise_pairs(
        [
            {
                "id": f"{i}",
                "prompt": [{"role": "user", "content": "What?"}],
                "chosen": [{"role": "assistant", "content": "Yes, " * i}],
                "rejected": [{"role": "assistant", "content": "No."}],
                "grade": grade,
                "safety": None,
                "source": "test",
            }
            for i, grade in enumerate(["significantly", "slightly", None], start=1)
        ],
        vocabulary,
        128,
    )
    (batch,) = PairBatches(
        pairs, batch_pairs=3, micro_pairs=3, epochs=1, seed=0, margin=margin, pad=0
    ).batch(0)
    ours = objective(1.0, centring)(reward_model, batch)
    metrics: Any = {"train": {}, "eval": {}}
    for held in metrics.values():
        for name in ("num_tokens", "min_reward", "mean_reward", "max_reward", "accuracy", "margin"):
            held[name] = []
    same = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(center_rewards_coefficient=centring or None),
        accelerator=same,
        _total_train_tokens=0,
        _metrics=metrics,
    )

    def model(**inputs: Any) -> Any:
        return SimpleNamespace(logits=reward_model(batch.ids_RL, batch.lengths_R)[:, None])

    inputs = {"margin": batch.margin_P, "attention_mask": torch.ones(1)}
    theirs = trl.reward.RewardTrainer.compute_loss(trainer, model, inputs)
    torch.testing.assert_close(ours.total / ours.count, theirs)
