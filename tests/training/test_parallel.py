"""Many processes train as one does: curves, weights, checkpoints, stops and anomalies.

Three starts of 2, 1 and 4 gloo processes run all cases (`ranks.py`).
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.training.batches import Batch
from llamakit.training.metrics import read_metrics
from llamakit.training.objectives import next_token
from llamakit.training.parallel import box_of
from llamakit.training.recompute import recompute_blocks
from llamakit.training.share import Share
from llamakit.training.tensor_parallel import split_dim
from tests.training.launch import start
from tests.training.ranks import SHAPE

SPEEDS = {"tokens_per_s", "wait_share"}
FSDP = {"parallel": "fsdp"}
BF16 = {"plan": {"dtype": "bf16", "lr": 2e-3}}
POISON = {"rows": {"poisoned": True}, "plan": {"on_anomaly": "skip"}}
ROLLBACK = {
    "rows": {"poisoned": True},
    "plan": {"on_anomaly": "rollback", "rollback_every": 2},
}
LORA = {"lora": True}
TIED = {"shape": {"tie_embeddings": True}}

# By the number of processes, in the order in which they are started: a case with a folder goes on
# where the one before stopped.
CASES: dict[int, list[dict[str, Any]]] = {
    2: [
        {"name": "ddp-2"},
        {"name": "ddp-2-again"},
        {"name": "fsdp-2", **FSDP},
        {"name": "tensor-2", "tensor": 2},
        {"name": "bf16-fsdp-2", **BF16, **FSDP},
        {"name": "bf16-ddp-2", **BF16},
        {"name": "bf16-tensor-2", **BF16, "tensor": 2},
        {"name": "tied-fsdp-2", **TIED, **FSDP},
        {"name": "recompute-fsdp-2", **FSDP, "plan": {"recompute": "blocks"}},
        {"name": "recompute-tensor-2", "tensor": 2, "plan": {"recompute": "blocks"}},
        {"name": "few-fsdp-2", "rows": {"rows": 1}, **FSDP},
        {"name": "poison-fsdp-2", **POISON, **FSDP},
        {"name": "rollback-fsdp-2", **ROLLBACK, **FSDP},
        {"name": "moving-2", "folder": "moving", **FSDP, "stop": 3},
        {"name": "stopped-ddp-2", "folder": "stopped", "stop": 5},
        {"name": "lora-ddp-2", **LORA},
        {"name": "lora-fsdp-2", **LORA, **FSDP},
        {"name": "lora-moving-2", "folder": "lora-moving", **LORA, **FSDP, "stop": 3},
        {"name": "lora-bf16-fsdp-2", **LORA, **BF16, **FSDP},
    ],
    1: [
        {"name": "one"},
        {"name": "bf16-one", **BF16},
        {"name": "tied-one", **TIED},
        {"name": "few-one", "rows": {"rows": 1}},
        {"name": "recompute-one", "plan": {"recompute": "blocks"}},
        {"name": "poison-one", **POISON},
        {"name": "rollback-one", **ROLLBACK},
        {"name": "moving-1", "folder": "moving", "stop": 5},
        {"name": "stopped-1", "folder": "stopped"},
        {"name": "lora-one", **LORA},
        {"name": "lora-bf16-one", **LORA, **BF16},
        {"name": "lora-moving-1", "folder": "lora-moving", **LORA},
    ],
    4: [
        {"name": "ddp-4"},
        {"name": "fsdp-4", **FSDP},
        {"name": "tensor-2x2", "tensor": 2},
        {"name": "fsdp-tensor-2x2", "tensor": 2, **FSDP},
        {"name": "meta-fsdp-tensor-2x2", "tensor": 2, "meta": True, **FSDP},
        {"name": "uneven", "tensor": 4},
        {"name": "moving-4", "folder": "moving", "tensor": 2, **FSDP},
    ],
}


class Runs:
    """All cases, run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folders = {
            case["name"]: case.get("folder", case["name"]) for cs in CASES.values() for case in cs
        }
        self._said = [
            results
            for world, cases in CASES.items()
            for results in start("tests.training.ranks", world, cases, folder)
        ]

    def said(self, name: str) -> list[dict[str, Any]]:
        """What every process says of a case."""
        return [results[name] for results in self._said if name in results]

    def rows(self, name: str) -> list[dict[str, Any]]:
        return read_metrics(self._folder / self._folders[name] / "log" / "metrics.jsonl")

    def anomalies(self, name: str) -> str:
        return (self._folder / self._folders[name] / "log" / "anomalies.jsonl").read_text()

    def weights(self, name: str) -> dict[str, Tensor]:
        return load_file(self._folder / self._folders[name] / "model.safetensors")

    def assert_same_run(self, name: str, reference: str, tolerance: float = 1e-5) -> None:
        """Losses, gradient norms and weights are those of another run."""
        for row, expected in zip(self.rows(name), self.rows(reference), strict=True):
            assert (row["step"], row["tokens"]) == (expected["step"], expected["tokens"])
            assert set(row) - SPEEDS == set(expected) - SPEEDS
            for figure in {"loss", "validation_loss"} & set(expected):
                assert row[figure] == pytest.approx(expected[figure], abs=tolerance)
            if "grad_norm" in expected:
                assert row["grad_norm"] == pytest.approx(expected["grad_norm"], rel=10 * tolerance)
        found, expected_weights = self.weights(name), self.weights(reference)
        assert set(found) == set(expected_weights)
        for key, value in expected_weights.items():
            assert found[key].dtype == value.dtype
            # Adam's first steps turn a gradient that is almost nothing into a whole step.
            torch.testing.assert_close(found[key], value, rtol=0, atol=50 * tolerance)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize(
    "name",
    ["ddp-2", "ddp-4", "fsdp-2", "fsdp-4", "tensor-2", "tensor-2x2", "fsdp-tensor-2x2",
     "recompute-fsdp-2", "recompute-tensor-2"],
)  # fmt: skip
def test_any_number_of_processes_trains_as_one_does(runs: Runs, name: str) -> None:
    runs.assert_same_run(name, "one")


@pytest.mark.parametrize("name", ["tied", "few", "poison", "rollback"])
def test_shards_train_as_one_process_does(runs: Runs, name: str) -> None:
    """One matrix at both ends; fewer rows than processes; batches passed over or rolled back."""
    runs.assert_same_run(f"{name}-fsdp-2", f"{name}-one")


@pytest.mark.parametrize("name", ["lora-ddp-2", "lora-fsdp-2", "lora-moving-1"])
def test_adapters_train_as_on_one_process(runs: Runs, name: str) -> None:
    """A rank of 3 does not divide evenly; and a run on 2 with shards goes on alone."""
    runs.assert_same_run(name, "lora-one")
    start, end = Transformer(SHAPE, seed=3).state_dict(), runs.weights(name)
    assert all(torch.equal(end[key], start[key]) for key in start)


def test_adapters_in_mixed_precision(runs: Runs) -> None:
    runs.assert_same_run("lora-bf16-fsdp-2", "lora-bf16-one", 1e-5)


def test_an_anomaly_of_one_process_is_that_of_all(runs: Runs) -> None:
    for name in ("poison", "rollback"):
        (alone,), shared = runs.said(f"{name}-one"), runs.said(f"{name}-fsdp-2")
        assert shared == [alone, alone]
        assert alone["passed_over"] >= 1
        assert runs.anomalies(f"{name}-fsdp-2") == runs.anomalies(f"{name}-one")


@pytest.mark.parametrize(("kind", "tolerance"), [("fsdp", 1e-5), ("ddp", 1e-5), ("tensor", 5e-4)])
def test_mixed_precision_is_close_to_that_of_one_process(
    runs: Runs, kind: str, tolerance: float
) -> None:
    """Sums of divided layers are of numbers that were rounded to bf16 already."""
    runs.assert_same_run(f"bf16-{kind}-2", "bf16-one", tolerance)


def test_the_same_processes_give_the_same_bytes(runs: Runs) -> None:
    first, second = runs.weights("ddp-2"), runs.weights("ddp-2-again")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_parts_drawn_one_by_one_are_those_of_the_whole_model(runs: Runs) -> None:
    """From the meta device, where no process ever holds the model."""
    whole, parts = runs.weights("fsdp-tensor-2x2"), runs.weights("meta-fsdp-tensor-2x2")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_recomputation_changes_no_byte(runs: Runs) -> None:
    kept, recomputed = runs.weights("one"), runs.weights("recompute-one")
    assert all(torch.equal(kept[name], recomputed[name]) for name in kept)
    sharded, again = runs.weights("fsdp-2"), runs.weights("recompute-fsdp-2")
    assert all(torch.equal(sharded[name], again[name]) for name in sharded)


def test_one_process_that_is_asked_to_stop_stops_all(runs: Runs) -> None:
    assert runs.said("moving-2") == [{"stopped": 143}] * 2
    assert runs.said("stopped-ddp-2") == [{"stopped": 143}] * 2


def test_a_run_goes_on_with_another_number_of_processes(runs: Runs) -> None:
    """Stopped on 2 with shards, on 1, and ended on 2 x 2 with divided layers; and 2 to 1."""
    runs.assert_same_run("moving-4", "one")
    runs.assert_same_run("stopped-1", "one")


def test_layers_that_do_not_divide_are_refused(runs: Runs) -> None:
    (error,) = {said["error"] for said in runs.said("uneven")}
    assert error.startswith("tensor_parallel 4 does not divide 2 key-value heads")


@pytest.mark.parametrize(
    ("shape", "dim"), [((8, 6), None), ((8, 6), 0), ((7, 6), 1), ((2, 6), 0), ((5,), None)]
)
@pytest.mark.parametrize(("tensor", "data"), [(1, 4), (2, 1), (2, 4), (1, 3)])
def test_parts_make_the_whole(
    shape: tuple[int, ...], dim: int | None, tensor: int, data: int
) -> None:
    seen = torch.zeros(shape, dtype=torch.int64)
    for t, d in product(range(tensor), range(data)):
        box = box_of(shape, dim, Share(t, tensor), Share(d, data))
        slices = tuple(slice(o, o + n) for o, n in zip(box.offsets, box.extent, strict=True))
        assert seen[slices].shape == box.extent
        seen[slices] += 1
    assert seen.unique().tolist() == [1 if dim is not None else tensor]


def test_what_is_divided_among_tensor_parallel_processes() -> None:
    with torch.device("meta"):
        model = Transformer(
            ModelConfig(
                dim=8, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=16, vocab_size=9, max_seq_len=4
            )
        )
    dims = {name.removeprefix("model.layers.0."): split_dim(name) for name in model.state_dict()}
    assert dims == {
        "self_attn.q_proj.weight": 0, "self_attn.k_proj.weight": 0, "self_attn.v_proj.weight": 0,
        "self_attn.o_proj.weight": 1, "mlp.gate_proj.weight": 0, "mlp.up_proj.weight": 0,
        "mlp.down_proj.weight": 1, "input_layernorm.weight": None,
        "post_attention_layernorm.weight": None, "model.embed_tokens.weight": None,
        "model.norm.weight": None, "lm_head.weight": None,
    }  # fmt: skip


def test_recomputation_keeps_a_fraction_of_the_activations() -> None:
    config = ModelConfig(
        dim=64, n_layers=4, n_heads=4, n_kv_heads=4, ffn_dim=172, vocab_size=97, max_seq_len=64
    )
    ids_BL = torch.arange(4 * 64).view(4, 64) % 97
    batch = Batch(
        ids_BL=ids_BL, targets_BL=ids_BL, mask_BL=torch.ones_like(ids_BL).bool(),
        segments_BL=None, positions_BL=None, tokens=256,
    )  # fmt: skip

    def kept(recompute: bool) -> int:
        model = Transformer(config)
        if recompute:
            recompute_blocks(model)
        weights = {p.data_ptr() for p in model.parameters()}
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.data_ptr() not in weights:
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = next_token(model, batch).total
        total = sum(sizes.values())
        loss.backward()
        return total

    assert kept(True) < 0.35 * kept(False)
