"""Proximal policy optimisation against reward models (paper §3.2.3, Schulman et al. 2017).

One iteration: sample answers to a batch of prompts, score them, spread the reward over their
tokens, and take one optimizer step a mini-batch, for the policy and for the value model if there is
one (`estimators.py`). The old log-probabilities are recomputed by the very function that the update
uses: the sampler's own differ in their last digits, and the ratio of an unchanged policy must be 1.

Names: `B` answers, `T` answer tokens.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from llamakit.alignment import estimators
from llamakit.alignment.control import Control
from llamakit.alignment.experience import Experience, Movement
from llamakit.alignment.objectives import value_loss
from llamakit.alignment.padding import shared_groups
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.prompts import Prompt, draw_batch
from llamakit.alignment.response import (
    in_groups,
    logprobs_and_entropy,
    response_logprobs,
    response_values,
)
from llamakit.alignment.reward import kl_k1, penalise_unfinished
from llamakit.alignment.rollout import Rollouts, rollout
from llamakit.alignment.scoring import Scores
from llamakit.model.lora import adapted, without_lora
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.gathering import gathered
from llamakit.training.optimizer import Optimizer
from llamakit.training.parallel import ONE_PROCESS, Parallel

Judge = Callable[[Sequence[Sequence[int]], Sequence[bool]], Scores]
"""Rows of ids and whether their prompts are tagged as safety prompts -> scores."""

_ROLLOUT, _SHUFFLE = 12, 13  # streams of random numbers
_GREATEST = ("ratio_max", "ratio_deviation", "kl_updating")
"""Figures of which the greatest of an iteration's mini-batches is told."""


class Ppo:
    """The models and optimizers of a run. `step(i)` is iteration i; nothing else moves."""

    def __init__(
        self,
        *,
        policy: Transformer,
        reference: Transformer | None,
        value_model: RewardModel | None,
        judge: Judge,
        vocabulary: Vocabulary,
        plan: PpoPlan,
        parallel: Parallel = ONE_PROCESS,
        device: str = "cpu",
    ) -> None:
        """Place the models and make their optimizers.

        Args:
            policy: in fp32, as is the value model.
            reference: None where the policy has adapters: it is the policy without them.
            value_model: what `PpoPlan.has_critic` asks for.
            judge: shares its work among the processes by itself.
            parallel: the processes that train together. All do the same steps; answers, passes and
                gradients are shared out, and what comes of them is the same on all.
        """
        if plan.has_critic != (value_model is not None):
            raise ValueError(f"{plan.estimator} and its value model do not go together")
        if (reference is None) != bool(adapted(policy)):
            raise ValueError("a policy with adapters is its own reference, any other is not")
        self.policy = policy.eval()  # there is no dropout: sampling and training are one mode
        self.reference = reference
        self.value_model = value_model.eval() if value_model is not None else None
        self.parallel, self.value_parallel = parallel, parallel.twin()
        parallel.place(policy, plan.dtype, device)
        if reference is not None:
            parallel.twin().place(reference.eval().requires_grad_(False), plan.dtype, device)
        if value_model is not None:
            self.value_parallel.place(value_model, plan.dtype, device)
        self.judge = judge
        self.vocabulary = vocabulary
        self.plan = plan
        self.control = Control(plan.kl_weight)
        self.policy_optimizer = self._optimizer(policy, parallel)
        self.value_optimizer = (
            None if value_model is None else self._optimizer(value_model, self.value_parallel)
        )
        self.device = next(policy.parameters()).device

    def _optimizer(self, model: torch.nn.Module, parallel: Parallel) -> Optimizer:
        plan = self.plan
        return Optimizer(
            model,
            dtype=plan.dtype,
            betas=plan.betas,
            eps=plan.eps,
            weight_decay=plan.weight_decay,
            clip=plan.clip_norm,
            parallel=parallel,
        )

    def step(self, iteration: int, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Run one iteration; returns its figures."""
        plan = self.plan
        started = time.perf_counter()
        picked = draw_batch(len(prompts), plan.batch // plan.answers, iteration, plan.seed)
        asked = [prompts[index] for index in picked]
        rollouts = self.sample(asked, _ROLLOUT, iteration, plan.answers)
        sampled = time.perf_counter()
        experience = self.evaluate(
            rollouts, [asked[index].safety for index in rollouts.prompt_B.tolist()]
        )
        scored = time.perf_counter()
        figures = experience.figures() | self.update(experience, iteration)
        self.control.steer(figures["kl"], plan.batch, plan)
        return figures | {
            "seconds_sampling": sampled - started,
            "seconds_scoring": scored - sampled,
            "seconds_updating": time.perf_counter() - scored,
        }

    def sample(
        self, prompts: Sequence[Prompt], stream: int, iteration: int, answers: int = 1
    ) -> Rollouts:
        """Some answers to each prompt, from the policy as it is."""
        keys = [(self.plan.seed, stream, iteration, slot) for slot in range(len(prompts))]
        return rollout(
            self.policy,
            self.vocabulary,
            [prompt.ids for prompt in prompts],
            answers,
            self.plan.sampling,
            keys=keys,
            parallel=self.parallel,
        )

    def read_policy(self, rollouts: Rollouts) -> tuple[Tensor, Tensor]:
        """(log-probabilities, entropies) [B, T] of answers under the policy as it is."""
        logprobs_BT, entropy_BT = self._read(
            self.policy,
            lambda part: logprobs_and_entropy(self.policy, part, self.plan.temperature),
            rollouts,
        )
        return logprobs_BT, entropy_BT

    def read_reference(self, rollouts: Rollouts) -> Tensor:
        """Log-probabilities [B, T] of answers under the reference."""
        model = self.reference or self.policy
        with nullcontext() if self.reference else without_lora(model):
            (logprobs_BT,) = self._read(
                model,
                lambda part: (response_logprobs(model, part, self.plan.temperature),),
                rollouts,
            )
        return logprobs_BT

    def read_values(self, rollouts: Rollouts) -> Tensor | None:
        """What the value model says [B, T] before each answer token; None without one."""
        model = self.value_model
        if model is None:
            return None
        (values_BT,) = self._read(model, lambda part: (response_values(model, part),), rollouts)
        return values_BT

    def _read(
        self,
        model: Transformer | RewardModel,
        function: Callable[[Rollouts], tuple[Tensor, ...]],
        rollouts: Rollouts,
    ) -> tuple[Tensor, ...]:
        """What a function of a model finds of all answers, shared among the processes."""
        with gathered(model):
            return in_groups(function, rollouts, self.plan.tokens_at_once, self.parallel)

    def evaluate(self, rollouts: Rollouts, is_safety: Sequence[bool]) -> Experience:
        """Score answers and spread their rewards over tokens."""
        plan, mask_BT, kl_weight = self.plan, rollouts.response_mask, self.control.kl_weight
        old_BT, entropy_BT = self.read_policy(rollouts)
        reference_BT = self.read_reference(rollouts)
        values_BT = self.read_values(rollouts)
        scores = self.judge(rollouts.rows(), is_safety)
        shaped_B = penalise_unfinished(
            self.control.whiten(scores.combined_B.to(old_BT.device), plan),
            rollouts.finished_B,
            plan.unfinished_penalty,
        )
        kl_BT = kl_k1(old_BT, reference_BT)
        return Experience(
            rollouts=rollouts,
            old_BT=old_BT,
            reference_BT=reference_BT,
            entropy_BT=entropy_BT,
            values_BT=values_BT,
            scores=scores,
            shaped_B=shaped_B,
            credit=estimators.credit(shaped_B, kl_BT, values_BT, mask_BT, kl_weight, plan),
            kl_weight=kl_weight,
        )

    def update(self, experience: Experience, iteration: int) -> dict[str, float]:
        """One optimizer step for each mini-batch; figures are means over them, or the greatest.

        The policy makes no step with a mini-batch that finds it further than `max_kl` from the
        reference, nor another one in this iteration.
        """
        plan = self.plan
        order = np.random.default_rng([plan.seed, _SHUFFLE, iteration]).permutation(
            len(experience.rollouts)
        )
        trains = not plan.has_critic or iteration >= plan.critic_warmup
        found: dict[str, list[float]] = defaultdict(list)
        for start in range(0, len(order), plan.mini_batch):
            rows = order[start : start + plan.mini_batch].tolist()
            figures = self._mini_batch(experience, rows, train_policy=trains)
            for name, value in figures.items():
                found[name].append(value)
            trains = trains and figures["kl_updating"] <= plan.max_kl
        return {
            name: max(values) if name in _GREATEST else sum(values) / len(values)
            for name, values in found.items()
        }

    def _mini_batch(
        self, experience: Experience, rows: list[int], *, train_policy: bool
    ) -> dict[str, float]:
        """Gradients over micro-batches, divided by all tokens or answers of the mini-batch; one
        step each.
        """
        plan, rollouts = self.plan, experience.rollouts
        lengths = (rollouts.prompt_lengths_B + rollouts.response_lengths_B)[rows].tolist()
        tokens = int(rollouts.response_lengths_B[rows].sum())
        weight = estimators.weight(tokens, len(rows), plan)
        losses = torch.zeros(2, dtype=torch.float64, device=self.device)
        movement = Movement(by_answer=plan.estimator == "rloo")
        for group, counts in shared_groups(lengths, plan.tokens_at_once, self.parallel.rows):
            picked = [rows[index] for index in group]
            part = rollouts.take(picked)
            if self.value_model is not None:
                model = self.value_model
                losses[0] += self._value_gradient(model, experience, part, picked, counts)
            if train_policy:
                losses[1] += self._policy_gradient(experience, part, picked, counts, movement)
        squared, loss = self.parallel.sum(losses).tolist()
        movement.join(self.parallel, self.device)
        figures: dict[str, float] = {}
        if self.value_optimizer is not None:
            figures["value_loss"] = squared / tokens
            figures["value_lr"] = plan.value_lr
            figures["value_grad_norm"] = self.value_optimizer.step(plan.value_lr, scale=1 / tokens)
            self.control.value_steps += 1
        if not train_policy:
            return figures
        figures |= movement.figures() | {"policy_loss": loss / weight, "lr": plan.lr}
        if figures["kl_updating"] > plan.max_kl:
            self.policy_optimizer.forget()
            return figures
        figures["policy_grad_norm"] = self.policy_optimizer.step(plan.lr, scale=1 / weight)
        self.control.policy_steps += 1
        return figures

    def _value_gradient(
        self,
        model: RewardModel,
        experience: Experience,
        part: Rollouts,
        rows: list[int],
        counts: bool,
    ) -> Tensor:
        """Gather the value model's gradient on some rows; the loss, summed over their tokens."""
        mask_BT = part.response_mask
        assert experience.credit.returns_BT is not None
        assert self.value_optimizer is not None
        returns_BT = experience.credit.returns_BT[rows, : mask_BT.shape[1]]
        error = value_loss(response_values(model, part), returns_BT, mask_BT) * float(counts)
        torch.autograd.backward(error)
        self.value_optimizer.gather()
        return error.detach()

    def _policy_gradient(
        self,
        experience: Experience,
        part: Rollouts,
        rows: list[int],
        counts: bool,
        movement: Movement,
    ) -> Tensor:
        """Gather the policy's gradient on some rows; the loss, a sum."""
        mask_BT = part.response_mask
        width = mask_BT.shape[1]
        old_BT, reference_BT = (
            logprobs_BT[rows, :width]
            for logprobs_BT in (experience.old_BT, experience.reference_BT)
        )
        new_BT = response_logprobs(self.policy, part, self.plan.temperature)
        loss = estimators.policy_loss(
            new_BT,
            old_BT,
            reference_BT,
            experience.credit.advantages_BT[rows, :width],
            mask_BT,
            experience.kl_weight,
            self.plan,
        )
        torch.autograd.backward(loss * float(counts))
        self.policy_optimizer.gather()
        if not counts:
            return torch.zeros((), device=self.device)
        movement.see(new_BT.detach(), old_BT, reference_BT, mask_BT, self.plan.ratio_clip)
        return loss.detach()
