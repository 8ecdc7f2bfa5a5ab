"""Stages that train on pairs, on two processes of torchrun: what one process makes."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from llamakit.artifacts.store import Store
from llamakit.stages.dpo import Dpo
from llamakit.stages.produce import produce
from llamakit.stages.rm import Rm
from llamakit.training.metrics import read_metrics
from tests.training.launch import end, torchrun

SETTINGS = {"batch_pairs": 5, "tokens_at_once": 128, "lr": 1e-3, "heldout_share": 0.25}
STAGES = {
    "rm": (Rm, {"mix": ("safety-pairs",), "kind": "helpfulness"}),
    "dpo": (Dpo, {}),
}


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", STAGES)
def test_two_processes_make_what_one_does(stocked: Store, name: str, parallel: str) -> None:
    kind, own = STAGES[name]
    config = {**SETTINGS, **own, "preferences": ("helpfulness-pairs",), "model": "chat"}
    alone = produce(kind(**config, device="cpu"), stocked, name="alone").version
    words = [name, "helpfulness-pairs", "--model", "chat", "--device", "cpu"]
    for key, value in (SETTINGS | own).items():
        flag = "--" + key.replace("_", "-")
        words += [flag, *value] if isinstance(value, tuple) else [flag, str(value)]
    status, _, errors = end(
        torchrun(stocked.root, *words, "--parallel", parallel, "--name", "together", "--force")
    )
    assert status == 0, errors
    together = stocked.resolve("together")
    assert together.record.config == alone.record.config
    rows, expected = (
        read_metrics(version.path / "log" / "metrics.jsonl") for version in (together, alone)
    )
    assert len(rows) == len(expected) > 1
    for row, wanted in zip(rows, expected, strict=True):
        assert row["loss"] == pytest.approx(wanted["loss"], abs=1e-4)
    tensors, wanted_tensors = (
        load_file(version.path / "model.safetensors") for version in (together, alone)
    )
    for key, tensor in wanted_tensors.items():
        torch.testing.assert_close(tensors[key], tensor, rtol=1e-3, atol=1e-4)
