"""What policies and value models minimise, as sums over a mini-batch.

Names: `B` rows, `T` response tokens. Sums, over real tokens or over answers: the caller divides by
those of the whole mini-batch, which stays right when it is split into micro-batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from llamakit.alignment.reward import k3


def clipped_policy_loss(
    logprobs_BT: Tensor, old_BT: Tensor, advantages_BT: Tensor, mask_BT: Tensor, clip: float
) -> Tensor:
    """PPO: `-min(ratio * A, clamp(ratio, 1 - clip, 1 + clip) * A)` summed over real tokens
    (Schulman et al. 2017).
    """
    losses_BT = _clipped(_masked(logprobs_BT - old_BT, mask_BT), advantages_BT, clip)
    return _masked(losses_BT, mask_BT).sum()


def sequence_policy_loss(
    logprobs_BT: Tensor, old_BT: Tensor, advantages_B: Tensor, mask_BT: Tensor, clip: float
) -> Tensor:
    """RLOO: an answer is one action, so its ratio is that of whole answers; summed over answers.

    At a ratio of 1 the gradient is REINFORCE's (Ahmadian et al. 2024, §3); the clip holds it near
    the sampler in the mini-batches after the first.
    """
    return _clipped(_masked(logprobs_BT - old_BT, mask_BT).sum(dim=1), advantages_B, clip).sum()


def group_policy_loss(
    logprobs_BT: Tensor,
    old_BT: Tensor,
    reference_BT: Tensor,
    advantages_BT: Tensor,
    mask_BT: Tensor,
    clip: float,
    kl_weight: float,
) -> Tensor:
    """GRPO: PPO's clipped loss plus `kl_weight * k3`, averaged over each answer's tokens, summed
    over answers (Shao et al. 2024, §4.1.1).

    Its KL is a part of the loss. The gradient of k3 is not that of KL(pi || pi0) but of the reverse
    KL(pi0 || pi): near the reference they are alike.
    """
    losses_BT = _clipped(_masked(logprobs_BT - old_BT, mask_BT), advantages_BT, clip)
    losses_BT = losses_BT + kl_weight * k3(_masked(reference_BT - logprobs_BT, mask_BT))
    return (_masked(losses_BT, mask_BT).sum(dim=1) / mask_BT.sum(dim=1)).sum()


def value_loss(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Half the squared error summed over real tokens.

    Not clipped around old values: with one step a mini-batch that only slows the value model down
    (Andrychowicz et al. 2021, §3.2).
    """
    return 0.5 * _masked(values_BT - returns_BT, mask_BT).square().sum()


def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> float:
    """`1 - Var(returns - values) / Var(returns)` over real tokens: 1 is a perfect value model."""
    returns_N = returns_BT[mask_BT]
    spread = returns_N.var(correction=0)
    if float(spread) == 0.0:
        return 0.0
    return float(1 - (returns_N - values_BT[mask_BT]).var(correction=0) / spread)


def _clipped(log_ratio: Tensor, advantages: Tensor, clip: float) -> Tensor:
    ratio = log_ratio.exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def _masked(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    return torch.where(mask_BT, values_BT, 0.0)
