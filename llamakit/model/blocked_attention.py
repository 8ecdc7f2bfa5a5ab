"""Causal attention for the processor: queries by blocks, each with only the keys it may see.

A block of queries is two plain products and a softmax, which in bf16 are faster than the fused
kernel that torch has for a processor; keys after the block's end are never multiplied. Measured in
`tests/bench/training.py` and `docs/log.md`.

Shape suffixes as in `transformer`; N is H / G, the query heads that share a key-value head, W the
queries of a block, and E the keys up to its end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_BLOCKS = 4
_WIDEST = 256
_KEEP_UP_TO = 512
"""Longest row whose probabilities are kept for the backward pass; they grow with its square, and
are computed again for a longer one."""


def blocked_attention(
    q_BHLK: Tensor, k_BGLK: Tensor, v_BGLK: Tensor, bias_BLL: Tensor | None
) -> Tensor:
    """Attention of every position to itself and earlier ones of its row; differentiable.

    Args:
        bias_BLL: added to the scaled scores, 0 or -inf, causality included: [B or 1, 1, L, L].
            None is plain causal attention.

    Returns:
        [B, H, L, K].
    """
    a_BHLK: Tensor = _BlockedAttention.apply(q_BHLK, k_BGLK, v_BGLK, bias_BLL)  # type: ignore[no-untyped-call]
    return a_BHLK


def kept_probabilities(length: int) -> int:
    """Of a position of a row of so many, how many are kept for the backward pass, on average."""
    if length > _KEEP_UP_TO:
        return 0
    return sum((end - start) * end for start, end in _blocks(length)) // max(1, length)


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    width = min(_WIDEST, -(-length // _BLOCKS))
    for start in range(0, length, width):
        yield start, min(length, start + width)


class _BlockedAttention(torch.autograd.Function):
    """Query heads that share keys are more rows of one product, so keys are never repeated."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        rows, heads, length, width = q.shape
        groups = k.shape[1]
        q_SNLK = q.reshape(rows * groups, heads // groups, length, width)
        k_SLK, v_SLK = (x.reshape(rows * groups, length, width) for x in (k, v))
        a_SNLK = torch.empty_like(q_SNLK)
        kept = []
        for start, end in _blocks(length):
            p_SQE = _probabilities(q_SNLK, k_SLK, bias, start, end)
            a_SQK = torch.bmm(p_SQE, v_SLK[:, :end])
            a_SNLK[:, :, start:end] = a_SQK.view(len(a_SQK), -1, end - start, width)
            if length <= _KEEP_UP_TO:
                kept.append(p_SQE)
        ctx.save_for_backward(q_SNLK, k_SLK, v_SLK, bias, *kept)
        return a_SNLK.view(q.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        q_SNLK, k_SLK, v_SLK, bias, *kept = ctx.saved_tensors
        rows_groups, shared, length, width = q_SNLK.shape
        scale = 1 / math.sqrt(width)
        g_SNLK = upstream.reshape(q_SNLK.shape)
        dq_SNLK = torch.empty_like(q_SNLK)
        # Every block adds to the keys before it: in fp32, as many roundings would add up.
        dk_SLK, dv_SLK = (torch.zeros_like(x, dtype=torch.float32) for x in (k_SLK, v_SLK))
        for index, (start, end) in enumerate(_blocks(length)):
            p_SQE = kept[index] if kept else _probabilities(q_SNLK, k_SLK, bias, start, end)
            q_SQK, g_SQK = (_block(x, start, end) for x in (q_SNLK, g_SNLK))
            dv_SLK[:, :end] += torch.bmm(p_SQE.transpose(1, 2), g_SQK)
            dp_SQE = torch.bmm(g_SQK, v_SLK[:, :end].transpose(1, 2))
            ds_SQE = torch.ops.aten._softmax_backward_data(dp_SQE, p_SQE, -1, p_SQE.dtype)
            dq_SQK = torch.bmm(ds_SQE, k_SLK[:, :end]).mul_(scale)
            dq_SNLK[:, :, start:end] = dq_SQK.view(rows_groups, shared, end - start, width)
            dk_SLK[:, :end] += torch.bmm(ds_SQE.transpose(1, 2), q_SQK)
        groups = len(k_SLK) // len(upstream)
        keys = (len(upstream), groups, length, width)
        return (
            dq_SNLK.view(upstream.shape),
            dk_SLK.mul_(scale).to(k_SLK.dtype).view(keys),
            dv_SLK.to(v_SLK.dtype).view(keys),
            None,
        )


def _block(x_SNLK: Tensor, start: int, end: int) -> Tensor:
    """Some queries of all heads that share keys, as rows of one matrix: [S, N·W, K]."""
    return x_SNLK[:, :, start:end].reshape(len(x_SNLK), -1, x_SNLK.shape[-1])


def _probabilities(
    q_SNLK: Tensor, k_SLK: Tensor, bias_BLL: Tensor | None, start: int, end: int
) -> Tensor:
    """What a block's queries give to each key up to its end: [S, N·W, E].

    The bias is added inside the product, before scores are rounded to its dtype.
    """
    q_SQK = _block(q_SNLK, start, end)
    sets, shared, width = len(q_SNLK), q_SNLK.shape[1], q_SNLK.shape[-1]
    if bias_BLL is None:
        future_WE = torch.ones(end - start, end, dtype=torch.bool, device=q_SQK.device).triu_(
            start + 1
        )
        bias_BWE = q_SQK.new_zeros(1, end - start, end).masked_fill_(future_WE, -torch.inf)
    else:
        bias_BWE = bias_BLL[:, 0, start:end, :end].to(q_SQK.dtype)
    wide = (len(bias_BWE), sets // len(bias_BWE), shared, end - start, end)
    bias_SQE = bias_BWE[:, None, None].expand(wide).reshape(sets, shared * (end - start), end)
    s_SQE = torch.baddbmm(
        bias_SQE, q_SQK, k_SLK[:, :end].transpose(1, 2), alpha=1 / math.sqrt(width)
    )
    return s_SQE.softmax(dim=-1)
