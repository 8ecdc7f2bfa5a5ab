from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from llamakit.text.vocabulary import Vocabulary

transformers = pytest.importorskip("transformers")

SHAPE: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 320,
    "max_position_embeddings": 96,
    "pad_token_id": None,
}


@pytest.fixture
def make_folder(vocabulary: Vocabulary, tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny Llama as `transformers` does, with its `tokenizer.model`."""

    def make(
        name: str = "theirs",
        *,
        shard: str = "5GB",
        dtype: torch.dtype = torch.float32,
        **changes: Any,
    ) -> Path:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = transformers.LlamaForCausalLM(
                transformers.LlamaConfig(**{**SHAPE, **changes}, initializer_range=0.3)
            )
        folder = tmp_path / name
        model.to(dtype).save_pretrained(folder, max_shard_size=shard)
        shutil.copy(vocabulary.model_path, folder / "tokenizer.model")
        return folder

    return make


@pytest.fixture
def theirs() -> Callable[[Path, Tensor], Tensor]:
    """Logits of a folder's model as `transformers` computes them, [B, L, V]."""

    def logits(folder: Path, ids_BL: Tensor) -> Tensor:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            found: Tensor = model(ids_BL).logits
        return found

    return logits


@pytest.fixture
def tensors() -> Callable[[Path], dict[str, Tensor]]:
    """All weights of a folder by name, whatever files they lie in."""

    def read(folder: Path) -> dict[str, Tensor]:
        from safetensors.torch import load_file

        found: dict[str, Tensor] = {}
        for path in folder.glob("*.safetensors"):
            found |= load_file(path)
        return found

    return read


def meta_shards(weights: dict[str, Tensor], heads: int, kv_heads: int, count: int) -> list[Any]:
    """A Hugging Face state dict cut up as Meta's devices had it, one row at a time: slow, and by
    another way than the code under test."""

    def pairs(weight: Tensor, heads: int) -> Tensor:
        rows = list(weight)
        size = len(rows) // heads
        turned = []
        for head in range(heads):
            own = rows[head * size : (head + 1) * size]
            for index in range(size // 2):
                turned += [own[index], own[index + size // 2]]
        return torch.stack(turned)

    names = {
        "model.embed_tokens": ("tok_embeddings", 1),
        "model.norm": ("norm", None),
        "lm_head": ("output", 0),
        "self_attn.q_proj": ("attention.wq", 0),
        "self_attn.k_proj": ("attention.wk", 0),
        "self_attn.v_proj": ("attention.wv", 0),
        "self_attn.o_proj": ("attention.wo", 1),
        "mlp.gate_proj": ("feed_forward.w1", 0),
        "mlp.up_proj": ("feed_forward.w3", 0),
        "mlp.down_proj": ("feed_forward.w2", 1),
        "input_layernorm": ("attention_norm", None),
        "post_attention_layernorm": ("ffn_norm", None),
    }
    shards: list[dict[str, Tensor]] = [{"rope.freqs": torch.ones(3)} for _ in range(count)]
    for name, weight in weights.items():
        stem = name.removesuffix(".weight").removeprefix("model.layers.")
        layer, _, part = stem.partition(".")
        told, axis = names[part] if layer.isdigit() else names[name.removesuffix(".weight")]
        full = f"layers.{layer}.{told}.weight" if layer.isdigit() else f"{told}.weight"
        if told == "attention.wq":
            weight = pairs(weight, heads)  # noqa: PLW2901
        elif told == "attention.wk":
            weight = pairs(weight, kv_heads)  # noqa: PLW2901
        parts = [weight] * count if axis is None else weight.chunk(count, axis)
        for shard, own in zip(shards, parts, strict=True):
            shard[full] = own.clone()
    return shards


@pytest.fixture
def meta_folder(make_folder: Callable[..., Path], tensors: Any, tmp_path: Path) -> Any:
    """Writes the tiny Llama as Meta would have; gives both folders."""

    def make(count: int = 2, **params: Any) -> tuple[Path, Path]:
        source = make_folder(intermediate_size=128)
        folder = tmp_path / "meta"
        folder.mkdir()
        for index, shard in enumerate(meta_shards(tensors(source), 8, 4, count)):
            torch.save(shard, folder / f"consolidated.{index:02d}.pth")
        values = {
            "dim": 48, "n_layers": 3, "n_heads": 8, "n_kv_heads": 4, "multiple_of": 128,
            "norm_eps": 1e-6, "vocab_size": -1,
        }  # fmt: skip
        (folder / "params.json").write_text(json.dumps({**values, **params}), encoding="utf-8")
        shutil.copy(source / "tokenizer.model", folder)
        return folder, source

    return make
