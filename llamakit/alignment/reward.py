"""From two reward models' scores to a reward for every response token (paper §3.2.3).

Each step of `R = whiten(logit(Rc)) - beta * KL` is a function of its own. Names: `B` answers, `T`
response tokens. A reward model's raw score is a logit: the paper's score in (0, 1) is its sigmoid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from llamakit.alignment.advantages import whiten

SAFETY_THRESHOLD = 0.15
"""Below this safety score an answer counts as unsafe: precision 0.89, recall 0.55 (paper
§3.2.3)."""


def logit(score: float) -> float:
    """The raw score behind a score in (0, 1): undoes the sigmoid."""
    return math.log(score) - math.log1p(-score)


def safety_gate(raw_safety_B: Tensor, is_safety_B: Tensor, threshold: float) -> Tensor:
    """Which answers are judged by the safety model: the prompt asks for it, or the answer is
    unsafe.

    Compared on logits, since a float sigmoid of a raw score under -17 loses its last digits.

    Args:
        raw_safety_B: raw safety scores.
        is_safety_B: bool, whether the prompt is tagged as a safety prompt.
        threshold: in (0, 1), `SAFETY_THRESHOLD` in the paper.
    """
    return is_safety_B | (raw_safety_B < logit(threshold))


def combined_score(raw_helpfulness_B: Tensor, raw_safety_B: Tensor, gate_B: Tensor) -> Tensor:
    """`logit(Rc)`: the raw safety score where the gate fires, else the raw helpfulness score."""
    return torch.where(gate_B, raw_safety_B, raw_helpfulness_B)


def whiten_scores(scores_B: Tensor, *, shift_mean: bool) -> Tensor:
    """Scale a batch's scores to unit variance, so that one KL weight suits any reward model."""
    return whiten(scores_B, torch.ones_like(scores_B, dtype=torch.bool), shift_mean=shift_mean)


def penalise_unfinished(scores_B: Tensor, finished_B: Tensor, penalty: float) -> Tensor:
    """Take `penalty` (in standard deviations) from answers that the length cap cut off.

    `finished_B` comes from the stop token that the model itself produced, not from a guess on the
    last id.
    """
    return scores_B - penalty * (~finished_B).to(scores_B.dtype)


def kl_k1(logprobs_BT: Tensor, reference_BT: Tensor) -> Tensor:
    """`log pi - log pi0` of each sampled token: unbiased for KL(pi || pi0), may be negative.

    Part of the reward, so never of a gradient: as a loss it has the wrong one.
    """
    return (logprobs_BT - reference_BT).detach()


def kl_k3(logprobs_BT: Tensor, reference_BT: Tensor) -> Tensor:
    """`r - 1 - log r` with `r = pi0 / pi`: unbiased, never negative; for logs (Schulman 2020)."""
    return k3((reference_BT - logprobs_BT).detach())


def k3(log_ratio: Tensor) -> Tensor:
    """`r - 1 - log r` of `log r`."""
    return log_ratio.exp() - 1 - log_ratio


def token_rewards(scores_B: Tensor, kl_BT: Tensor, mask_BT: Tensor, beta: float) -> Tensor:
    """`-beta * KL` on every response token, and the answer's score on its last one.

    Returns:
        rewards_BT, zero after the last response token.
    """
    lengths_B = mask_BT.sum(dim=1)
    if bool((lengths_B == 0).any()):
        raise ValueError("every response needs at least one token to carry its score")
    rewards_BT = torch.where(mask_BT, -beta * kl_BT, 0.0)
    return rewards_BT.scatter_add(1, (lengths_B - 1)[:, None], scores_B[:, None].to(kl_BT.dtype))
