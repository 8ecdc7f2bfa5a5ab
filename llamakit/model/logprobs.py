"""Log-probabilities of given tokens, and the entropy of what they were drawn from.

As in `loss.py`, rows are projected on the vocabulary in chunks, and a processor works on few of a
chunk's logits at a time, which stay in its cache from the first pass over them to the last.

Shape suffixes: N rows (tokens), D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from llamakit.model import loss
from llamakit.model.loss import HeadGradients, chunks, scratch


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
    hidden_ND, targets_N = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    logprobs_N: Tensor = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden_ND, head_weight, targets_N, temperature
    )
    return logprobs_N.view(targets.shape)


@torch.no_grad()
def logprobs_and_entropies(
    hidden_ND: Tensor, head_weight_VD: Tensor, targets_N: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """The same log-probabilities, bit by bit, and the entropy in nats of each row's distribution.

    Without gradients; float32 [N], both.
    """
    logprobs_N, entropies_N = (
        torch.empty(targets_N.shape, dtype=torch.float32, device=hidden_ND.device) for _ in range(2)
    )
    for rows in chunks(len(targets_N)):
        logits_NV = _projected(hidden_ND[rows], head_weight_VD, keep=False)
        _read(logits_NV, targets_N[rows], temperature, logprobs_N[rows], entropies_N[rows])
    return logprobs_N, entropies_N


class _TokenLogprobs(torch.autograd.Function):
    """The logits of a single chunk are kept for the backward pass, and become their own gradient;
    those of more chunks are computed again.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float
    ) -> Tensor:
        logprobs_N = torch.empty(targets_N.shape, dtype=torch.float32, device=hidden_ND.device)
        keep = any(ctx.needs_input_grad[:2]) and len(targets_N) <= loss.ROWS_AT_ONCE
        ctx.kept = None
        for rows in chunks(len(targets_N)):
            logits_NV = _projected(hidden_ND[rows], weight_VD, keep=keep)
            _read(logits_NV, targets_N[rows], temperature, logprobs_N[rows])
            ctx.kept = logits_NV if keep else None
        ctx.temperature = temperature
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N)
        return logprobs_N

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream_N: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_ND, weight_VD, targets_N = ctx.saved_tensors
        gradients = HeadGradients(hidden_ND, weight_VD, ctx.needs_input_grad[:2])
        kept, ctx.kept = ctx.kept, None
        for rows in chunks(len(targets_N)):
            logits_NV = kept
            if logits_NV is None:
                logits_NV = _projected(hidden_ND[rows], weight_VD, keep=False)
            _slopes_in_place(logits_NV, targets_N[rows], ctx.temperature, upstream_N[rows])
            gradients.add(rows, logits_NV)
        return *gradients.summed(), None, None


def _projected(hidden_ND: Tensor, weight_VD: Tensor, *, keep: bool) -> Tensor:
    """Logits [N, V]; not kept, they are in memory that the next ones overwrite."""
    size = (len(hidden_ND), len(weight_VD))
    logits_NV = (
        weight_VD.new_empty(size) if keep else scratch("logits", *size, weight_VD, weight_VD.dtype)
    )
    return torch.mm(hidden_ND, weight_VD.T, out=logits_NV)


def _read(
    logits_NV: Tensor,
    targets_N: Tensor,
    temperature: float,
    logprobs_N: Tensor,
    entropies_N: Tensor | None = None,
) -> None:
    """Fill in log-probabilities of targets, and entropies where they are wanted."""
    for rows, wide_NV in _widened(logits_NV, temperature):
        chosen_N = wide_NV.gather(1, targets_N[rows, None])[:, 0]
        greatest_N1 = wide_NV.amax(dim=1, keepdim=True)
        wide_NV.sub_(greatest_N1)
        shares_NV = scratch("shares", len(wide_NV), wide_NV.shape[1], wide_NV, torch.float32)
        torch.exp(wide_NV, out=shares_NV)
        sums_N = shares_NV.sum(dim=1)
        logs_N = sums_N.log()
        logprobs_N[rows] = chosen_N - greatest_N1[:, 0] - logs_N
        if entropies_N is not None:
            # -inf times 0 would be no number: what has no share has no surprise either.
            surprises_N = shares_NV.mul_(wide_NV.clamp_(min=-1e30)).sum(dim=1) / sums_N
            entropies_N[rows] = logs_N - surprises_N


def _slopes_in_place(
    logits_NV: Tensor, targets_N: Tensor, temperature: float, upstream_N: Tensor
) -> None:
    """Turn logits into slopes of `sum(upstream * logprobs)`: one at the target, less the softmax,
    over the temperature."""
    for rows, wide_NV in _widened(logits_NV, temperature):
        weight_N1 = (upstream_N[rows, None] / temperature).float()
        torch.softmax(wide_NV, dim=1, out=wide_NV)
        wide_NV.mul_(-weight_N1)
        wide_NV.scatter_add_(1, targets_N[rows, None], weight_N1)
        logits_NV[rows].copy_(wide_NV)


def _widened(logits_NV: Tensor, temperature: float) -> Iterator[tuple[slice, Tensor]]:
    """A few rows at a time, in fp32 and over the temperature, in memory of their own."""
    count, vocab = logits_NV.shape
    at_once = count if logits_NV.is_cuda else min(count, max(1, loss.CACHED // vocab))
    for start in range(0, count, max(1, at_once)):
        rows = slice(start, min(start + at_once, count))
        space_NV = scratch("wide", rows.stop - rows.start, vocab, logits_NV, torch.float32)
        wide_NV = space_NV.copy_(logits_NV[rows])
        yield rows, wide_NV.div_(temperature) if temperature != 1.0 else wide_NV
