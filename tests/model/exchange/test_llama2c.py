from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from llamakit.errors import InputError
from llamakit.model.exchange.llama2c import open_llama2c
from llamakit.model.transformer import Transformer

Make = Callable[..., Transformer]


def pairs(weight: Tensor, heads: int) -> Tensor:
    size = len(weight) // heads
    order = [
        head * size + index + half
        for head in range(heads)
        for index in range(size // 2)
        for half in (0, size // 2)
    ]
    return weight[order]


def written(model: Transformer, path: Path, version: int) -> bytes:
    """The file that llama2.c's own program writes, part by part as its readers take it."""
    config = model.config
    weights = model.state_dict()

    def layers(part: str, heads: int | None = None) -> list[Tensor]:
        found = [weights[f"model.layers.{i}.{part}.weight"] for i in range(config.n_layers)]
        return [pairs(each, heads) for each in found] if heads else found

    attention = [
        *layers("self_attn.q_proj", config.n_heads),
        *layers("self_attn.k_proj", config.n_kv_heads),
        *layers("self_attn.v_proj"),
        *layers("self_attn.o_proj"),
    ]
    forward = [*layers("mlp.gate_proj"), *layers("mlp.down_proj"), *layers("mlp.up_proj")]
    before, between = layers("input_layernorm"), layers("post_attention_layernorm")
    embedding, norm = weights["model.embed_tokens.weight"], weights["model.norm.weight"]
    angles = torch.full((config.max_seq_len, config.head_dim), 7.0)
    head = [] if config.tie_embeddings else [weights["lm_head.weight"]]
    sign = 1 if config.tie_embeddings or version else -1
    numbers = struct.pack(
        "<7i",
        config.dim,
        config.ffn_dim,
        config.n_layers,
        config.n_heads,
        config.n_kv_heads,
        sign * config.vocab_size,
        config.max_seq_len,
    )
    if version:
        start = struct.pack("<Ii", 0x616B3432, version) + numbers
        start = (start + bytes([config.tie_embeddings])).ljust(256, b"\0")
        parts = [*before, *between, norm, embedding, *attention, *forward, *head]
    else:
        start = numbers
        parts = [embedding, *before, *attention, *between, *forward, norm, angles, *head]
    data = start + b"".join(np.asarray(each, "<f4").tobytes() for each in parts)
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("version", [0, 1])
def test_every_weight(make_model: Make, tmp_path: Path, version: int, tied: bool) -> None:
    # A feed-forward width equal to the model's: matrices in a wrong place would pass unnoticed by
    # their shape.
    model = make_model(ffn_dim=64, n_kv_heads=4, tie_embeddings=tied)
    written(model, tmp_path / "model.bin", version)
    found = open_llama2c(tmp_path / "model.bin")
    assert found.config == model.config
    for name, value in model.state_dict().items():
        assert torch.equal(found.read(name), value), name


@pytest.mark.parametrize("version", [0, 1])
def test_cut_or_longer_files(make_model: Make, tmp_path: Path, version: int) -> None:
    path = tmp_path / "model.bin"
    whole = written(make_model(), path, version)
    for size in (0, 3, 28, 40, 255, 256, 300, len(whole) // 2, len(whole) - 4, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"too short|asks for|no model|version 1;"):
            open_llama2c(path)
    path.write_bytes(whole + b"\0\0\0\0")
    with pytest.raises(InputError, match=r"asks for [0-9,]+ bytes"):
        open_llama2c(path)


@pytest.mark.parametrize(
    "numbers",
    [
        (2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1, 1, 2**31 - 1, 2**31 - 1),
        (64, 172, 2**31 - 1, 8, 4, 512, 512),
        (64, 172, 5, 8, 4, 512, 2**31 - 1),
        (64, 172, 5, 8, 4, -(2**31), 512),
        (0, 0, 0, 0, 0, 0, 0),
        (-64, 172, 5, 8, 4, 512, 512),
        (64, 172, 5, 7, 4, 512, 512),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
def test_headers_that_ask_for_terabytes_or_nonsense(
    tmp_path: Path, numbers: tuple[int, ...], version: int
) -> None:
    head = struct.pack("<7i", *numbers)
    if version:
        head = (struct.pack("<Ii", 0x616B3432, 1) + head).ljust(256, b"\0")
    (tmp_path / "model.bin").write_bytes(head + b"\0" * 4096)
    with pytest.raises(InputError, match=r"asks for [0-9,]+ bytes|no model of llama2\.c"):
        open_llama2c(tmp_path / "model.bin")


def test_a_quantized_file(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(struct.pack("<Ii", 0x616B3432, 2).ljust(512, b"\0"))
    with pytest.raises(InputError, match=r"version 2; 0 and 1 are read.*quantized"):
        open_llama2c(tmp_path / "model.bin")
