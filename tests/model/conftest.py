from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

import pytest
import torch

from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary

CONFIG = ModelConfig(
    dim=64, n_layers=3, n_heads=4, n_kv_heads=2, ffn_dim=96, vocab_size=320, max_seq_len=96
)


@pytest.fixture(autouse=True)
def global_generators() -> Iterator[None]:
    """No part of the room may draw from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A small vocabulary, as large as `config` says."""
    draws = random.Random(5)
    words = ["the", "river", "of", "Alder", "runs", "north", "Mira", "paid", "1984", "coins"]
    lines = [" ".join(draws.choices(words, k=9)) for _ in range(300)]
    return train_vocabulary(lines, tmp_path_factory.mktemp("vocabulary"), CONFIG.vocab_size)


@pytest.fixture
def config() -> ModelConfig:
    """A small shape with grouped queries."""
    return CONFIG


@pytest.fixture
def make_model() -> Callable[..., Transformer]:
    """Builds a small model with weights so large that its logits are far from equal."""

    def make(seed: int = 1, **changes: object) -> Transformer:
        model = Transformer(dataclasses.replace(CONFIG, **changes), seed).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(6.0)
        return model

    return make


@pytest.fixture
def rows() -> Callable[..., list[list[int]]]:
    """Draws rows of ids, each with a BOS, of the given lengths."""

    def draw(*lengths: int, seed: int = 0) -> list[list[int]]:
        draws = random.Random(seed)
        return [[1, *(draws.randrange(3, 320) for _ in range(n - 1))] for n in lengths]

    return draw
