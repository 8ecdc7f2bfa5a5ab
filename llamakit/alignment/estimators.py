"""Three ways from rewards to a policy's gradient, for one loop.

          baseline               KL to the reference        ratio of        loss divided by
    gae   the value model        in each token's reward     each token      tokens
    rloo  the prompt's others    in the answer's reward     whole answers   answers
    grpo  the prompt's answers   in the loss                each token      answers

Names: `B` answers, `T` answer tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from llamakit.alignment.advantages import (
    advantages_and_returns,
    group_advantages,
    leave_one_out_advantages,
    whiten,
)
from llamakit.alignment.objectives import (
    clipped_policy_loss,
    group_policy_loss,
    sequence_policy_loss,
)
from llamakit.alignment.ppo_plan import PpoPlan
from llamakit.alignment.reward import token_rewards


@dataclass(frozen=True)
class Credit:
    """How much better than expected each answer token was."""

    advantages_BT: Tensor
    returns_BT: Tensor | None = None
    """What a value model should have said; None without one."""
    flat: float = 0.0
    """Share of the prompts whose answers all earned the same: nothing is learned from them."""


def credit(
    shaped_B: Tensor,
    kl_BT: Tensor,
    values_BT: Tensor | None,
    mask_BT: Tensor,
    kl_weight: float,
    plan: PpoPlan,
) -> Credit:
    """Spread an answer's score and its KL over its tokens.

    Args:
        shaped_B: whitened scores, less penalties.
        kl_BT: k1 of every answer token to the reference.
        values_BT: what the value model says before each token, with gae.
    """
    if plan.estimator == "gae":
        assert values_BT is not None
        rewards_BT = token_rewards(shaped_B, kl_BT, mask_BT, kl_weight)
        advantages_BT, returns_BT = advantages_and_returns(
            rewards_BT, values_BT, mask_BT, gamma=plan.gamma, lam=plan.lam
        )
        return Credit(whiten(advantages_BT, mask_BT, shift_mean=True), returns_BT)
    rewards_B = shaped_B
    if plan.estimator == "rloo":
        rewards_B = token_rewards(shaped_B, kl_BT, mask_BT, kl_weight).sum(dim=1)
        advantages_B = leave_one_out_advantages(rewards_B, plan.answers)
    else:
        advantages_B = group_advantages(rewards_B, plan.answers)
    spreads_G = rewards_B.view(-1, plan.answers).std(dim=1)
    return Credit(mask_BT * advantages_B[:, None], flat=float((spreads_G < 1e-6).float().mean()))


def policy_loss(
    new_BT: Tensor,
    old_BT: Tensor,
    reference_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    kl_weight: float,
    plan: PpoPlan,
) -> Tensor:
    """The policy's loss summed over a micro-batch; divide by the mini-batch's `weight`."""
    if plan.estimator == "gae":
        return clipped_policy_loss(new_BT, old_BT, advantages_BT, mask_BT, plan.ratio_clip)
    if plan.estimator == "rloo":
        return sequence_policy_loss(new_BT, old_BT, advantages_BT[:, 0], mask_BT, plan.ratio_clip)
    return group_policy_loss(
        new_BT, old_BT, reference_BT, advantages_BT, mask_BT, plan.ratio_clip, kl_weight
    )


def weight(tokens: int, answers: int, plan: PpoPlan) -> int:
    """What the loss summed over a mini-batch is divided by."""
    return tokens if plan.estimator == "gae" else answers
