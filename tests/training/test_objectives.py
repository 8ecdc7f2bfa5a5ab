"""Packed rows against the same dialogues one by one; the objective against plain cross-entropy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.training.accumulation import accumulate, mean_loss
from llamakit.training.batches import PackedDialogues
from llamakit.training.dialogues import DialogueTokens
from llamakit.training.objectives import next_token

CONFIG = ModelConfig(
    dim=16, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=24, vocab_size=50, max_seq_len=32
)


def dialogues() -> DialogueTokens:
    generator = np.random.default_rng(0)
    lengths = [9, 14, 3, 22, 6, 30, 11]
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    ids = generator.integers(3, 50, offsets[-1]).astype(np.int32)
    return DialogueTokens(
        ids, generator.random(offsets[-1]) < 0.6, offsets, {}, ["a"] * len(lengths)
    )


def gradients(packed: bool) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    model = Transformer(CONFIG, seed=1)
    with torch.no_grad():  # larger than at initialisation, so that attention is far from uniform
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)
    rows = PackedDialogues(
        dialogues(), seq_len=32, rows=16, micro_rows=3 if packed else 1, seed=0, packed=packed
    )
    means = accumulate(
        model, next_token, rows.batch(0), "cpu", after=lambda loss: loss.total.backward()
    )
    named = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return means, named


def test_packed_loss_and_gradients_equal_unpacked() -> None:
    packed, packed_gradients = gradients(packed=True)
    alone, alone_gradients = gradients(packed=False)
    assert packed["count"] == alone["count"] > 0
    assert packed["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert packed_gradients.keys() == alone_gradients.keys()
    for name, gradient in alone_gradients.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(
            packed_gradients[name], gradient, rtol=0, atol=1e-5 * max(1.0, scale)
        )


def test_the_objective_is_masked_cross_entropy() -> None:
    model = Transformer(CONFIG, seed=1)
    tokens = dialogues()
    rows = PackedDialogues(tokens, seq_len=32, rows=16, micro_rows=2, seed=0)
    total, count = 0.0, 0
    with torch.no_grad():
        for index in range(len(tokens)):
            ids, trained = tokens[index]
            text = torch.from_numpy(ids.astype(np.int64))[None]
            logits = model.logits(model(text[:, :-1]))
            mask = torch.from_numpy(trained[1:].copy())
            total += float(F.cross_entropy(logits[0, mask], text[0, 1:][mask], reduction="sum"))
            count += int(mask.sum())
    result = mean_loss(model, next_token, rows.once(), "cpu")
    assert result["count"] == count
    assert result["loss"] == pytest.approx(total / count, abs=1e-5)
    assert model.training  # evaluation leaves the mode as it was
