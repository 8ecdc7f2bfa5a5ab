from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint, of_module
from llamakit.model.config import PRESETS, ModelConfig
from llamakit.model.exchange.meta import open_meta, params_of, read_params, write_meta
from llamakit.model.exchange.sources import named_files
from llamakit.model.transformer import Transformer


def opened(folder: Path) -> Checkpoint:
    return open_meta(named_files([folder]), 320, 96)


def read_all(folder: Path) -> None:
    found = opened(folder)
    for name in found.shapes:
        found.read(name)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_shards_become_the_model_they_were_cut_from(
    meta_folder: Any, tensors: Any, count: int
) -> None:
    folder, source = meta_folder(count)
    found, wanted = opened(folder), tensors(source)
    assert set(found.shapes) == set(wanted)
    assert all(torch.equal(found.read(name), value) for name, value in wanted.items())
    assert (found.config.vocab_size, found.config.ffn_dim) == (320, 128)


def test_llama_3s_embedding_is_cut_by_tokens(meta_folder: Any, tensors: Any) -> None:
    folder, source = meta_folder(2)
    wanted = tensors(source)["model.embed_tokens.weight"]
    for index, part in enumerate(wanted.chunk(2, 0)):
        path = folder / f"consolidated.{index:02d}.pth"
        shard = torch.load(path, weights_only=True)
        torch.save({**shard, "tok_embeddings.weight": part.clone()}, path)
    assert torch.equal(opened(folder).read("model.embed_tokens.weight"), wanted)


@pytest.mark.parametrize("name", PRESETS)
def test_params_of_every_preset_give_it_back(name: str, tmp_path: Path) -> None:
    config = ModelConfig(**PRESETS[name], vocab_size=32_000)
    (tmp_path / "params.json").write_text(json.dumps(params_of(config)))
    assert read_params(tmp_path / "params.json", 1, config.max_seq_len) == config


@pytest.mark.parametrize("ffn_dim", [1, 17, 96, 171, 172, 5000])
def test_params_of_any_feed_forward_width(
    config: ModelConfig, ffn_dim: int, tmp_path: Path
) -> None:
    config = ModelConfig(**{**vars(config), "ffn_dim": ffn_dim})
    (tmp_path / "params.json").write_text(json.dumps(params_of(config)))
    assert read_params(tmp_path / "params.json", 1, config.max_seq_len) == config


def test_llama_2s_own_params(tmp_path: Path) -> None:
    """The keys as Meta has them: 7B without grouped queries, 70B with."""
    path = tmp_path / "params.json"
    seven = {"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05}
    seventy = {
        "dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64,
        "n_kv_heads": 8, "n_layers": 80, "norm_eps": 1e-05,
    }  # fmt: skip
    for values, wanted in ((seven, 6_738_415_616), (seventy, 68_976_648_192)):
        path.write_text(json.dumps({**values, "vocab_size": -1}))
        assert read_params(path, 32_000, 4096).parameters() == wanted


def test_written_and_read_again(make_model: Any, tmp_path: Path) -> None:
    model: Transformer = make_model(tie_embeddings=True)
    write_meta(tmp_path, of_module(model), lambda: None)
    again = opened(tmp_path)
    assert not again.config.tie_embeddings
    for name, value in model.state_dict().items():
        assert torch.equal(again.read(name), value)
    assert torch.equal(again.read("lm_head.weight"), model.head_weight)
    with pytest.raises(UsageError, match="no key"):
        write_meta(tmp_path, of_module(make_model(head_width=8)), lambda: None)


def _spoil(folder: Path, index: int, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / f"consolidated.{index:02d}.pth"
    shard = torch.load(path, weights_only=True)
    change(shard)
    torch.save(shard, path)


def _params(folder: Path, **values: Any) -> None:
    path = folder / "params.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "lost last": (lambda f: (f / "consolidated.01.pth").unlink(), r"160 of the 320 rows"),
    "lost first": (lambda f: (f / "consolidated.00.pth").unlink(), r"consolidated\.00\.pth is mis"),
    "lost all": (lambda f: [p.unlink() for p in f.glob("*.pth")], r"no consolidated\.00\.pth"),
    "cut": (lambda f: _cut(f / "consolidated.01.pth"), "cut off"),
    "empty": (lambda f: (f / "consolidated.01.pth").write_bytes(b""), "cut off"),
    "other model": (lambda f: _spoil(f, 1, lambda s: s["norm.weight"].add_(1)), "different norm"),
    "other width": (
        lambda f: _spoil(
            f, 1, lambda s: s.update({"layers.1.attention.wq.weight": torch.ones(24, 9)})
        ),
        "do not fit together",
    ),
    "lacking": (lambda f: _spoil(f, 1, lambda s: s.pop("norm.weight")), "lack norm"),
    "more": (
        lambda f: _spoil(f, 0, lambda s: s.update(adapter=torch.ones(1))),
        "no place to adapter",
    ),
    "no table": (lambda f: torch.save([1, 2], f / "consolidated.00.pth"), "no table of tensors"),
    "not JSON": (lambda f: (f / "params.json").write_text("dim: 3"), "not valid JSON"),
    "a list": (lambda f: (f / "params.json").write_text("[]"), "not a JSON object"),
    "text": (lambda f: _params(f, dim="48"), "dim '48'; a whole number"),
    "fraction": (lambda f: _params(f, n_layers=2.5), "n_layers 2.5; a whole"),
    "negative": (lambda f: _params(f, n_heads=-8), "n_heads -8; a whole"),
    "null": (lambda f: _params(f, dim=None), "lacks the key 'dim'"),
    "terabytes": (lambda f: _params(f, n_layers=10**9), "asks for [0-9,]+ weights"),
    "multiple": (lambda f: _params(f, multiple_of=10**9), "asks for [0-9,]+ weights"),
    "infinite": (lambda f: _params(f, ffn_dim_multiplier=float("inf")), "a number above 0"),
    "heads": (lambda f: _params(f, n_heads=7), "does not divide"),
    "Llama 3.1": (lambda f: _params(f, use_scaled_rope=True), "later Llama"),
    "other size": (lambda f: _params(f, multiple_of=96), "shape"),
    "vocabulary": (lambda f: _params(f, vocab_size=500), "320 of the 500 rows"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders(meta_folder: Any, name: str) -> None:
    folder, _ = meta_folder(2)
    breaks, message = BROKEN[name]
    breaks(folder)
    with pytest.raises(InputError, match=message):
        read_all(folder)
