"""Rows of query and key matrices, in the two orders that rotary positions are computed in.

Meta, llama2.c and llama.cpp turn neighbouring rows of a head together, (0, 1), (2, 3), …; Hugging
Face and llamakit a row of the first half with one of the second, (0, K/2), (1, K/2 + 1), ….
"""

from __future__ import annotations

from torch import Tensor

from llamakit.model.config import ModelConfig


def halves_from_pairs(weight: Tensor, heads: int) -> Tensor:
    """[heads·K, D] with pairs side by side to the same with pairs half a head apart."""
    rows, dim = weight.shape
    return weight.view(heads, rows // heads // 2, 2, dim).transpose(1, 2).reshape(rows, dim)


def pairs_from_halves(weight: Tensor, heads: int) -> Tensor:
    """The inverse of `halves_from_pairs`."""
    rows, dim = weight.shape
    return weight.view(heads, 2, rows // heads // 2, dim).transpose(1, 2).reshape(rows, dim)


def rotated_heads(name: str, config: ModelConfig) -> int | None:
    """How many heads a weight's rows belong to if they are turned by position: those of queries
    and keys; None for all others. By Hugging Face's name."""
    if name.endswith("self_attn.q_proj.weight"):
        return config.n_heads
    if name.endswith("self_attn.k_proj.weight"):
        return config.n_kv_heads
    return None
