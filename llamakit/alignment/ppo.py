"""Proximal policy optimisation against reward models (paper §3.2.3, Schulman et al. 2017).

One iteration: sample an answer for each prompt of a batch, score it, spread the reward over its
tokens, and take one optimizer step a mini-batch for the policy and for the value model. The old
log-probabilities are recomputed by the very function that the update uses: the sampler's own differ
in their last digits, and the ratio of an unchanged policy must be 1.

Names: `B` answers, `T` answer tokens.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from llamakit.alignment.advantages import advantages_and_returns, masked_mean, whiten
from llamakit.alignment.objectives import clipped_policy_loss, explained_variance, value_loss
from llamakit.alignment.padding import by_length
from llamakit.alignment.prompts import Prompt, draw_batch
from llamakit.alignment.response import (
    in_groups,
    logprobs_and_entropy,
    response_logprobs,
    response_values,
)
from llamakit.alignment.reward import (
    kl_k1,
    kl_k3,
    penalise_unfinished,
    token_rewards,
    whiten_scores,
)
from llamakit.alignment.rollout import Rollouts, rollout
from llamakit.alignment.scoring import Scores
from llamakit.model.generation import Sampling
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.optimizer import Optimizer
from llamakit.training.plan import Precision

Whitening = Literal["scale", "full", "none"]
Judge = Callable[[Sequence[Sequence[int]], Sequence[bool]], Scores]
"""Rows of ids and whether their prompts are tagged as safety prompts -> scores."""

_ROLLOUT, _SHUFFLE = 12, 13  # streams of random numbers


@dataclass(frozen=True, kw_only=True)
class PpoPlan:
    """Settings of a PPO run; defaults are the paper's, where it gives any."""

    iterations: int
    batch: int = 512
    """Answers an iteration."""
    mini_batch: int = 64
    """Answers an optimizer step."""
    tokens_at_once: int = 2048
    """Size of one forward pass, padding included."""
    lr: float = 1e-6
    value_lr: float = 1e-6
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-5
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    ratio_clip: float = 0.2
    kl_weight: float = 0.01
    gamma: float = 1.0
    lam: float = 0.95
    temperature: float = 1.0
    max_new_tokens: int = 512
    whitening: Whitening = "scale"
    unfinished_penalty: float = 1.0
    critic_warmup: int = 0
    """First iterations in which only the value model learns."""
    dtype: Precision = "fp32"
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        """The whole distribution: cut off by top-k or top-p it would not be the policy's."""
        return Sampling(
            max_new_tokens=self.max_new_tokens, temperature=self.temperature, top_p=1.0, top_k=0
        )


@dataclass(frozen=True)
class Experience:
    """A batch of answers with what the update needs of them."""

    rollouts: Rollouts
    old_BT: Tensor
    reference_BT: Tensor
    entropy_BT: Tensor
    values_BT: Tensor
    advantages_BT: Tensor
    returns_BT: Tensor
    scores: Scores


def shaped_scores(scores_B: Tensor, finished_B: Tensor, plan: PpoPlan) -> Tensor:
    """Whitened scores, less the penalty for answers that did not end."""
    if plan.whitening != "none":
        scores_B = whiten_scores(scores_B, shift_mean=plan.whitening == "full")
    return penalise_unfinished(scores_B, finished_B, plan.unfinished_penalty)


class Ppo:
    """The models and optimizers of a run. `step(i)` is iteration i; nothing else moves."""

    def __init__(
        self,
        *,
        policy: Transformer,
        reference: Transformer,
        value_model: RewardModel,
        judge: Judge,
        vocabulary: Vocabulary,
        plan: PpoPlan,
    ) -> None:
        self.policy = policy.eval()  # there is no dropout: sampling and training are one mode
        self.reference = reference.eval().requires_grad_(False)
        self.value_model = value_model.eval()
        self.judge = judge
        self.vocabulary = vocabulary
        self.plan = plan
        self.policy_optimizer = self._optimizer(policy)
        self.value_optimizer = self._optimizer(value_model)

    def _optimizer(self, model: torch.nn.Module) -> Optimizer:
        plan = self.plan
        return Optimizer(
            model,
            dtype=plan.dtype,
            betas=plan.betas,
            eps=plan.eps,
            weight_decay=plan.weight_decay,
            clip=plan.clip_norm,
        )

    def step(self, iteration: int, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Run one iteration; returns its figures."""
        started = time.perf_counter()
        picked = draw_batch(len(prompts), self.plan.batch, iteration, self.plan.seed)
        rollouts = self.sample([prompts[index] for index in picked], _ROLLOUT, iteration)
        sampled = time.perf_counter()
        experience = self.evaluate(rollouts, [prompts[index].safety for index in picked])
        scored = time.perf_counter()
        figures = experience_figures(experience) | self.update(experience, iteration)
        return figures | {
            "seconds_sampling": sampled - started,
            "seconds_scoring": scored - sampled,
            "seconds_updating": time.perf_counter() - scored,
        }

    def sample(self, prompts: Sequence[Prompt], stream: int, iteration: int) -> Rollouts:
        """One answer a prompt, from the policy as it is."""
        keys = [(self.plan.seed, stream, iteration, slot) for slot in range(len(prompts))]
        return rollout(
            self.policy,
            self.vocabulary,
            [prompt.ids for prompt in prompts],
            1,
            self.plan.sampling,
            keys=keys,
        )

    def read_policy(self, rollouts: Rollouts) -> tuple[Tensor, Tensor]:
        """(log-probabilities, entropies) [B, T] of answers under the policy as it is."""
        logprobs_BT, entropy_BT = in_groups(
            lambda part: logprobs_and_entropy(self.policy, part, self.plan.temperature),
            rollouts,
            self.plan.tokens_at_once,
        )
        return logprobs_BT, entropy_BT

    def read_reference(self, rollouts: Rollouts) -> Tensor:
        """Log-probabilities [B, T] of answers under the reference."""
        (logprobs_BT,) = in_groups(
            lambda part: (response_logprobs(self.reference, part, self.plan.temperature),),
            rollouts,
            self.plan.tokens_at_once,
        )
        return logprobs_BT

    def evaluate(self, rollouts: Rollouts, is_safety: Sequence[bool]) -> Experience:
        """Score answers and spread their rewards over tokens."""
        plan, mask_BT = self.plan, rollouts.response_mask
        old_BT, entropy_BT = self.read_policy(rollouts)
        reference_BT = self.read_reference(rollouts)
        (values_BT,) = in_groups(
            lambda part: (response_values(self.value_model, part),), rollouts, plan.tokens_at_once
        )
        scores = self.judge(rollouts.rows(), is_safety)
        shaped_B = shaped_scores(scores.combined_B.to(old_BT.device), rollouts.finished_B, plan)
        rewards_BT = token_rewards(shaped_B, kl_k1(old_BT, reference_BT), mask_BT, plan.kl_weight)
        advantages_BT, returns_BT = advantages_and_returns(
            rewards_BT, values_BT, mask_BT, gamma=plan.gamma, lam=plan.lam
        )
        return Experience(
            rollouts=rollouts,
            old_BT=old_BT,
            reference_BT=reference_BT,
            entropy_BT=entropy_BT,
            values_BT=values_BT,
            advantages_BT=whiten(advantages_BT, mask_BT, shift_mean=True),
            returns_BT=returns_BT,
            scores=scores,
        )

    def update(self, experience: Experience, iteration: int) -> dict[str, float]:
        """One optimizer step for each mini-batch."""
        plan = self.plan
        order = np.random.default_rng([plan.seed, _SHUFFLE, iteration]).permutation(
            len(experience.rollouts)
        )
        sums: dict[str, float] = defaultdict(float)
        largest = 0.0
        starts = range(0, len(order), plan.mini_batch)
        for start in starts:
            figures = self._mini_batch(
                experience,
                order[start : start + plan.mini_batch].tolist(),
                train_policy=iteration >= plan.critic_warmup,
            )
            largest = max(largest, figures.pop("ratio_deviation"))
            for name, value in figures.items():
                sums[name] += value / len(starts)
        return {**sums, "ratio_deviation": largest}

    def _mini_batch(
        self, experience: Experience, rows: list[int], *, train_policy: bool
    ) -> dict[str, float]:
        """Gradients over micro-batches, divided by the mini-batch's tokens; one step each."""
        plan, rollouts = self.plan, experience.rollouts
        lengths = (rollouts.prompt_lengths_B + rollouts.response_lengths_B)[rows].tolist()
        tokens = int(rollouts.response_lengths_B[rows].sum())
        figures: dict[str, float] = defaultdict(float)
        for group in by_length(lengths, plan.tokens_at_once):
            picked = [rows[index] for index in group]
            part = rollouts.take(picked)
            mask_BT = part.response_mask
            width = mask_BT.shape[1]
            returns_BT = experience.returns_BT[picked, :width]
            error = value_loss(response_values(self.value_model, part), returns_BT, mask_BT)
            torch.autograd.backward(error)
            self.value_optimizer.gather()
            figures["value_loss"] += float(error.detach()) / tokens
            if not train_policy:
                continue
            old_BT = experience.old_BT[picked, :width]
            advantages_BT = experience.advantages_BT[picked, :width]
            new_BT = response_logprobs(self.policy, part, plan.temperature)
            loss = clipped_policy_loss(new_BT, old_BT, advantages_BT, mask_BT, plan.ratio_clip)
            torch.autograd.backward(loss)
            self.policy_optimizer.gather()
            figures["policy_loss"] += float(loss.detach()) / tokens
            distance_N = (torch.exp(new_BT.detach() - old_BT) - 1)[mask_BT].abs()
            figures["clip_fraction"] += float((distance_N > plan.ratio_clip).sum()) / tokens
            figures["update_kl"] += float(kl_k3(old_BT, new_BT)[mask_BT].sum()) / tokens
            figures["ratio_deviation"] = max(figures["ratio_deviation"], float(distance_N.max()))
        figures["value_grad_norm"] = self.value_optimizer.step(plan.value_lr, scale=1 / tokens)
        if train_policy:
            norm = self.policy_optimizer.step(plan.lr, scale=1 / tokens)
            figures["policy_grad_norm"] = norm
        figures.setdefault("ratio_deviation", 0.0)
        return dict(figures)


def experience_figures(experience: Experience) -> dict[str, float]:
    """What a batch looked like, before the update: rewards, KL, lengths, the value model's fit."""
    rollouts, scores = experience.rollouts, experience.scores
    mask_BT = rollouts.response_mask
    k1_BT = kl_k1(experience.old_BT, experience.reference_BT)
    k3_BT = torch.where(mask_BT, kl_k3(experience.old_BT, experience.reference_BT), 0.0)
    figures = {
        "score": float(scores.combined_B.mean()),
        "score_std": float(scores.combined_B.std(correction=0)),
        "gated": float(scores.gate_B.float().mean()),
        "kl": float(torch.where(mask_BT, k1_BT, 0.0).sum(dim=1).mean()),
        "kl_k3": float(k3_BT.sum(dim=1).mean()),
        "entropy": float(masked_mean(experience.entropy_BT, mask_BT)),
        "explained_variance": explained_variance(
            experience.values_BT, experience.returns_BT, mask_BT
        ),
        "response_tokens": float(rollouts.response_lengths_B.float().mean()),
        "finished": float(rollouts.finished_B.float().mean()),
    }
    for name, raw_B in (("helpfulness", scores.helpfulness_B), ("safety", scores.safety_B)):
        if raw_B is not None:
            figures[name] = float(raw_B.mean())
    return figures
