"""GGUF files, read by the `gguf` package and unpacked by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint, of_module
from llamakit.model.config import ModelConfig
from llamakit.model.exchange.gguf import write_gguf
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

gguf = pytest.importorskip("gguf")

Make = Callable[..., Transformer]


def written(model: Transformer | Checkpoint, vocabulary: Vocabulary, path: Path, dtype: str) -> Any:
    checkpoint = model if isinstance(model, Checkpoint) else of_module(model)
    write_gguf(path, checkpoint, vocabulary, dtype=dtype, name="tiny", chat_template="{{ x }}")
    return gguf.GGUFReader(path)


def value(reader: Any, key: str) -> Any:
    return reader.get_field(key).contents()


def unpacked(tensor: Any) -> Tensor:
    """The numbers of a tensor, by the layouts that GGUF's specification gives."""
    shape = [int(n) for n in reversed(tensor.shape)]
    raw = np.array(tensor.data).reshape(-1).view(np.uint8)
    kind = tensor.tensor_type.name
    if kind == "F32":
        numbers = raw.view("<f4")
    elif kind == "F16":
        numbers = raw.view("<f2").astype(np.float32)
    elif kind == "BF16":
        numbers = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    else:
        assert kind == "Q8_0"
        blocks = raw.reshape(-1, 34)  # a half-precision scale, then 32 signed bytes
        scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
        numbers = scales * blocks[:, 2:].copy().view(np.int8).astype(np.float32)
    return torch.from_numpy(np.array(numbers)).reshape(shape)


def as_llama_cpp(weight: Tensor, heads: int) -> Tensor:
    """Rows of queries or keys in the order in which llama.cpp turns them: neighbours together."""
    size = len(weight) // heads
    order = [
        head * size + index + half
        for head in range(heads)
        for index in range(size // 2)
        for half in (0, size // 2)
    ]
    return weight[order]


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def expected(model: Transformer) -> dict[str, Tensor]:
    config = model.config
    found = {}
    for name, weight in model.state_dict().items():
        if not name.startswith("model.layers."):
            told = {
                "model.embed_tokens.weight": "token_embd.weight",
                "model.norm.weight": "output_norm.weight",
                "lm_head.weight": "output.weight",
            }[name]
            found[told] = weight
            continue
        _, _, layer, part = name.removesuffix(".weight").split(".", 3)
        if part.endswith("q_proj"):
            weight = as_llama_cpp(weight, config.n_heads)  # noqa: PLW2901
        if part.endswith("k_proj"):
            weight = as_llama_cpp(weight, config.n_kv_heads)  # noqa: PLW2901
        found[f"blk.{layer}.{NAMES[part]}.weight"] = weight
    return found


def half_a_step(name: str, weight: Tensor, dtype: str) -> Tensor | float:
    """How far a number may be from what it stands for."""
    if weight.ndim == 1 or dtype == "f32":
        return 0.0
    if dtype == "bf16":
        return weight.abs() * 2**-8
    if dtype == "f16" or weight.shape[-1] % 32:
        return weight.abs() * 2**-11 + 2**-25
    blocks = weight.reshape(-1, 32)
    # Half a step of the block's scale, and the scale's own rounding to half precision.
    step = blocks.abs().amax(1, keepdim=True) / 127
    return (step * (0.5 + 127 * 2**-11)).expand(-1, 32).reshape(weight.shape) + 1e-7


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0"])
def test_every_weight(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, dtype: str, tied: bool
) -> None:
    model = make_model(tie_embeddings=tied, ffn_dim=80)  # 80 is no multiple of 32
    reader = written(model, vocabulary, tmp_path / "m.gguf", dtype)
    found = {tensor.name: tensor for tensor in reader.tensors}
    wanted = expected(model)
    assert set(found) == set(wanted)
    assert ("output.weight" in found) == (not tied)
    for name, weight in wanted.items():
        error = (unpacked(found[name]) - weight).abs()
        assert (error <= half_a_step(name, weight, dtype)).all(), name
    kinds = {name: tensor.tensor_type.name for name, tensor in found.items()}
    assert kinds["blk.0.attn_q.weight"] == dtype.upper()
    assert kinds["output_norm.weight"] == "F32"
    assert kinds["blk.0.ffn_down.weight"] == ("F16" if dtype == "q8_0" else dtype.upper())


def test_shape_and_vocabulary(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    model = make_model(rope_theta=500.0, head_width=32)
    reader = written(model, vocabulary, tmp_path / "m.gguf", "f16")
    config: ModelConfig = model.config
    for key, wanted in {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": config.max_seq_len,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.n_layers,
        "llama.feed_forward_length": config.ffn_dim,
        "llama.attention.head_count": config.n_heads,
        "llama.attention.head_count_kv": config.n_kv_heads,
        "llama.attention.key_length": 32,
        "llama.rope.dimension_count": 32,
        "llama.rope.freq_base": 500.0,
        "llama.vocab_size": config.vocab_size,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": "{{ x }}",
    }.items():
        assert value(reader, key) == wanted, key
    assert value(reader, "llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-5)
    pieces = value(reader, "tokenizer.ggml.tokens")
    assert pieces == [vocabulary.piece(i) for i in range(vocabulary.size)]
    assert value(reader, "tokenizer.ggml.scores") == [
        vocabulary.score(i) for i in range(vocabulary.size)
    ]
    kinds = value(reader, "tokenizer.ggml.token_type")
    assert kinds[:3] == [2, 3, 3]
    assert set(kinds[3:259]) == {6}
    assert set(kinds[259:]) == {1}


def test_numbers_that_half_precision_has_not(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    model = make_model()
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = 70_000.0
    for dtype in ("f16", "q8_0"):
        if dtype == "f16":
            with pytest.raises(InputError, match=r"up_proj.weight holds 7e\+04, more than f16 can"):
                written(model, vocabulary, tmp_path / "m.gguf", dtype)
        else:  # its scale is 551
            written(model, vocabulary, tmp_path / "m.gguf", dtype)
    reader = written(model, vocabulary, tmp_path / "m.gguf", "bf16")
    held = next(t for t in reader.tensors if t.name == "blk.1.ffn_up.weight")
    assert unpacked(held)[3, 4] == pytest.approx(70_000, rel=2**-8)


def test_without_the_package(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UsageError, match=r'pip install "llamakit\[export\]"'):
        written(make_model(), vocabulary, tmp_path / "m.gguf", "f16")
    assert not (tmp_path / "m.gguf").exists()
