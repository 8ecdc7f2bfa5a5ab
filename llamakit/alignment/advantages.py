"""Masked statistics and generalised advantage estimation (Schulman et al. 2016).

Names: `B` rows of a batch, `T` response tokens. Masks say which tokens are real; what lies outside
never counts, whatever it holds.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-8


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the entries where `mask` holds, as a scalar."""
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """The unbiased variance over the entries where `mask` holds; 0 for a single one."""
    deviations = torch.where(mask, values - masked_mean(values, mask), 0.0)
    return deviations.square().sum() / (mask.sum() - 1).clamp(min=1)


def whiten(values: Tensor, mask: Tensor, *, shift_mean: bool) -> Tensor:
    """Scale the masked entries to unit variance, and to mean 0 where `shift_mean`; others become 0.

    Advantages are shifted. Rewards are only scaled: a reward's sign carries meaning (an answer that
    earns 0 is neither good nor bad), and the value model already takes the mean away.
    """
    mean = masked_mean(values, mask)
    whitened = (values - mean) * torch.rsqrt(masked_variance(values, mask) + _TINY)
    return torch.where(mask, whitened if shift_mean else whitened + mean, 0.0)


def advantages_and_returns(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantages and the returns that the value model learns.

    `values_BT[:, t]` is the value of the text before response token `t`. A response ends at its
    last real token: nothing is bootstrapped from beyond it, and everything beyond it is 0.

    Returns:
        (advantages_BT, returns_BT), zero outside the mask.
    """
    rewards_BT = torch.where(mask_BT, rewards_BT, 0.0)
    values_BT = torch.where(mask_BT, values_BT, 0.0)
    following_B = values_BT.new_zeros(values_BT.shape[0])
    advantages_BT = torch.zeros_like(values_BT)
    for t in reversed(range(values_BT.shape[1])):
        next_value_B = values_BT[:, t + 1] if t + 1 < values_BT.shape[1] else following_B * 0
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        following_B = torch.where(mask_BT[:, t], delta_B + gamma * lam * following_B, 0.0)
        advantages_BT[:, t] = following_B
    return advantages_BT, advantages_BT + values_BT
