"""What a PPO run carries from one iteration to the next beside weights and moments.

The KL weight, and the statistics that scores are whitened by: plain numbers, saved with every
checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from llamakit.alignment.advantages import TINY
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.reward import whiten_scores

_MOST = 0.2
"""A KL further off its target than this share of it counts as this far (Ziegler et al. 2019)."""


@dataclass
class Control:
    """Where the adapting parts of a run stand, and its optimizers."""

    kl_weight: float
    seen: int = 0
    """Scores seen."""
    mean: float = 0.0
    """Their mean."""
    squares: float = 0.0
    """The sum of their squared deviations from it."""
    policy_steps: int = 0
    """Optimizer steps made."""
    value_steps: int = 0

    def whiten(self, scores_B: Tensor, plan: PpoPlan) -> Tensor:
        """Whitened scores of a batch; running statistics take the batch in first."""
        if plan.whitening == "none":
            return scores_B
        if plan.whiten_by == "batch":
            return whiten_scores(scores_B, shift_mean=plan.whitening == "full")
        self._see(scores_B)
        deviation = (self.squares / max(1, self.seen - 1) + TINY) ** 0.5
        whitened_B: Tensor = (scores_B - self.mean) / deviation
        return whitened_B if plan.whitening == "full" else whitened_B + self.mean

    def _see(self, scores_B: Tensor) -> None:
        """Join a batch's mean and squares with those so far (Chan, Golub and LeVeque 1983)."""
        new = scores_B.double()
        mean, count = float(new.mean()), len(new)
        apart, total = mean - self.mean, self.seen + count
        self.squares += float((new - mean).square().sum()) + apart**2 * self.seen * count / total
        self.mean += apart * count / total
        self.seen = total

    def steer(self, kl: float, answers: int, plan: PpoPlan) -> None:
        """Move the KL weight by a batch's KL, in nats an answer; without a target it stays.

        Proportional control in log space: `weight *= 1 + clip(kl / target - 1, ±0.2) * answers /
        horizon` (Ziegler et al. 2019, §2.2).
        """
        if plan.kl_target is None:
            return
        error = min(max(kl / plan.kl_target - 1, -_MOST), _MOST)
        self.kl_weight *= 1 + error * answers / plan.kl_horizon
