"""Masked statistics, and advantages from a value model or from the other answers to a prompt.

Names: `B` rows of a batch, `T` response tokens, `K` answers to one prompt, side by side. Masks say
which tokens are real; what lies outside never counts, whatever it holds.
"""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-8
"""Keeps the division by a deviation of 0 safe."""
_LITTLE = 1e-4


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
    whitened = (values - mean) * torch.rsqrt(masked_variance(values, mask) + TINY)
    return torch.where(mask, whitened if shift_mean else whitened + mean, 0.0)


def advantages_and_returns(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantages (Schulman et al. 2016) and the returns that the value model learns.

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


def leave_one_out_advantages(rewards_B: Tensor, k: int) -> Tensor:
    """A reward less the mean of those of the other K - 1 answers to its prompt (RLOO: Kool et al.
    2019, Ahmadian et al. 2024).
    """
    rewards_GK = rewards_B.view(-1, k)
    others_GK = (rewards_GK.sum(dim=1, keepdim=True) - rewards_GK) / (k - 1)
    return (rewards_GK - others_GK).flatten()


def group_advantages(rewards_B: Tensor, k: int) -> Tensor:
    """A reward less the mean of its prompt's K answers, over their deviation (GRPO: Shao et al.
    2024, §4.1.2); 0 where all K are alike.
    """
    rewards_GK = rewards_B.view(-1, k)
    deviations_GK = rewards_GK - rewards_GK.mean(dim=1, keepdim=True)
    return (deviations_GK / (rewards_GK.std(dim=1, keepdim=True) + _LITTLE)).flatten()
