"""Low-rank adapters beside frozen weights (Hu et al. 2021).

A matrix `W` that is trained through an adapter computes `x W^T + (alpha / r) (x A^T) B^T`. `W` does
not move; `A` [r, in] and `B` [out, r] do, and `B` starts at zero, so that training starts from the
model as it was. Merged, the matrix is `W + (alpha / r) B A`, an ordinary one.

Shape suffixes as in `transformer`; R is the rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.errors import UsageError, nearest
from llamakit.model.config import ModelConfig
from llamakit.model.layers import Linear
from llamakit.model.transformer import Block, RewardModel, Transformer

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The matrices of a layer that may have an adapter."""
_SUFFIXES = (".lora_A", ".lora_B")


@dataclass(frozen=True)
class Lora:
    """Which matrices have an adapter, and how large it is."""

    rank: int
    alpha: float
    targets: tuple[str, ...]

    @property
    def scale(self) -> float:
        """What an adapter's product is multiplied with."""
        return self.alpha / self.rank

    def parameters(self, config: ModelConfig) -> int:
        """Weights of the adapters of a model of that shape."""
        with torch.device("meta"):
            block = Block(config)
        shapes = [tuple(m.weight.shape) for _, _, m in _matrices(block, self.targets)]
        return config.n_layers * sum(self.rank * (rows + columns) for rows, columns in shapes)


def lora_of(rank: int, alpha: float | None, targets: Sequence[str], where: str) -> Lora | None:
    """The adapters that a stage's fields ask for; None where all weights are to be trained.

    Args:
        rank: 0 for none.
        alpha: None is twice the rank.
        targets: names of `TARGETS`.
        where: the stage, for errors.

    Raises:
        UsageError: a target is unknown, or there is none.
    """
    if rank == 0:
        return None
    if not targets:
        raise UsageError("lora_targets is empty: nothing would be trained", where=where)
    for name in targets:
        if name not in TARGETS:
            guess = nearest(name, list(TARGETS))
            hint = f"Did you mean {guess!r}? " if guess else ""
            raise UsageError(
                f"lora_targets: no matrix of a layer is called {name!r}",
                where=where,
                fix=f"{hint}There are: {', '.join(TARGETS)}.",
            )
    ordered = tuple(name for name in TARGETS if name in targets)
    return Lora(rank, 2.0 * rank if alpha is None else alpha, ordered)


class LoraLinear(Linear):
    """A frozen matrix with an adapter beside it."""

    def __init__(self, base: nn.Linear, lora: Lora) -> None:
        with torch.device("meta"):
            super().__init__(base.in_features, base.out_features)
        self.weight = base.weight
        self.lora_A = nn.Parameter(base.weight.new_zeros(lora.rank, base.in_features))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, lora.rank))
        self.scale = lora.scale
        self.active = True
        """Whether the adapter counts; not where it is merged into the matrix, or left out."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        out = F.linear(x, self.weight)
        if not self.active:
            return out
        low_NR = F.linear(x, self.lora_A).reshape(-1, self.lora_A.shape[0])
        # One pass over the product instead of two.
        summed = torch.addmm(
            out.reshape(-1, self.out_features), low_NR, self.lora_B.T, alpha=self.scale
        )
        return summed.view(out.shape)


def add_lora(model: Transformer | RewardModel, lora: Lora, seed: int) -> None:
    """Freeze a model and put adapters beside the target matrices, in place. A score head is new or
    small, and is trained whole.

    `A` is drawn from `seed`, uniformly within 1/sqrt(in) as in the authors' code and in PEFT.
    """
    model.requires_grad_(False)
    if isinstance(model, RewardModel):
        model.score.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    for block in model.body.layers:
        for parent, name, linear in list(_matrices(block, lora.targets)):
            adapted = LoraLinear(linear, lora)
            bound = 1 / math.sqrt(linear.in_features)
            drawn = torch.empty(adapted.lora_A.shape).uniform_(-bound, bound, generator=generator)
            with torch.no_grad():
                adapted.lora_A.copy_(drawn)
            setattr(parent, name, adapted)


def adapted(model: nn.Module) -> list[LoraLinear]:
    """The matrices of a model that have an adapter."""
    return [module for module in model.modules() if isinstance(module, LoraLinear)]


@contextmanager
def without_lora(model: nn.Module) -> Iterator[None]:
    """In the block, the model is the one that its adapters were put beside."""
    with _inactive(model):
        yield


@contextmanager
def merged_lora(model: nn.Module, *, passing: bool = False) -> Iterator[None]:
    """In the block, adapters are merged into their matrices: an ordinary model, as fast as one.

    Args:
        passing: the weights are a copy that is thrown away after the block. Otherwise the matrices
            themselves are kept aside, and come back unchanged.
    """
    kept: list[tuple[LoraLinear, Tensor]] = []
    with _inactive(model), torch.no_grad():
        for module in adapted(model):
            whole = merge(module.weight, module.lora_A, module.lora_B, module.scale)
            if passing:
                module.weight.copy_(whole)
            else:
                kept.append((module, module.weight.data))
                module.weight.data = whole
        try:
            yield
        finally:
            for module, base in kept:
                module.weight.data = base


def merge(weight: Tensor, a_RI: Tensor, b_OR: Tensor, scale: float) -> Tensor:
    """`W + scale B A`, summed in fp32 and rounded once to W's precision."""
    delta = b_OR.float() @ a_RI.float()
    return torch.add(weight.float(), delta, alpha=scale).to(weight.dtype)


class MergedWeights(Mapping[str, Tensor]):
    """The weights of a model without adapters, each merged when it is read."""

    def __init__(self, weights: Mapping[str, Tensor], lora: Lora) -> None:
        self._weights = weights
        self._lora = lora
        self._names = [name for name in weights if not name.endswith(_SUFFIXES)]

    def __getitem__(self, name: str) -> Tensor:
        weight, (a, b) = self._weights[name], (name.removesuffix(".weight") + s for s in _SUFFIXES)
        if b not in self._weights:
            return weight
        return merge(weight, self._weights[a], self._weights[b], self._lora.scale)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def _inactive(model: nn.Module) -> Iterator[None]:
    before = [(module, module.active) for module in adapted(model)]
    for module, _ in before:
        module.active = False
    try:
        yield
    finally:
        for module, active in before:
            module.active = active


def _matrices(
    block: nn.Module, targets: Sequence[str]
) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """The target matrices of a layer, with the module that holds each and its name there."""
    assert isinstance(block, Block)
    for parent in (block.self_attn, block.mlp):
        for name, child in parent.named_children():
            if name in targets and isinstance(child, nn.Linear):
                yield parent, name, child
