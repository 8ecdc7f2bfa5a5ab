"""PPO's two losses, per token (Schulman et al. 2017).

Names: `B` rows, `T` response tokens. Both return sums over real tokens: the caller
divides by the mini-batch's tokens, which stays right when a mini-batch is split into micro-batches.
"""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_policy_loss(
    logprobs_BT: Tensor, old_BT: Tensor, advantages_BT: Tensor, mask_BT: Tensor, clip: float
) -> Tensor:
    """`-min(ratio * A, clamp(ratio, 1 - clip, 1 + clip) * A)` summed over real tokens."""
    ratio_BT = torch.exp(torch.where(mask_BT, logprobs_BT - old_BT, 0.0))
    clipped_BT = ratio_BT.clamp(1 - clip, 1 + clip)
    losses_BT = torch.maximum(-advantages_BT * ratio_BT, -advantages_BT * clipped_BT)
    return torch.where(mask_BT, losses_BT, 0.0).sum()


def value_loss(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Half the squared error summed over real tokens.

    Not clipped around old values: with one step a mini-batch that only slows the value model down
    (Andrychowicz et al. 2021, §3.2).
    """
    errors_BT = torch.where(mask_BT, values_BT - returns_BT, 0.0)
    return 0.5 * errors_BT.square().sum()


def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> float:
    """`1 - Var(returns - values) / Var(returns)` over real tokens: 1 is a perfect value model."""
    returns_N = returns_BT[mask_BT]
    spread = returns_N.var(correction=0)
    if float(spread) == 0.0:
        return 0.0
    return float(1 - (returns_N - values_BT[mask_BT]).var(correction=0) / spread)
