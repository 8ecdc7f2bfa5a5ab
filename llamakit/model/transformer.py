"""The Llama 2 transformer and its reward model (paper §2.2 and §3.2.2).

Pre-norm RMSNorm, SwiGLU, rotary positions, grouped-query attention, no biases. Parameters are
called as in Hugging Face's Llama, so that weights go in and out unchanged.

Shape suffixes: B rows, L positions of a row, T keys (cached ones and new), D model width, H query
heads, G key-value heads, K head width, F feed-forward width, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llamakit.model.attention import Attention, Layout, layout_of
from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.layers import Embedding, FeedForward, Linear, RMSNorm

INIT_STD = 0.02
# Past so many shapes of batches torch would go on uncompiled.
_SHAPES = 256
_INTO_RESIDUAL = ("o_proj.weight", "down_proj.weight")


class Block(nn.Module):
    """One layer: attention, then feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.dim, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x_BLD: Tensor, layout: Layout, cache: KVCache | None = None, layer: int = 0
    ) -> Tensor:
        """[B, L, D] to [B, L, D]."""
        x_BLD = x_BLD + self.self_attn(self.input_layernorm(x_BLD), layout, cache, layer)
        out_BLD: Tensor = x_BLD + self.mlp(self.post_attention_layernorm(x_BLD))
        return out_BLD


class Decoder(nn.Module):
    """Embedding, layers and final norm: everything but a head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = Embedding(config.vocab_size, config.dim)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)

    def forward(
        self,
        ids_BL: Tensor,
        *,
        positions_BL: Tensor | None = None,
        segments_BL: Tensor | None = None,
        lengths_B: Tensor | None = None,
        starts_B: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Hidden states after the final norm.

        Args:
            ids_BL: int64 token ids.
            positions_BL: positions for the rotation; by default they count from a row's first real
                token, and from the start of each segment.
            segments_BL: attention stays among positions of one row with an equal number (packing).
            lengths_B: real tokens of rows that are padded on the right. Causal attention does not
                see that padding; with this, its outputs are zero instead of meaningless.
            starts_B: index of the first real token of rows that are padded on the left.
            cache: keys and values of earlier positions; the new ones are added to it. A cache
                knows its own `starts_B`.

        Returns:
            [B, L, D], in the weights' dtype.
        """
        layout = layout_of(
            self.config,
            ids_BL,
            positions_BL=positions_BL,
            segments_BL=segments_BL,
            starts_B=starts_B,
            cache=cache,
            dtype=self.embed_tokens.weight.dtype,
        )
        x_BLD = self.embed_tokens(ids_BL)
        for index, layer in enumerate(self.layers):
            # Without a cache a layer's number is not told: compiled code is for one number.
            x_BLD = layer(x_BLD, layout) if cache is None else layer(x_BLD, layout, cache, index)
        if cache is not None:
            cache.advance(ids_BL.shape[1])
        hidden_BLD: Tensor = self.norm(x_BLD)
        if lengths_B is not None:
            real_BL = torch.arange(ids_BL.shape[1], device=ids_BL.device) < lengths_B[:, None]
            hidden_BLD = hidden_BLD * real_BL[:, :, None]
        return hidden_BLD

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile each block with torch.compile, in place; arguments are torch's.

        Blocks are alike, so the code of one serves all: seconds, where a whole model would take as
        many times that as it has layers. Every shape of a batch has code of its own, whichever came
        first, so that a resumed run computes what an uninterrupted one does.
        """
        torch._dynamo.config.recompile_limit = max(_SHAPES, torch._dynamo.config.recompile_limit)
        for layer in self.layers:
            layer.compile(*args, **{"dynamic": False, **options})


class Transformer(nn.Module):
    """A language model: the decoder and the layer that turns hidden states into logits."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        """Build a model with weights drawn from `seed`; on the meta device it has none."""
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.lm_head = None if config.tie_embeddings else Linear(config.dim, config.vocab_size)
        initialise(self, config, seed)

    @property
    def body(self) -> Decoder:
        """The decoder without its head."""
        return self.model

    @property
    def head_weight(self) -> Tensor:
        """The output layer's matrix [V, D]."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def forward(
        self,
        ids_BL: Tensor,
        *,
        positions_BL: Tensor | None = None,
        segments_BL: Tensor | None = None,
        lengths_B: Tensor | None = None,
        starts_B: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Hidden states [B, L, D]; see `Decoder.forward`. `logits` projects those that are needed:
        over a vocabulary of 32,000, all of them at once are most of a small model's work.
        """
        hidden_BLD: Tensor = self.model(
            ids_BL,
            positions_BL=positions_BL,
            segments_BL=segments_BL,
            lengths_B=lengths_B,
            starts_B=starts_B,
            cache=cache,
        )
        return hidden_BLD

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., V] of hidden states [..., D]."""
        return F.linear(hidden, self.head_weight)

    def lengthen(self, max_seq_len: int) -> None:
        """Take rows of up to `max_seq_len` tokens: rotary positions have no weights of their own.

        What it makes of positions past its old context is for training to teach.
        """
        self.config = self.model.config = replace(self.config, max_seq_len=max_seq_len)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the blocks with torch.compile, in place; see `Decoder.compile`."""
        self.model.compile(*args, **options)


class RewardModel(nn.Module):
    """The decoder with a scalar head in place of the next-token one (paper §3.2.2)."""

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        """Build a model with weights drawn from `seed`; on the meta device it has none."""
        super().__init__()
        self.config = config
        self.model = Decoder(config)
        self.score = Linear(config.dim, 1)
        initialise(self, config, seed)

    @property
    def body(self) -> Decoder:
        """The decoder without its head."""
        return self.model

    def forward(self, ids_BL: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Raw scores of rows that are padded on the right, read at their last real token.

        Args:
            ids_BL: int64 token ids.
            lengths_B: real tokens of each row, at least 1. What the padding holds does not matter.
                Without them, the score at every position: what a value model is asked for.

        Returns:
            float32 [B], or [B, L]: logits, neither squashed nor centred.
        """
        hidden_BLD = self.model(ids_BL)
        if lengths_B is None:
            scores_BL: Tensor = self.score(hidden_BLD)[:, :, 0].float()
            return scores_BL
        rows_B = torch.arange(len(ids_BL), device=ids_BL.device)
        scores_B: Tensor = self.score(hidden_BLD[rows_B, lengths_B - 1])[:, 0].float()
        return scores_B

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile the blocks with torch.compile, in place; see `Decoder.compile`."""
        self.model.compile(*args, **options)


def initialise(model: Transformer | RewardModel, config: ModelConfig, seed: int) -> None:
    """Draw all weights from `seed`: the same numbers on every device, in fp32 or rounded from it.

    The paper gives no initialisation. Chosen here: normal with standard deviation 0.02; the two
    matrices of a layer that write into the residual stream are scaled by 1/sqrt(2·n_layers), so
    that its variance does not grow with depth (GPT-2); a score head as in `initialise_score`.
    """
    if not any(weight.is_meta for weight in model.parameters()):
        weights = dict(model.named_parameters())
        with torch.no_grad():
            for name, drawn in drawn_weights(model, config, seed):
                weights[name].copy_(drawn)
    if isinstance(model, RewardModel) and not model.score.weight.is_meta:
        initialise_score(model, seed)


def drawn_weights(
    model: Transformer | RewardModel, config: ModelConfig, seed: int
) -> Iterator[tuple[str, Tensor]]:
    """The weights of `initialise` by name, one after another, on the processor; of the model only
    names and shapes are read, so that it may be on the meta device. (Of a score head they are not
    the last: see `initialise_score`.)
    """
    # Read now: when the first weight is asked for, the model may have been divided.
    shapes = {name: weight.shape for name, weight in model.named_parameters()}
    return _drawn(shapes, config, seed)


def _drawn(
    shapes: Mapping[str, torch.Size], config: ModelConfig, seed: int
) -> Iterator[tuple[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    into_residual = INIT_STD / math.sqrt(2 * config.n_layers)
    for name, shape in shapes.items():
        if len(shape) == 1:
            yield name, torch.ones(shape)
            continue
        std = into_residual if name.endswith(_INTO_RESIDUAL) else INIT_STD
        yield name, torch.empty(shape).normal_(0.0, std, generator=generator)


def initialise_score(model: RewardModel, seed: int) -> None:
    """Draw a score head with standard deviation 1/sqrt(dim + 1): first scores are of order one."""
    generator = torch.Generator().manual_seed(seed)
    weight = model.score.weight
    std = 1 / math.sqrt(model.config.dim + 1)
    with torch.no_grad():
        weight.copy_(torch.empty(weight.shape).normal_(0.0, std, generator=generator))
