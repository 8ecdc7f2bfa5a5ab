"""The transformer's small parts: linear map, embedding, RMSNorm, feed-forward.

Shape suffixes as in `transformer`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.model.config import ModelConfig


class Linear(nn.Linear):
    """A matrix without bias, left unfilled: `transformer.initialise` or a file fills it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        """Draw nothing: torch's default would move the global random generator."""


class Embedding(nn.Embedding):
    """A row a token, left unfilled as in `Linear`."""

    def reset_parameters(self) -> None:
        """Draw nothing: torch's default would move the global random generator."""


class RMSNorm(nn.Module):
    """`x / rms(x) · weight`, the division in fp32 whatever the weights are."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D], in x's dtype."""
        normed: Tensor = _RMSNorm.apply(x, self.weight, self.eps)  # type: ignore[no-untyped-call]
        return normed


class _RMSNorm(torch.autograd.Function):
    """The gradient written out: a third of the passes over memory that torch's own makes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        squares = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_()
        inverse = squares.div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = (wide * inverse).to(x.dtype)
        gained: Tensor = unit * weight
        ctx.save_for_backward(unit, weight, inverse)
        return gained

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor | None, None]:
        unit, weight, inverse = ctx.saved_tensors
        weight_grad = None
        if ctx.needs_input_grad[1]:
            along_rows = (upstream * unit).flatten(0, -2).sum(0, dtype=torch.float32)
            weight_grad = along_rows.to(weight.dtype)
        slope, wide = (upstream * weight).float(), unit.float()
        along = (slope * wide).mean(dim=-1, keepdim=True)
        x_grad = slope.addcmul_(wide, along, value=-1).mul_(inverse)
        return x_grad.to(unit.dtype), weight_grad, None


class FeedForward(nn.Module):
    """SwiGLU: `down(silu(gate(x)) · up(x))`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = Linear(config.dim, config.ffn_dim)
        self.up_proj = Linear(config.dim, config.ffn_dim)
        self.down_proj = Linear(config.ffn_dim, config.dim)

    def forward(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        out_BLD: Tensor = self.down_proj(F.silu(self.gate_proj(x_BLD)) * self.up_proj(x_BLD))
        return out_BLD
