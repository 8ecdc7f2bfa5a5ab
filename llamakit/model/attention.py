"""Grouped-query attention with rotary positions, and what a batch's layout allows it to see.

Shape suffixes as in `transformer`; N is H / G, the query heads that share a key-value head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.model.blocked_attention import blocked_attention
from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.layers import Linear


@dataclass(frozen=True)
class Layout:
    """What all layers share of a batch: the rotation of its positions, and who may see whom."""

    cos_BLK: Tensor
    """Cosine of each position's angles, once for each half of a head: [B or 1, 1, L, K]."""
    sin_BLK: Tensor
    """Their sine, negative for the first half."""
    bias_BLT: Tensor | None
    """Added to attention scores, 0 or -inf: [B or 1, 1, L, T]. None is plain causal attention."""


class Attention(nn.Module):
    """Causal self-attention in which H/G query heads share each key-value head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_kv_heads = config.n_kv_heads
        self.head_dim = config.head_dim
        kv_dim = config.n_kv_heads * config.head_dim
        self.q_proj = Linear(config.dim, config.n_heads * config.head_dim)
        self.k_proj = Linear(config.dim, kv_dim)
        self.v_proj = Linear(config.dim, kv_dim)
        self.o_proj = Linear(config.n_heads * config.head_dim, config.dim)

    def forward(self, x_BLD: Tensor, layout: Layout, cache: KVCache | None, layer: int) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        rows, length, _ = x_BLD.shape
        q_BHLK, k_BGTK = self._queries_and_keys(x_BLD, layout)
        v_BGTK = self._heads(self.v_proj(x_BLD))
        if cache is not None:
            k_BGTK, v_BGTK = cache.write(layer, k_BGTK, v_BGTK)
        if length == 1 and cache is not None:
            a_BHLK = _attend_one(q_BHLK, k_BGTK, v_BGTK, layout.bias_BLT)
        else:
            a_BHLK = _attend(q_BHLK, k_BGTK, v_BGTK, layout.bias_BLT)
        out_BLD: Tensor = self.o_proj(a_BHLK.transpose(1, 2).reshape(rows, length, -1))
        return out_BLD

    def weights(self, x_BLD: Tensor, layout: Layout) -> Tensor:
        """How much each position looks at each, float32 [B, H, L, L]; rows sum to 1.

        `forward` never holds them: they grow with the square of the length. For looking into a
        model, without a cache.
        """
        q_BHLK, k_BGLK = self._queries_and_keys(x_BLD, layout)
        k_BHLK = k_BGLK.repeat_interleave(q_BHLK.shape[1] // k_BGLK.shape[1], dim=1)
        scores_BHLL = (q_BHLK @ k_BHLK.transpose(2, 3)).float() / math.sqrt(self.head_dim)
        if layout.bias_BLT is not None:
            return (scores_BHLL + layout.bias_BLT).softmax(dim=-1)
        later_LL = torch.ones(scores_BHLL.shape[2:], dtype=torch.bool, device=x_BLD.device).triu(1)
        return scores_BHLL.masked_fill(later_LL, -torch.inf).softmax(dim=-1)

    def _queries_and_keys(self, x_BLD: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        return (
            _rotated(self._heads(self.q_proj(x_BLD)), layout),
            _rotated(self._heads(self.k_proj(x_BLD)), layout),
        )

    def _heads(self, x_BLD: Tensor) -> Tensor:
        """[B, L, heads x K] to [B, heads, L, K]."""
        return x_BLD.view(*x_BLD.shape[:2], -1, self.head_dim).transpose(1, 2)


def layout_of(
    config: ModelConfig,
    ids_BL: Tensor,
    *,
    positions_BL: Tensor | None,
    segments_BL: Tensor | None,
    starts_B: Tensor | None,
    cache: KVCache | None,
    dtype: torch.dtype,
) -> Layout:
    """The layout of a batch; arguments as in `transformer.Decoder.forward`."""
    length, device = ids_BL.shape[1], ids_BL.device
    before = 0
    if cache is not None:
        before = cache.length
        starts_B = cache.starts_B
    if positions_BL is None:
        positions_BL = _positions(
            before, length, segments_BL=segments_BL, starts_B=starts_B, device=device
        )
    steps = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=device)
    angles_BLK = positions_BL[:, None, :, None].float() * config.rope_theta ** (
        -steps / config.head_dim
    )
    cos_BLK, sin_BLK = angles_BLK.cos().to(dtype), angles_BLK.sin().to(dtype)
    return Layout(
        torch.cat((cos_BLK, cos_BLK), dim=-1),
        torch.cat((-sin_BLK, sin_BLK), dim=-1),
        _bias(
            before,
            length,
            segments_BL=segments_BL,
            starts_B=starts_B,
            device=device,
            dtype=dtype,
        ),
    )


def _positions(
    before: int,
    length: int,
    *,
    segments_BL: Tensor | None,
    starts_B: Tensor | None,
    device: torch.device,
) -> Tensor:
    places_BL = torch.arange(before, before + length, device=device)[None, :]
    if segments_BL is not None:
        fresh_BL = torch.ones_like(segments_BL, dtype=torch.bool)
        fresh_BL[:, 1:] = segments_BL[:, 1:] != segments_BL[:, :-1]
        return places_BL - torch.where(fresh_BL, places_BL, 0).cummax(dim=1).values
    if starts_B is not None:
        return (places_BL - starts_B[:, None]).clamp(min=0)
    return places_BL


def _bias(
    before: int,
    length: int,
    *,
    segments_BL: Tensor | None,
    starts_B: Tensor | None,
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor | None:
    """0 where a query may look and -inf where not; None where causality is all there is to it."""
    if segments_BL is None and starts_B is None and (before == 0 or length == 1):
        return None
    keys_T = torch.arange(before + length, device=device)
    queries_L = keys_T[before:]
    seen_BLT = (keys_T[None, :] <= queries_L[:, None])[None]
    if segments_BL is not None:
        seen_BLT = seen_BLT & (segments_BL[:, :, None] == segments_BL[:, None, :])
    if starts_B is not None:
        seen_BLT = seen_BLT & (keys_T >= starts_B[:, None])[:, None, :]
        # Padding sees itself: a query that sees nothing would be 0/0.
        seen_BLT = seen_BLT | (keys_T[None, :] == queries_L[:, None])[None]
    bias_BLT = torch.zeros(seen_BLT.shape, dtype=dtype, device=device)
    return bias_BLT.masked_fill_(~seen_BLT, -torch.inf)[:, None]


def _rotated(x_BHLK: Tensor, layout: Layout) -> Tensor:
    """Turn each pair (i, i + K/2) by its position's angle: Hugging Face's layout of the weights."""
    # In one piece, heads are long rows to the processor; by halves they are many short ones.
    x_BHLK = x_BHLK.contiguous()
    other_BHLK = x_BHLK.roll(x_BHLK.shape[-1] // 2, dims=-1)
    return torch.addcmul(x_BHLK * layout.cos_BLK, other_BHLK, layout.sin_BLK)


def _attend(q_BHLK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, bias_BLT: Tensor | None) -> Tensor:
    grouped = q_BHLK.shape[1] != k_BGTK.shape[1]
    if q_BHLK.is_cuda:
        return F.scaled_dot_product_attention(
            q_BHLK,
            k_BGTK,
            v_BGTK,
            attn_mask=bias_BLT,
            is_causal=bias_BLT is None,
            enable_gqa=grouped,
        )
    # Training and scoring take the same way, since their log-probabilities are compared.
    if q_BHLK.dtype == torch.bfloat16 and q_BHLK.shape[2] == k_BGTK.shape[2]:
        return blocked_attention(q_BHLK, k_BGTK, v_BGTK, bias_BLT)
    if grouped:
        shared = q_BHLK.shape[1] // k_BGTK.shape[1]
        k_BGTK = k_BGTK.repeat_interleave(shared, dim=1)
        v_BGTK = v_BGTK.repeat_interleave(shared, dim=1)
    return F.scaled_dot_product_attention(
        q_BHLK, k_BGTK, v_BGTK, attn_mask=bias_BLT, is_causal=bias_BLT is None
    )


def _attend_one(q_BHLK: Tensor, k_BGTK: Tensor, v_BGTK: Tensor, bias_BLT: Tensor | None) -> Tensor:
    """A single query a row: two plain products are faster than the fused kernel, and the queries
    that share a key-value head are one product, so that it is never repeated in memory.
    """
    rows, heads, _, width = q_BHLK.shape
    groups = k_BGTK.shape[1]
    q_BGNK = q_BHLK.reshape(rows, groups, heads // groups, width) / math.sqrt(width)
    scores_BGNT = (q_BGNK @ k_BGTK.transpose(2, 3)).float()
    if bias_BLT is not None:
        scores_BGNT = scores_BGNT + bias_BLT
    a_BGNK = scores_BGNT.softmax(dim=-1).to(v_BGTK.dtype) @ v_BGTK
    return a_BGNK.reshape(rows, heads, 1, width)
