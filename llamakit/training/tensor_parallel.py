"""Layers divided among processes: each computes some heads and some feed-forward columns.

After Shoeybi et al. 2019 (Megatron-LM): the matrices that read the residual stream are divided by
their outputs, those that write into it by their inputs, so that attention and feed-forward each
need one sum over the processes forward, of what they write, and one backward, of the gradient of
what they read. Inside, a part is an ordinary smaller layer. Norms, embedding and output layer are
copied.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from llamakit.errors import UsageError
from llamakit.model.transformer import Block
from llamakit.training.share import Share

_DIMS = {
    "q_proj": 0, "k_proj": 0, "v_proj": 0, "o_proj": 1,
    "gate_proj": 0, "up_proj": 0, "down_proj": 1,
}  # fmt: skip
"""By the layer that a weight belongs to, the dimension of its matrix [out, in] that is divided."""


def split_dim(parameter: str) -> int | None:
    """The dimension in which a parameter is divided; None: every process holds all of it."""
    return _DIMS.get(parameter.removesuffix(".weight").rpartition(".")[2])


def split_heads(model: nn.Module, share: Share, group: dist.ProcessGroup) -> None:
    """Keep this process's part of every block, in place.

    Raises:
        UsageError: heads or columns do not divide evenly.
    """
    for block in model.modules():
        if not isinstance(block, Block):
            continue
        attention, ffn = block.self_attn, block.mlp
        for what, number in (
            ("key-value heads", attention.n_kv_heads),
            ("feed-forward columns", ffn.gate_proj.out_features),
        ):
            if number % share.world:
                raise UsageError(
                    f"tensor_parallel {share.world} does not divide {number} {what}",
                    fix="Take a number that does, and leave the rest to fsdp.",
                )
        for layer in (attention, ffn):
            for name, linear in layer.named_children():
                if isinstance(linear, nn.Linear):
                    _keep_part(linear, _DIMS[name], share)
            layer.register_forward_pre_hook(_ReadHook(group))
            layer.register_forward_hook(_WriteHook(group))
        attention.n_kv_heads //= share.world


def _keep_part(linear: nn.Linear, dim: int, share: Share) -> None:
    size = linear.weight.shape[dim] // share.world
    part = linear.weight.detach().narrow(dim, share.rank * size, size).clone()
    linear.weight = nn.Parameter(part, requires_grad=linear.weight.requires_grad)
    linear.out_features, linear.in_features = part.shape


class _ReadHook:
    """What all processes read is passed on, its gradient is the sum of theirs."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x_BLD, *rest = args
        return _Read.apply(x_BLD, self._group), *rest  # type: ignore[no-untyped-call]


class _WriteHook:
    """What the processes write is summed, its gradient goes to all of them."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group

    def __call__(self, module: nn.Module, args: tuple[Any, ...], out_BLD: Tensor) -> Tensor:
        summed: Tensor = _Write.apply(out_BLD, self._group)  # type: ignore[no-untyped-call]
        return summed


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None


class _Write(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        summed = x.contiguous().clone()
        dist.all_reduce(summed, group=group)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
