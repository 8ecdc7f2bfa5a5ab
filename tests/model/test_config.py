from __future__ import annotations

import sys
from subprocess import run
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from llamakit.errors import InputError, UsageError
from llamakit.model.config import PRESETS, ModelConfig, ffn_dim_for
from llamakit.model.transformer import Transformer

LLAMA2 = {  # paper's four sizes: width of the feed-forward layer, and all weights
    "llama2-7b": (11_008, 6_738_415_616),
    "llama2-13b": (13_824, 13_015_864_320),
    "llama2-34b": (22_016, 33_743_970_304),
    "llama2-70b": (28_672, 68_976_648_192),
}


@pytest.mark.parametrize("name", LLAMA2)
def test_llama_2_sizes(name: str) -> None:
    config = ModelConfig(**PRESETS[name], vocab_size=32_000)
    with torch.device("meta"):
        model = Transformer(config)
    built = sum(weight.numel() for weight in model.parameters())
    assert (config.ffn_dim, config.parameters(), built) == (*LLAMA2[name], LLAMA2[name][1])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("n_heads", "n_kv_heads", "width"), [(4, 4, 6), (4, 1, 32), (2, 2, 10)])
def test_heads_of_a_width_of_their_own(
    config: ModelConfig, n_heads: int, n_kv_heads: int, width: int, tied: bool
) -> None:
    changed = ModelConfig(
        **{
            **vars(config),
            "n_heads": n_heads,
            "n_kv_heads": n_kv_heads,
            "head_width": width,
            "tie_embeddings": tied,
        }
    )
    model = Transformer(changed)
    assert sum(weight.numel() for weight in model.parameters()) == changed.parameters()
    assert model.model.layers[0].self_attn.o_proj.weight.shape == (config.dim, n_heads * width)
    assert ModelConfig.from_huggingface(changed.to_huggingface()) == changed


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_module(name: str) -> None:
    config = ModelConfig(**PRESETS[name], vocab_size=32_000)
    with torch.device("meta"):
        model = Transformer(config)
    assert sum(weight.numel() for weight in model.parameters()) == config.parameters()


def test_tied_embeddings_are_counted_once(config: ModelConfig) -> None:
    tied = ModelConfig(**{**vars(config), "tie_embeddings": True})
    assert sum(weight.numel() for weight in Transformer(tied).parameters()) == tied.parameters()
    assert config.parameters() - tied.parameters() == config.vocab_size * config.dim


def test_width_of_the_feed_forward_layer() -> None:
    assert ffn_dim_for(4096) == 11_008
    assert ffn_dim_for(8192, 4096, 1.3) == 28_672
    assert ffn_dim_for(288, 32) == 768


@pytest.mark.parametrize("change", [{}, {"tie_embeddings": True}, {"head_width": 6}])
def test_flops_are_what_torch_counts(config: ModelConfig, change: dict[str, Any]) -> None:
    config = ModelConfig(**{**vars(config), **change})
    rows, length = 2, config.max_seq_len
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = Transformer(config)
        ids_BL = torch.zeros(rows, length, dtype=torch.int64)
        model.logits(model(ids_BL)).sum().backward()
    assert counter.get_total_flops() == config.flops_per_token(length) * rows * length


@pytest.mark.parametrize(
    "change",
    [{"n_heads": 7}, {"n_kv_heads": 3}, {"dim": 4}, {"n_layers": 0}, {"vocab_size": -1}],
)
def test_numbers_that_do_not_fit(config: ModelConfig, change: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        ModelConfig(**{**vars(config), **change})


def test_huggingface_and_back(config: ModelConfig) -> None:
    assert ModelConfig.from_huggingface(config.to_huggingface()) == config


def test_huggingface_written_by_transformers(config: ModelConfig) -> None:
    from transformers import LlamaConfig

    values = LlamaConfig(**config.to_huggingface()).to_dict()
    assert ModelConfig.from_huggingface(values) == config


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "scaled rotary"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "scaled rotary"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "scaled rotary"),
        ({"attention_bias": True}, "attention_bias"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"model_type": "mistral"}, "mistral"),
        ({"head_dim": 31}, "width 31 is not even"),
        ({"head_dim": 0}, "head_dim 0; a whole number"),
        ({"head_dim": "16"}, "head_dim '16'; a whole number"),
        ({"quantization_config": {}}, "quantized"),
        ({"vocab_size": "320"}, "vocab_size '320'; a whole number"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers 2.5; a whole number"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers 1000000000000; a whole number"),
        ({"num_attention_heads": True}, "num_attention_heads True; a whole number"),
        ({"hidden_size": None}, "lacks the key 'hidden_size'"),
        ({"rope_theta": "large"}, "rope_theta 'large'; a number above 0"),
        ({"rope_theta": float("nan")}, "rope_theta nan; a number above 0"),
        ({"rms_norm_eps": -1}, "rms_norm_eps -1; a number above 0"),
        ({"rope_scaling": 3}, "rope_scaling 3; a table"),
        ({"rope_parameters": [1]}, "rope_parameters .1.; a table"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings 'yes'; true or false"),
        ({"num_attention_heads": 3}, "n_heads 3 does not divide dim"),
    ],
)
def test_what_is_not_supported_is_refused(
    config: ModelConfig, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        ModelConfig.from_huggingface({**config.to_huggingface(), **change})


def test_null_is_a_key_left_out(config: ModelConfig) -> None:
    values = {**config.to_huggingface(), "num_key_value_heads": None, "rope_theta": None}
    read = ModelConfig.from_huggingface(values)
    assert (read.n_kv_heads, read.rope_theta) == (config.n_heads, 10_000.0)


def test_missing_key(config: ModelConfig) -> None:
    values = config.to_huggingface()
    del values["hidden_size"]
    with pytest.raises(InputError, match="hidden_size"):
        ModelConfig.from_huggingface(values)


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, llamakit.model.config; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
