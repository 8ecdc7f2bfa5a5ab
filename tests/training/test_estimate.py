"""Memory, time, energy and carbon, against the paper's table and against what torch keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from llamakit.errors import UsageError
from llamakit.model.config import PRESETS, ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.training.estimate import (
    DEVICES,
    MFU,
    device_hours,
    footprint,
    kind_of,
    memory_parts,
    named_devices,
)
from llamakit.training.plan import Precision

# Table 2 of the paper: GPU hours, watts, tonnes of CO2 equivalent; two trillion tokens each.
TABLE = {
    "llama2-7b": (184_320, 400, 31.22),
    "llama2-13b": (368_640, 400, 62.44),
    "llama2-34b": (1_038_336, 350, 153.90),
    "llama2-70b": (1_720_320, 400, 291.42),
}


def llama2(name: str) -> ModelConfig:
    return ModelConfig(**PRESETS[name], vocab_size=32_000)


def test_the_papers_table_of_carbon() -> None:
    tonnes = {name: footprint(hours, watts).tonnes for name, (hours, watts, _) in TABLE.items()}
    for name, (_, _, printed) in TABLE.items():
        assert tonnes[name] == pytest.approx(printed, abs=0.01)
    assert sum(tonnes.values()) == pytest.approx(539.00, abs=0.01)


def test_pue_and_grid_can_be_others() -> None:
    made = footprint(1000, 500, pue=1.2, carbon=0.05)
    assert (made.kwh, made.tonnes) == pytest.approx((600.0, 0.03))


@pytest.mark.parametrize("name", TABLE)
def test_the_papers_hours_are_about_those_of_the_assumed_mfu(name: str) -> None:
    flops = 2e12 * llama2(name).flops_per_token(4096)
    reckoned = device_hours(flops, DEVICES["a100-80gb"].peak["bf16"], MFU)
    assert reckoned == pytest.approx(TABLE[name][0], rel=0.2)


def test_bytes_of_weights_gradients_and_optimizer_are_exact() -> None:
    config = llama2("llama2-7b")
    assert sum(memory_parts(config, "fp32").values()) == 16 * 6_738_415_616
    assert sum(memory_parts(config, "bf16").values()) == 20 * 6_738_415_616


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_activations_are_what_the_model_keeps(dtype: Precision, kv_heads: int) -> None:
    config = ModelConfig(
        dim=64, n_layers=3, n_heads=4, n_kv_heads=kv_heads, ffn_dim=176, vocab_size=50,
        max_seq_len=128,
    )  # fmt: skip
    rows, length = 3, 128
    model = Transformer(config).to(torch.float32 if dtype == "fp32" else torch.bfloat16)
    kept = bytes_kept(model, torch.zeros(rows, length, dtype=torch.int64))
    parts = memory_parts(config, dtype, rows=rows, seq_len=length)
    assert parts["activations"] == pytest.approx(kept, rel=0.1)


def bytes_kept(model: Transformer, ids_BL: Tensor) -> int:
    """Bytes that a forward pass keeps for its backward pass, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(ids_BL)
    return sum(size for size, _ in kept.values())


def test_sharding_recomputation_and_tensor_parallelism_save_memory() -> None:
    config = llama2("llama2-70b")

    def total(**how: Any) -> int:
        return sum(memory_parts(config, "bf16", rows=1, seq_len=4096, **how).values())

    fits = DEVICES["a100-80gb"].memory
    assert total() > 1000 * 2**30
    assert total(shards=2048) > fits > total(shards=2048, recompute=True)
    assert total(shards=256, tensor=8) < total(shards=2048)
    owned = memory_parts(config, "bf16", shards=2048)
    assert sum(v for k, v in owned.items() if k != "gathered layers") == pytest.approx(
        16 * config.parameters() / 2048, rel=1e-6
    )


def test_devices_by_name() -> None:
    assert named_devices("h100") == (1, DEVICES["h100"])
    assert named_devices("2048xA100-80GB") == (2048, DEVICES["a100-80gb"])
    for wrong, said in (("a100-80", "Did you mean 'a100-80gb'"), ("0xl4", "no number"), ("", "")):
        with pytest.raises(UsageError) as caught:
            named_devices(wrong)
        assert said in str(caught.value)


def test_gpus_as_their_driver_calls_them() -> None:
    names = {
        "NVIDIA A100-SXM4-80GB": "a100-80gb",
        "NVIDIA H100 80GB HBM3": "h100",
        "NVIDIA H200": "h200",
        "NVIDIA B200": "b200",
        "NVIDIA L4": "l4",
        "NVIDIA A100-SXM4-40GB": None,
        "NVIDIA H100 PCIe": None,
        "NVIDIA L40S": None,
    }
    for name, kind in names.items():
        found = kind_of(name)
        assert (found.name if found else None) == kind
