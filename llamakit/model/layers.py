"""The transformer's small parts: linear map, embedding, RMSNorm, feed-forward.

Shape suffixes as in `transformer`.
"""

from __future__ import annotations

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
        normed = F.rms_norm(x.float(), (x.shape[-1],), eps=self.eps)
        return self.weight * normed.to(x.dtype)


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
