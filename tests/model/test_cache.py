from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer

Make = Callable[..., Transformer]
Rows = Callable[..., list[list[int]]]


def test_sized_by_key_value_heads(config: ModelConfig) -> None:
    cache = KVCache(config, 3, 10, dtype=torch.bfloat16)
    assert cache.keys[0].shape == (3, config.n_kv_heads, 10, config.head_dim)
    assert len(cache.keys) == len(cache.values) == config.n_layers
    assert cache.keys[0].dtype == torch.bfloat16


def test_a_shared_prefix_is_read_once(make_model: Make, rows: Rows) -> None:
    """Answers that share a question: its cache is repeated, and shortened back after them."""
    model = make_model()
    prefix, first, second = rows(8, 4, 4)
    cache = KVCache.for_model(model, model.config, rows=1, capacity=8)
    with torch.no_grad():
        model(torch.tensor([prefix]), cache=cache)
        both = cache.select(torch.tensor([0, 0]), capacity=12)
        for _ in range(2):
            found = model(torch.tensor([first, second]), cache=both)
            both.truncate(8)
            for row, answer in zip(found, (first, second), strict=True):
                torch.testing.assert_close(row, model(torch.tensor([prefix + answer]))[0, 8:])


def test_no_room_left(make_model: Make, rows: Rows) -> None:
    model = make_model()
    cache = KVCache.for_model(model, model.config, rows=1, capacity=4)
    with pytest.raises(ValueError, match="5 positions in a cache with room for 4"):
        model(torch.tensor(rows(5)), cache=cache)
