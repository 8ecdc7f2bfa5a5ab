"""A model's weights where they lie: each is read when it is asked for, by Hugging Face's name.

Formats other than llamakit's own become one of these on the way in, and every format is written
from one on the way out, so a model larger than memory passes through a tensor at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from llamakit.errors import InputError
from llamakit.model.config import ModelConfig
from llamakit.model.rotary import halves_from_pairs, rotated_heads
from llamakit.model.transformer import RewardModel, Transformer

READABLE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What weights may be stored as. Others are quantized, and mean nothing without their scales."""


@dataclass(frozen=True)
class Checkpoint:
    """The shape of a model, and a way to read each of its weights."""

    config: ModelConfig
    dtype: torch.dtype
    """What `read` gives."""
    source: Callable[[str], Tensor]
    """The weight of a name, in whatever precision it is stored."""
    where: str
    """File or folder, for errors."""
    pairs: bool = False
    """Whether the rows of queries and keys lie in pairs side by side, as Meta's (see `rotary`)."""
    reward: bool = False
    """Whether it is of a reward model: a score head instead of the next token's."""

    @cached_property
    def shapes(self) -> dict[str, torch.Size]:
        """Every weight's shape by name, in the order in which they are written."""
        return weight_shapes(self.config, reward=self.reward)

    def read(self, name: str) -> Tensor:
        """One weight, checked.

        Raises:
            InputError: it is not as large as the config asks for, or none that can be computed
                with.
        """
        tensor = self.source(name)
        if tensor.dtype not in READABLE:
            raise unreadable(name, tensor.dtype, self.where)
        wanted = self.shapes[name]
        if tensor.shape != wanted:
            raise InputError(
                f"{name} has the shape {tuple(tensor.shape)} where the config asks for"
                f" {tuple(wanted)}",
                where=self.where,
            )
        heads = rotated_heads(name, self.config) if self.pairs else None
        return (tensor if heads is None else halves_from_pairs(tensor, heads)).to(self.dtype)

    def as_dtype(self, dtype: torch.dtype) -> Checkpoint:
        """The same weights, rounded to another precision as they are read."""
        return replace(self, dtype=dtype)


def weight_shapes(config: ModelConfig, *, reward: bool = False) -> dict[str, torch.Size]:
    """The weights of a model of that shape, as its module names them; allocates none."""
    with torch.device("meta"):
        model = RewardModel(config) if reward else Transformer(config)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def of_module(
    model: Transformer | RewardModel, weights: Mapping[str, Tensor] | None = None
) -> Checkpoint:
    """The weights of a model in memory; `weights` where it does not hold all of them itself."""
    tensors: Mapping[str, Tensor] = model.state_dict() if weights is None else weights
    return Checkpoint(
        config=model.config,
        dtype=tensors["model.norm.weight"].dtype,
        source=lambda name: tensors[name].detach().cpu(),
        where="the model in memory",
        reward=isinstance(model, RewardModel),
    )


def common_dtype(dtypes: Iterable[torch.dtype]) -> torch.dtype:
    """The precision that holds all of them without loss, though no more than float32: the models
    compute in no more."""
    found = torch.float16
    for number, dtype in enumerate(dtypes):
        found = dtype if number == 0 else torch.promote_types(found, dtype)
    return torch.float32 if found == torch.float64 else found


def unreadable(name: str, dtype: torch.dtype, where: str) -> InputError:
    """The error for a weight of another type."""
    return InputError(
        f"{name} is stored as {str(dtype).removeprefix('torch.')}",
        where=where,
        fix="Weights of 16, 32 or 64 bits are read, none that are quantized.",
    )


def check_size(config: ModelConfig, size: int, where: str, file: str = "config.json") -> None:
    """Refuse a config that asks for more weights than the files could hold at a byte each, before
    a module is built for every one of its layers.

    Args:
        size: bytes of all files of weights.
        file: what says so.
    """
    if config.parameters() > size:
        raise InputError(
            f"{file} asks for {config.parameters():,} weights, and the files of weights have"
            f" {size:,} bytes",
            where=where,
        )
