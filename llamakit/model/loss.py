"""Cross entropy and token log-probabilities that never hold the logits of a whole batch.

With a vocabulary of 32,000, the logits of a batch are many times larger than everything else in a
small model. Rows are therefore projected in chunks, and only the rows that are asked for.

Shape suffixes: N rows (tokens), D model width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ROWS_AT_ONCE = 2048
"""Rows of logits that exist at one time."""


def next_token_loss(
    hidden: Tensor, head_weight: Tensor, targets: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropy of target tokens, in nats.

    Divide by the count of the whole batch, over all of its micro-batches: a mean of their means
    would weigh short ones too much.

    Args:
        hidden: [..., D], as the transformer returns them.
        head_weight: [V, D].
        targets: int64 [...]: the token that each position is to predict (the next one).
        mask: bool [...]: positions that count; None counts all.

    Returns:
        (float32 scalar sum, float32 scalar count of positions).
    """
    hidden_ND, targets_N = _picked(hidden, targets, mask)
    total: Tensor = _LinearCrossEntropy.apply(hidden_ND, head_weight, targets_N)  # type: ignore[no-untyped-call]
    return total, torch.tensor(float(len(targets_N)), device=hidden.device)


def token_logprobs(
    hidden: Tensor, head_weight: Tensor, targets: Tensor, temperature: float = 1.0
) -> Tensor:
    """Log-probability of each target token at a temperature; differentiable.

    Args:
        hidden: [..., D].
        head_weight: [V, D].
        targets: int64 [...].
        temperature: what the logits are divided by, as in sampling.

    Returns:
        float32 [...].
    """
    hidden_ND, targets_N = _picked(hidden, targets, None)
    chunks = [
        checkpoint(_logprobs, rows, head_weight, wanted, temperature, use_reentrant=False)
        if torch.is_grad_enabled()
        else _logprobs(rows, head_weight, wanted, temperature)
        for rows, wanted in zip(
            torch.split(hidden_ND, ROWS_AT_ONCE), torch.split(targets_N, ROWS_AT_ONCE), strict=True
        )
    ]
    return torch.cat(chunks).view(targets.shape)


def _picked(hidden: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if mask is None:
        return hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    return hidden[mask], targets[mask]


def _logprobs(
    hidden_ND: Tensor, head_weight_VD: Tensor, targets_N: Tensor, temperature: float
) -> Tensor:
    logits_NV = F.linear(hidden_ND, head_weight_VD).float() / temperature
    return logits_NV.gather(1, targets_N[:, None])[:, 0] - logits_NV.logsumexp(dim=1)


class _LinearCrossEntropy(torch.autograd.Function):
    """Projection and summed cross entropy in one: the gradient of a chunk is taken at once, while
    its logits exist, since the derivative of a sum does not wait for what comes after it.
    """

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> Tensor:
        needs_hidden, needs_weight = ctx.needs_input_grad[:2]
        hidden_grad_ND = torch.empty_like(hidden_ND) if needs_hidden else None
        weight_grad_VD = (
            torch.zeros(weight_VD.shape, dtype=torch.float32, device=weight_VD.device)
            if needs_weight
            else None
        )
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for start in range(0, len(targets_N), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            h_ND, wanted_N1 = hidden_ND[rows], targets_N[rows, None]
            logits_NV = F.linear(h_ND, weight_VD).float()
            log_total_N1 = logits_NV.logsumexp(dim=1, keepdim=True)
            total += (log_total_N1 - logits_NV.gather(1, wanted_N1)).sum()
            if not (needs_hidden or needs_weight):
                continue
            # d loss / d logits is the softmax, less one at the target.
            slope_NV = logits_NV.sub_(log_total_N1).exp_()
            slope_NV.scatter_add_(1, wanted_N1, slope_NV.new_full(wanted_N1.shape, -1.0))
            slope_NV = slope_NV.to(weight_VD.dtype)
            if hidden_grad_ND is not None:
                hidden_grad_ND[rows] = slope_NV @ weight_VD
            if weight_grad_VD is not None:
                weight_grad_VD += slope_NV.T @ h_ND
        ctx.save_for_backward(
            hidden_grad_ND, None if weight_grad_VD is None else weight_grad_VD.to(weight_VD.dtype)
        )
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        hidden_grad_ND, weight_grad_VD = ctx.saved_tensors
        return (
            None if hidden_grad_ND is None else hidden_grad_ND * upstream.to(hidden_grad_ND.dtype),
            None if weight_grad_VD is None else weight_grad_VD * upstream.to(weight_grad_VD.dtype),
            None,
        )
