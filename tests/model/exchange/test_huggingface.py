from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from llamakit.errors import InputError
from llamakit.model.checkpoint import Checkpoint
from llamakit.model.exchange.huggingface import open_huggingface
from llamakit.model.exchange.sources import named_files

Make = Callable[..., Path]


def opened(folder: Path) -> Checkpoint:
    return open_huggingface(named_files([folder]))


def to_pickles(folder: Path, parts: int) -> None:
    """The folder as older versions of transformers wrote it."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    if parts == 1:
        torch.save(weights, folder / "pytorch_model.bin")
        return
    places = {}
    for index in range(parts):
        file = f"pytorch_model-{index + 1:05d}-of-{parts:05d}.bin"
        mine = names[index::parts]
        torch.save({name: weights[name] for name in mine}, folder / file)
        places |= dict.fromkeys(mine, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("shard", ["5GB", "30KB"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_keep_value_and_precision(
    make_folder: Make, tensors: Any, shard: str, dtype: torch.dtype
) -> None:
    folder = make_folder(shard=shard, dtype=dtype)
    assert (len(list(folder.glob("*.safetensors"))) > 2) == (shard != "5GB")
    found, wanted = opened(folder), tensors(folder)
    assert found.dtype == dtype
    assert set(found.shapes) == set(wanted)
    assert all(torch.equal(found.read(name), value) for name, value in wanted.items())


@pytest.mark.parametrize("parts", [1, 3])
def test_pickled_weights(make_folder: Make, tensors: Any, parts: int) -> None:
    folder = make_folder()
    wanted = tensors(folder)
    to_pickles(folder, parts)
    found = opened(folder)
    assert all(torch.equal(found.read(name), value) for name, value in wanted.items())


def test_a_tied_copy_and_old_buffers_are_passed_over(make_folder: Make) -> None:
    folder = make_folder(tie_word_embeddings=True)
    weights = load_file(folder / "model.safetensors")
    assert "lm_head.weight" not in weights
    more = {
        "lm_head.weight": weights["model.embed_tokens.weight"].clone(),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(3),
    }
    save_file({**weights, **more}, folder / "model.safetensors")
    assert set(opened(folder).shapes) == set(weights)


def test_mixed_precisions_lose_nothing(make_folder: Make) -> None:
    folder = make_folder(dtype=torch.bfloat16)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = torch.full((48,), 1 + 2**-10, dtype=torch.float16)
    save_file(weights, folder / "model.safetensors")
    found = opened(folder)
    assert found.dtype == torch.float32
    assert torch.equal(found.read("model.norm.weight"), torch.full((48,), 1 + 2**-10))


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def with_weight(folder: Path, name: str, value: Tensor | None) -> None:
    weights = load_file(folder / "model.safetensors")
    weights.pop(name, None)
    save_file(weights if value is None else {**weights, name: value}, folder / "model.safetensors")


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "bias": (
        lambda f: with_weight(f, "model.layers.0.self_attn.q_proj.bias", torch.ones(48)),
        r"q_proj\.bias, for which this architecture has no place",
    ),
    "lacking": (lambda f: with_weight(f, "lm_head.weight", None), r"lack lm_head\.weight"),
    "more layers": (lambda f: change(f, num_hidden_layers=4), r"lack model\.layers\.3"),
    "terabytes": (lambda f: change(f, num_hidden_layers=10**9), r"asks for [0-9,]+ weights"),
    "wide": (lambda f: change(f, hidden_size=2**30), r"asks for [0-9,]+ weights"),
    "reward": (
        lambda f: change(f, architectures=["LlamaForSequenceClassification"]),
        "not a LlamaForCausalLM",
    ),
    "no architecture": (lambda f: change(f, architectures=[]), "not a LlamaForCausalLM"),
    "mistral": (lambda f: change(f, model_type="mistral"), "mistral"),
    "cut": (
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:-100]
        ),
        "not readable",
    ),
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "asks for"),
    "gone": (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors here"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders(make_folder: Make, name: str) -> None:
    folder = make_folder()
    breaks, message = BROKEN[name]
    breaks(folder)
    with pytest.raises(InputError, match=message):
        opened(folder)


@pytest.mark.parametrize("value", [torch.zeros(3, 3), torch.zeros(320, 48, dtype=torch.int8)])
def test_a_weight_of_another_shape_or_type(make_folder: Make, value: Tensor) -> None:
    folder = make_folder()
    with_weight(folder, "lm_head.weight", value)
    with pytest.raises(InputError, match=r"lm_head\.weight (has the shape \(3, 3\)|is stored as)"):
        opened(folder).read("lm_head.weight")


@pytest.mark.parametrize("where", ["../model.safetensors", "/etc/passwd", "missing.safetensors"])
def test_an_index_leads_to_the_files_given_only(make_folder: Make, where: str) -> None:
    folder = make_folder(shard="30KB")
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["lm_head.weight"] = where
    path.write_text(json.dumps(index))
    with pytest.raises(InputError, match="which is not there"):
        opened(folder)


def test_a_missing_shard(make_folder: Make) -> None:
    folder = make_folder(shard="30KB")
    lost = sorted(folder.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(InputError, match=lost.name):
        opened(folder)
