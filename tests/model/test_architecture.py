"""Logits equal those of `transformers` on shapes nobody chose: batch, left padding, cache."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer

transformers = pytest.importorskip("transformers")

TOLERANCE = 1e-4


@st.composite
def shapes(draw: st.DrawFn) -> ModelConfig:
    """Multi-head, grouped and multi-query; tied or not; any base; heads of any even width."""
    n_kv_heads = draw(st.integers(1, 3))
    n_heads = n_kv_heads * draw(st.integers(1, 4))
    width = 2 * draw(st.integers(1, 8))
    usual = draw(st.booleans())
    return ModelConfig(
        dim=n_heads * (width if usual else draw(st.integers(1, 12))),
        n_layers=draw(st.integers(1, 3)),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        ffn_dim=draw(st.integers(1, 50)),
        vocab_size=draw(st.integers(4, 80)),
        max_seq_len=64,
        rope_theta=draw(st.sampled_from([10.0, 10_000.0, 100_000.0, 500_000.0, 1e6])),
        norm_eps=draw(st.sampled_from([1e-6, 1e-5, 1e-3])),
        tie_embeddings=draw(st.booleans()),
        head_width=None if usual else width,
    )


def both(config: ModelConfig, seed: int) -> tuple[Transformer, Any]:
    """The same weights here and in `transformers`: each layer adds much, so that none hides."""
    ours = Transformer(config, seed).eval()
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in ours.parameters():
            if weight.ndim == 2:
                weight.normal_(0, 0.7 / weight.shape[1] ** 0.5, generator=draws)
            else:
                weight.uniform_(0.5, 1.5, generator=draws)
    with torch.random.fork_rng():  # what it draws first is overwritten
        theirs = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(**config.to_huggingface(), pad_token_id=0)
        )
    theirs.load_state_dict(ours.state_dict(), strict=not config.tie_embeddings)
    theirs.tie_weights()
    return ours, theirs.eval()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    config=shapes(),
    lengths=st.lists(st.integers(1, 14), min_size=1, max_size=4),
    cuts=st.sets(st.integers(1, 13), max_size=5),
    seed=st.integers(0, 2**20),
)
def test_logits_equal_transformers_on_any_shape(
    config: ModelConfig, lengths: list[int], cuts: set[int], seed: int
) -> None:
    ours, theirs = both(config, seed)
    width = max(lengths)
    draws = torch.Generator().manual_seed(seed)
    ids_BL = torch.randint(0, config.vocab_size, (len(lengths), width), generator=draws)
    starts_B = width - torch.tensor(lengths)
    real_BL = torch.arange(width)[None] >= starts_B[:, None]
    bounds = [0, *sorted(cut for cut in cuts if cut < width), width]
    steps = [b - a for a, b in pairwise(bounds)]
    with torch.no_grad():
        wanted = theirs(
            ids_BL,
            attention_mask=real_BL.long(),
            position_ids=(real_BL.cumsum(1) - 1).clamp(min=0),
        ).logits
        plain = ours.logits(ours(ids_BL, starts_B=starts_B))
        cache = KVCache.for_model(ours, config, len(lengths), width, starts_B=starts_B)
        parts = [ours(part, cache=cache) for part in ids_BL.split(steps, dim=1)]
        cached = ours.logits(torch.cat(parts, 1))
        alone = [
            ours.logits(ours(ids_BL[row : row + 1, start:]))[0]
            for row, start in enumerate(starts_B.tolist())
        ]
    assert_close(plain[real_BL], wanted[real_BL])
    assert_close(cached[real_BL], wanted[real_BL])
    assert_close(torch.cat(alone), wanted[real_BL])


def assert_close(found: Tensor, wanted: Tensor) -> None:
    assert found.isfinite().all()
    torch.testing.assert_close(found, wanted, atol=TOLERANCE, rtol=0)


def test_the_comparison_would_notice_another_rotation() -> None:
    """Logits this far from equal: a test that could not fail would prove nothing."""
    config = ModelConfig(48, 2, 4, 2, 64, 60, 64)
    ours, theirs = both(config, 1)
    ids_BL = torch.arange(24)[None]
    with torch.no_grad():
        wanted = theirs(ids_BL).logits
        turned = ours.logits(ours(ids_BL, positions_BL=torch.arange(24)[None] * 2))
    assert wanted.std() > 0.1
    assert (turned - wanted).abs().max() > 100 * TOLERANCE
