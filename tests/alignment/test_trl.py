"""Our functions against TRL's, where it is installed: an independent implementation."""

from __future__ import annotations

import copy
import inspect
import os
import textwrap
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from llamakit.alignment import direct
from llamakit.alignment.advantages import masked_mean, masked_variance, whiten
from llamakit.alignment.direct import with_reference
from llamakit.alignment.estimators import credit, policy_loss
from llamakit.alignment.experience import Movement
from llamakit.alignment.objectives import clipped_policy_loss, value_loss
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.preferences import PairBatches, tokenise_pairs
from llamakit.alignment.ranking import objective
from llamakit.alignment.response import logprobs_and_entropy
from llamakit.alignment.reward import kl_k1, kl_k3, token_rewards
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
        from trl.trainer import dpo_trainer, grpo_trainer, reward_trainer, rloo_trainer, utils
    return SimpleNamespace(
        ppo=ppo_trainer,
        reward=reward_trainer,
        utils=utils,
        dpo=dpo_trainer,
        grpo=grpo_trainer,
        rloo=rloo_trainer,
    )


def lines_of(function: Any, first: str, last: str) -> str:
    """The lines of a function from the one that holds `first` to the one that holds `last`.

    Where TRL computes something in the midst of a long method, these very lines are run.
    """
    source = inspect.getsource(function).splitlines()
    begin = next(i for i, line in enumerate(source) if first in line)
    end = next(i for i in range(begin, len(source)) if last in source[i])
    return textwrap.dedent("\n".join(source[begin : end + 1]))


SAME = SimpleNamespace(
    gather=lambda x: x, gather_for_metrics=lambda x: x, reduce=lambda x, reduction: x, device="cpu"
)


class Metrics(dict[str, Any]):
    """Takes whatever a trainer logs."""

    def __missing__(self, key: str) -> Any:
        self[key] = Metrics() if key in ("train", "eval") else []
        return self[key]


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
        pairs, batch_pairs=3, tokens_at_once=10**6, epochs=1, seed=0, margin=margin, pad=0
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


def six_answers(lengths: list[int] | None = None) -> dict[str, Tensor]:
    """Log-probabilities, values and scores of six answers, three to each of two prompts."""
    generator = torch.Generator().manual_seed(4)
    shape = (6, 5)
    old = -3 * torch.rand(shape, generator=generator)
    ends = torch.tensor(lengths or [4, 2, 5, 1, 3, 3])
    return {
        "old": old,
        "new": old + 0.3 * torch.randn(shape, generator=generator),
        "reference": old + 0.2 * torch.randn(shape, generator=generator),
        "values": torch.randn(shape, generator=generator),
        "new_values": torch.randn(shape, generator=generator),
        "mask": torch.arange(5)[None, :] < ends[:, None],
        "scores": torch.randn(6, generator=generator),
        "last": ends - 1,
    }


def trl_credit(trl: Any, t: dict[str, Tensor]) -> dict[str, Any]:
    """Steps 4 to 6 of TRL's PPO: KL, rewards, advantages, returns, whitening.

    TRL gives the value of one place after the answer and puts the score there; told that the last
    real token is that place, its lines compute what ours do.
    """
    outside = ~t["mask"]
    names: dict[str, Any] = {
        "torch": torch,
        "masked_whiten": trl.ppo.masked_whiten,
        "args": SimpleNamespace(
            kl_estimator="k1", kl_coef=0.3, whiten_rewards=False, gamma=0.9, lam=0.95
        ),
        "logprobs": t["old"].masked_fill(outside, 1.0),
        "ref_logprobs": t["reference"].masked_fill(outside, 1.0),
        "values": t["values"].masked_fill(outside, 0.0),
        "scores": t["scores"],
        "responses": torch.zeros((6, 5)),
        "sequence_lengths": t["last"],
        "sequence_lengths_p1": t["last"],
        "padding_mask": outside,
        "padding_mask_p1": outside,
    }
    train = trl.ppo.PPOTrainer.train
    exec(lines_of(train, "logr = ref_logprobs", "masked_fill(advantages"), names)
    return names


@pytest.mark.parametrize("lengths", [[5] * 6, [4, 2, 5, 1, 3, 3]])
def test_kl_rewards_advantages_and_returns(trl: Any, lengths: list[int]) -> None:
    t = six_answers(lengths)
    theirs = trl_credit(trl, t)
    kl = kl_k1(t["old"], t["reference"])
    torch.testing.assert_close(kl[t["mask"]], theirs["kl"][t["mask"]])
    rewards = token_rewards(t["scores"], kl, t["mask"], 0.3)
    torch.testing.assert_close(rewards, theirs["rewards"])
    ours = credit(
        t["scores"], kl, t["values"], t["mask"], 0.3, PpoPlan(iterations=1, gamma=0.9, lam=0.95)
    )
    assert ours.returns_BT is not None
    torch.testing.assert_close(ours.returns_BT, theirs["returns"] * t["mask"])
    torch.testing.assert_close(ours.advantages_BT, theirs["advantages"], rtol=1e-4, atol=1e-5)


def test_k3(trl: Any) -> None:
    t = six_answers()
    names = {
        "args": SimpleNamespace(kl_estimator="k3"),
        "logprobs": t["old"],
        "ref_logprobs": t["reference"],
    }
    exec(lines_of(trl.ppo.PPOTrainer.train, "logr = ref_logprobs", "kl = -logr"), names)
    torch.testing.assert_close(kl_k3(t["old"], t["reference"]), names["kl"])


def test_policy_and_value_losses(trl: Any) -> None:
    t = six_answers()
    advantages, returns = torch.randn((2, 6, 5), generator=torch.Generator().manual_seed(2))
    outside = ~t["mask"]
    names: dict[str, Any] = {
        "torch": torch,
        "masked_mean": trl.ppo.masked_mean,
        "args": SimpleNamespace(cliprange=0.2, cliprange_value=1e9, vf_coef=0.1),
        "new_logprobs": t["new"].masked_fill(outside, 1.0),
        "mb_logprobs": t["old"].masked_fill(outside, 1.0),
        "mb_advantage": advantages,
        "mb_return": returns,
        "mb_values": t["values"],
        "vpred": t["new_values"].masked_fill(outside, 0.0),
        "padding_mask": outside,
        "padding_mask_p1": outside,
        "micro_batch_inds": torch.arange(6),
    }
    train = trl.ppo.PPOTrainer.train
    exec(lines_of(train, "vpredclipped = torch.clamp(", "pg_loss = masked_mean"), names)
    exec(
        lines_of(train, "pg_clipfrac = masked_mean(", "approxkl = 0.5").split("prob_dist")[0], names
    )
    tokens = t["mask"].sum()
    policy = clipped_policy_loss(t["new"], t["old"], advantages, t["mask"], 0.2) / tokens
    torch.testing.assert_close(policy, names["pg_loss"])
    value = value_loss(t["new_values"], returns, t["mask"]) / tokens
    torch.testing.assert_close(value, names["vf_loss"])
    # TRL counts a token as clipped where the clip changes its loss, we where its ratio is beyond.
    movement = Movement(by_answer=False)
    movement.see(t["new"], t["old"], t["reference"], t["mask"], 0.2)
    assert movement.figures()["clip_fraction"] >= names["pg_clipfrac"].item()


def grouped(estimator: Any) -> PpoPlan:
    return PpoPlan(iterations=1, batch=6, mini_batch=6, estimator=estimator, answers=3)


def test_rloo_advantages(trl: Any) -> None:
    t = six_answers()
    names: dict[str, Any] = {
        "torch": torch,
        "nanstd": trl.utils.nanstd,
        "gather": lambda x: x,
        "self": SimpleNamespace(beta=0.3, reward_clip_range=None),
        "old_per_token_logps": t["old"],
        "ref_per_token_logps": t["reference"],
        "completion_mask": t["mask"],
        "rewards": t["scores"],
        "num_generations": 3,
    }
    method = trl.rloo.RLOOTrainer._generate_and_score_completions
    exec(
        lines_of(method, "per_token_kl = old_per_token_logps", "rewards = rewards - self.beta"),
        names,
    )
    exec(lines_of(method, "grouped_rewards = rewards.view", "torch.zeros_like(rewards)"), names)
    ours = credit(
        t["scores"], kl_k1(t["old"], t["reference"]), None, t["mask"], 0.3, grouped("rloo")
    )
    torch.testing.assert_close(ours.advantages_BT[:, 0], names["advantages"])


def test_grpo_advantages(trl: Any) -> None:
    t = six_answers()
    names: dict[str, Any] = {
        "torch": torch,
        "nanstd": trl.utils.nanstd,
        "self": SimpleNamespace(
            multi_objective_aggregation="sum_then_normalize",
            scale_rewards="group",
            reward_weights=torch.ones(1),
        ),
        "device": "cpu",
        "rewards_per_func": t["scores"][:, None],
        "unscorable_mask": torch.zeros(6, dtype=torch.bool),
        "num_generations": 3,
    }
    method = trl.grpo.GRPOTrainer._generate_and_score_completions
    body = lines_of(method, "if self.multi_objective_aggregation ==", "is_std_zero = torch.isclose")
    exec(body, names)
    ours = credit(t["scores"], torch.zeros((6, 5)), None, t["mask"], 0.3, grouped("grpo"))
    torch.testing.assert_close(ours.advantages_BT[:, 0], names["advantages"])


@pytest.mark.parametrize("estimator", ["rloo", "grpo"])
def test_grouped_losses(trl: Any, estimator: Any) -> None:
    t = six_answers()
    advantages = torch.randn(6, generator=torch.Generator().manual_seed(2))
    new = t["new"].clone().requires_grad_()
    theirs_new = t["new"].clone().requires_grad_()
    ours = policy_loss(
        new, t["old"], t["reference"], advantages[:, None] * t["mask"], t["mask"], 0.04,
        grouped(estimator),
    ) / 6  # fmt: skip
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SAME,
        aux_loss_enabled=False,
        epsilon_low=0.2,
        epsilon_high=0.2,
        beta=0.04,
        loss_type="grpo",
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        _entropy_bonus_enabled=False,
        _metrics=Metrics(),
        _get_per_token_logps_and_entropies=lambda *a, **k: (theirs_new, t["old"], None),
    )
    inputs = {
        "prompt_ids": torch.zeros((6, 1), dtype=torch.int64),
        "prompt_mask": torch.ones((6, 1)),
        "completion_ids": torch.zeros((6, 5), dtype=torch.int64),
        "completion_mask": t["mask"].float(),
        "advantages": advantages,
        "old_logps": (t["old"] * t["mask"]).sum(1),
        "old_per_token_logps": t["old"],
        "ref_per_token_logps": t["reference"],
    }
    kind = {"rloo": trl.rloo.RLOOTrainer, "grpo": trl.grpo.GRPOTrainer}[estimator]
    theirs = kind._compute_loss(trainer, None, inputs)
    torch.testing.assert_close(ours, theirs)
    torch.autograd.backward(ours)
    torch.autograd.backward(theirs)
    torch.testing.assert_close(new.grad, theirs_new.grad)


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_dpo_loss(trl: Any, policy: Transformer, vocabulary: Vocabulary, beta: float) -> None:
    rows = [
        {
            "id": f"{i}",
            "prompt": [{"role": "user", "content": "What?" + " Please." * i}],
            "chosen": [{"role": "assistant", "content": "Yes, " * (i + 1)}],
            "rejected": [{"role": "assistant", "content": "No."}],
            "grade": None,
            "safety": None,
            "source": "test",
        }
        for i in range(4)
    ]
    reference = copy.deepcopy(policy)
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(1.05)
    pairs, _ = tokenise_pairs(rows, vocabulary, 128)
    (batch,) = PairBatches(
        with_reference(reference, pairs, vocabulary.pad),
        batch_pairs=4, tokens_at_once=10**6, epochs=1, seed=0, margin="none", pad=vocabulary.pad,
    ).batch(0)  # fmt: skip
    ours = direct.objective(beta, 0.0)(policy, batch)
    places = torch.arange(batch.ids_RL.shape[1])[None, :]
    answers = (places >= batch.starts_R[:, None]) & (places < batch.lengths_R[:, None])

    class Called(torch.nn.Module):
        is_gradient_checkpointing = False

        def __init__(self, model: Transformer) -> None:
            super().__init__()
            self.inner = model

        def forward(self, input_ids: Tensor, **others: Any) -> Any:
            return SimpleNamespace(logits=self.inner.logits(self.inner(input_ids)))

    trainer = SimpleNamespace(
        model=Called(policy),
        ref_model=Called(reference),
        accelerator=SAME,
        aux_loss_enabled=False,
        ld_alpha=None,
        precompute_ref_logps=False,
        f_divergence_type="reverse_kl",
        beta=beta,
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        use_weighting=False,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        _total_train_tokens=0,
        _metrics=Metrics(),
    )
    inputs = {
        "input_ids": batch.ids_RL,
        "attention_mask": (places < batch.lengths_R[:, None]).long(),
        "completion_mask": answers.long(),
    }
    theirs = trl.dpo.DPOTrainer._compute_loss(trainer, trainer.model, inputs, False)
    torch.testing.assert_close(ours.total / ours.count, theirs, rtol=1e-5, atol=1e-5)
    logged = trainer._metrics["train"]
    for name, key in (
        ("chosen_reward", "chosen"), ("rejected_reward", "rejected"),
        ("accuracy", "accuracies"), ("margin", "margins"),
    ):  # fmt: skip
        mean = float(ours.figures[name]) / ours.count
        assert mean == pytest.approx(logged[f"rewards/{key}"][0], abs=1e-4)
