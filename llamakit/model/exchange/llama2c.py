"""llama2.c's `.bin` files: a header of seven numbers, then all weights in a fixed order.

Version 0 has the bare header, and tables of the rotary angles among its weights; version 1 a magic
number and 256 bytes of header. Both hold float32. Later versions are quantized.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint, weight_shapes
from llamakit.model.config import ModelConfig

_MAGIC = 0x616B3432
_HEADER = struct.Struct("<7i")
_HEADER_1_BYTES = 256

_ATTENTION = tuple(f"self_attn.{part}_proj" for part in "qkvo")
_FEED_FORWARD = ("mlp.gate_proj", "mlp.down_proj", "mlp.up_proj")
_BEFORE, _BETWEEN = "input_layernorm", "post_attention_layernorm"


def open_llama2c(path: Path) -> Checkpoint:
    """The model in a `.bin` file.

    Raises:
        InputError: it is no such file, is cut off, or is quantized.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_1_BYTES)
    config, version, start = _header(head, size, str(path))
    # Every number of the header was held against the file's size before a weight is laid out.
    places: dict[str, int] = {}
    place = start
    shapes = weight_shapes(config)
    for name, count in _layout(config, version):
        if name in shapes:
            places[name] = place
        place += 4 * (count or shapes[name].numel())
    assert place == size

    def read(name: str) -> Tensor:
        shape = shapes[name]
        numbers = np.fromfile(path, "<f4", count=shape.numel(), offset=places[name])
        return torch.from_numpy(numbers).reshape(shape)

    return Checkpoint(config, torch.float32, read, str(path), pairs=True)


def _header(head: bytes, size: int, where: str) -> tuple[ModelConfig, int, int]:
    """Shape, version, and where the weights begin."""
    version, start = 0, _HEADER.size
    if len(head) < _HEADER.size:
        raise InputError("the file is too short for a model of llama2.c", where=where)
    if struct.unpack_from("<I", head)[0] == _MAGIC:
        version = struct.unpack_from("<i", head, 4)[0]
        if version != 1 or len(head) < _HEADER_1_BYTES:
            raise InputError(
                f"the file is llama2.c's version {version}; 0 and 1 are read",
                where=where,
                fix="Version 2 is quantized: write the model as version 1.",
            )
        start = _HEADER_1_BYTES
    numbers = _HEADER.unpack_from(head, 8 if version else 0)
    dim, ffn_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len = numbers
    # Version 0 tells a separate output layer by the vocabulary's sign.
    tied = bool(head[36]) if version else vocab_size > 0
    try:
        config = ModelConfig(
            dim=dim,
            n_layers=n_layers,
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            ffn_dim=ffn_dim,
            vocab_size=vocab_size if version else abs(vocab_size),
            max_seq_len=max_seq_len,
            tie_embeddings=tied,
        )
    except UsageError as error:
        raise InputError(f"the file is no model of llama2.c ({error.what})", where=where) from None
    angles = 0 if version else max_seq_len * config.head_dim
    wanted = start + 4 * (config.parameters() + angles)
    if wanted != size:
        raise InputError(
            f"the header asks for {wanted:,} bytes, and the file has {size:,}",
            where=where,
            fix="The file is cut off, or no model of llama2.c.",
        )
    return config, version, start


def _layout(config: ModelConfig, version: int) -> Iterator[tuple[str, int | None]]:
    """Names in the file's order; a count of numbers where it is no weight but a table."""

    def of_layers(*parts: str) -> Iterator[tuple[str, None]]:
        for part in parts:
            for layer in range(config.n_layers):
                yield f"model.layers.{layer}.{part}.weight", None

    if version:
        yield from of_layers(_BEFORE, _BETWEEN)
        yield "model.norm.weight", None
        yield "model.embed_tokens.weight", None
        yield from of_layers(*_ATTENTION, *_FEED_FORWARD)
    else:
        yield "model.embed_tokens.weight", None
        yield from of_layers(_BEFORE, *_ATTENTION, _BETWEEN, *_FEED_FORWARD)
        yield "model.norm.weight", None
        yield "angles", config.max_seq_len * config.head_dim
    if not config.tie_embeddings:
        yield "lm_head.weight", None
