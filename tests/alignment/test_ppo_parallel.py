"""PPO on several processes is PPO on one: answers, figures, weights, checkpoints.

Two starts, of 2 gloo processes and of 1, run all cases (`ppo_ranks.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import save_model, save_reward_model
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.metrics import read_metrics
from tests.alignment.small import sharpened
from tests.training.launch import start

FSDP = {"parallel": "fsdp"}
LORA = {"lora": True}
GRPO = {"plan": {"estimator": "grpo", "answers": 2, "kl_weight": 0.1}}
BF16 = {"plan": {"dtype": "bf16"}}
# 7 answers and mini-batches of 3 come out uneven on 2 processes; the last has one answer.
UNEVEN = {"plan": {"batch": 7, "mini_batch": 3}, "heldout": 1}
CASES: dict[int, list[dict[str, Any]]] = {
    2: [
        {"name": "ddp-2"},
        {"name": "fsdp-2", **FSDP},
        {"name": "grpo-fsdp-2", **GRPO, **FSDP},
        {"name": "uneven-ddp-2", **UNEVEN},
        {"name": "uneven-fsdp-2", **UNEVEN, **FSDP},
        {"name": "lora-ddp-2", **LORA},
        {"name": "lora-fsdp-2", **LORA, **FSDP},
        {"name": "bf16-fsdp-2", **BF16, **FSDP},
        {"name": "moving-2", "folder": "moving", "stop": 2, **FSDP},
        {"name": "lora-moving-2", "folder": "lora-moving", "stop": 1, **LORA, **FSDP},
    ],
    1: [
        {"name": "one"},
        {"name": "grpo-one", **GRPO},
        {"name": "uneven-one", **UNEVEN},
        {"name": "lora-one", **LORA},
        {"name": "bf16-one", **BF16},
        {"name": "moving-1", "folder": "moving"},
        {"name": "lora-moving-1", "folder": "lora-moving", **LORA},
    ],
}


class Runs:
    """All cases, run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.said: dict[str, list[dict[str, Any]]] = {}
        self._folders = {c["name"]: c.get("folder", c["name"]) for cs in CASES.values() for c in cs}
        for world, cases in CASES.items():
            for results in start("tests.alignment.ppo_ranks", world, cases, folder):
                for name, said in results.items():
                    self.said.setdefault(name, []).append(said)

    def log(self, name: str, file: str) -> list[dict[str, Any]]:
        return read_metrics(self._folder / self._folders[name] / "log" / file)

    def weights(self, name: str) -> dict[str, Tensor]:
        return load_file(self._folder / self._folders[name] / "model.safetensors")

    def assert_same_run(self, name: str, reference: str, tolerance: float = 1e-4) -> None:
        for file in ("metrics.jsonl", "heldout.jsonl"):
            rows, expected_rows = self.log(name, file), self.log(reference, file)
            assert len(rows) == len(expected_rows) > 0
            for row, expected in zip(rows, expected_rows, strict=True):
                for key, value in expected.items():
                    if key == "samples":
                        assert [s["answer"] for s in row[key]] == [s["answer"] for s in value]
                    elif not key.startswith("seconds"):
                        assert row[key] == pytest.approx(value, rel=10 * tolerance, abs=tolerance)
        found, wanted = self.weights(name), self.weights(reference)
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            # Adam's first steps turn a gradient that is almost nothing into a whole step.
            torch.testing.assert_close(found[key], value, rtol=0, atol=20 * tolerance)


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, chatting: Transformer
) -> Runs:
    folder = tmp_path_factory.mktemp("ppo")
    save_model(folder / "model", chatting, vocabulary, chat=True, card="-")
    # Another shape than the policy's: nothing of one model may be taken for the other's.
    config = ModelConfig(
        dim=24, n_layers=1, n_heads=2, n_kv_heads=1, ffn_dim=40, vocab_size=vocabulary.size,
        max_seq_len=128,
    )  # fmt: skip
    for seed, name in enumerate(("helpfulness", "safety")):
        reward = sharpened(RewardModel(config, seed=seed))
        save_reward_model(folder / name, reward, vocabulary, card="-")
    return Runs(folder)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("case", ["", "uneven-", "lora-"])
def test_two_processes_run_ppo_as_one_does(runs: Runs, case: str, kind: str) -> None:
    """Whitening is over all answers, whoever sampled them; rewards, KL and clipping agree."""
    runs.assert_same_run(f"{case}{kind}-2", f"{case}one")


def test_groups_of_answers_are_compared_whole(runs: Runs) -> None:
    runs.assert_same_run("grpo-fsdp-2", "grpo-one")


def test_weights_gathered_in_bf16_sample_as_those_of_one_process(runs: Runs) -> None:
    first, alone = (
        runs.log("bf16-fsdp-2", "heldout.jsonl")[0],
        runs.log("bf16-one", "heldout.jsonl")[0],
    )
    assert [s["answer"] for s in first["samples"]] == [s["answer"] for s in alone["samples"]]
    assert first["kl"] == alone["kl"] == 0.0
    row, expected = (runs.log(name, "metrics.jsonl")[0] for name in ("bf16-fsdp-2", "bf16-one"))
    for key in ("score", "kl", "entropy", "explained_variance", "response_tokens", "value_loss"):
        assert row[key] == pytest.approx(expected[key], rel=1e-2), key


@pytest.mark.parametrize("case", ["", "lora-"])
def test_stopped_on_two_with_shards_and_continued_on_one(runs: Runs, case: str) -> None:
    assert runs.said[f"{case}moving-2"] == [{"stopped": 143}] * 2
    runs.assert_same_run(f"{case}moving-1", f"{case}one")


def test_adapters_leave_the_model_they_stand_beside(runs: Runs, chatting: Transformer) -> None:
    start, found = chatting.state_dict(), runs.weights("lora-fsdp-2")
    assert all(torch.equal(found[name], start[name]) for name in start)
    # The reference is that model: before the first step nothing lies between.
    assert runs.log("lora-one", "heldout.jsonl")[0]["kl"] == 0.0
    assert runs.log("lora-fsdp-2", "metrics.jsonl")[0]["kl"] == 0.0
    assert runs.log("lora-one", "metrics.jsonl")[-1]["kl"] != 0.0
