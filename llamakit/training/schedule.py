"""The learning rate of each step."""

from __future__ import annotations

import math

from llamakit.training.plan import TrainingPlan


def learning_rate(step: int, plan: TrainingPlan) -> float:
    """The learning rate of `step` (0 is the first), a pure function.

    Warm-up is linear and reaches the peak at its last step, so the first step is not wasted on a
    rate of 0. After it the rate is constant, or follows half a cosine that would reach
    `min_lr_ratio` of the peak one step after the last (paper §2.2: 2,000 steps of warm-up, down to
    10%).
    """
    if step < plan.warmup_steps:
        return plan.lr * (step + 1) / plan.warmup_steps
    if plan.schedule == "constant":
        return plan.lr
    progress = (step - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
    share = plan.min_lr_ratio + (1 - plan.min_lr_ratio) * 0.5 * (1 + math.cos(math.pi * progress))
    return plan.lr * share
