"""Stages that train and sample killed at random many times: do they make the same bytes?

    python tests/bench/alignment_kills.py [--kills 10] [--seed 0] [--stages sft rm ppo …]
        [--store FOLDER]

On the micro pipeline of the contract tests, whose models have some thousand weights. Checkpoints
and shards are as small as they go, so that there is something to go on from wherever a kill falls.
What is checked stands in `killing.survives`. Commands are forks of
this process, which has loaded their modules. FOLDER has the micro pipeline in it already.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import killing
import torch
from killing import survives

MICRO = Path(__file__).parents[1] / "contract" / "micro.toml"
TRAINED = ["--checkpoint-every", "1", "--lr", "3e-3"]
ADAPTERS = ["--lora-rank", "2", "--lora-targets", "q_proj", "--lora-targets", "down_proj"]
PPO = [
    "ppo", "--prompts", "prompts", "--model", "chat", "--helpfulness", "helpfulness", "--safety",
    "safety", "--iterations", "12", "--batch", "8", "--mini-batch", "4", "--max-new-tokens", "6",
    "--value-lr", "3e-3", "--critic-warmup", "1", "--heldout-share", "0.3", "--eval-every", "3",
    "--patience", "9", *TRAINED,
]  # fmt: skip
SFT = [
    "sft", "--dialogues", "dialogues", "--model", "base", "--preset", "toy", "--epochs", "2",
    *TRAINED,
]  # fmt: skip
RM = [
    "rm", "--preferences", "preferences", "--model", "chat", "--batch-pairs", "16", *TRAINED,
]  # fmt: skip
STAGES = {
    "sft": SFT,
    "sft-lora": [*SFT, *ADAPTERS],
    "rm": RM,
    "rm-lora": [*RM, *ADAPTERS],
    "dpo": ["dpo", *RM[1:]],
    "rejection": [
        "rejection", "--prompts", "prompts", "--model", "chat", "--helpfulness", "helpfulness",
        "--safety", "safety", "--k", "4", "--max-new-tokens", "24", "--shard-prompts", "1",
    ],
    "gatt": [
        "gatt", "--dialogues", "dialogues", "--model", "chat", "--constraints",
        "raw/constraints.jsonl", "--limit", "40", "--min-turns", "1", "--max-new-tokens", "24",
        "--shard-dialogues", "2",
    ],
    "ppo": PPO,
    "ppo-lora": [*PPO, *ADAPTERS],
    "ppo-adaptive": [*PPO, "--kl-target", "0.05", "--kl-horizon", "100", "--whiten-by", "running"],
    "ppo-grpo": [
        *PPO[: PPO.index("--value-lr")], "--estimator", "grpo", "--answers", "2",
        *PPO[PPO.index("--heldout-share") :],
    ],
}  # fmt: skip


def load() -> None:
    """Import what the stages use, and compute nothing with it."""
    killing.FORKED = True
    modules = [
        *(f"llamakit.stages.{name}" for name in ("sft", "rm", "dpo", "rejection", "gatt", "ppo")),
        *(f"llamakit.alignment.{name}" for name in (
                "ppo_run", "rejection", "ghost", "rm_report", "direct_report")),
        "llamakit.training.language", "llamakit.alignment.ppo_report",
        "llamakit.alignment.sampling_report",
    ]  # fmt: skip
    for module in modules:
        import_module(module)
    torch.set_num_threads(1)


def main() -> None:
    """Run the study and print a line a stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=list(STAGES))
    given = parser.parse_args()
    draw = random.Random(given.seed)
    failed = False
    with tempfile.TemporaryDirectory() as home:
        whole, killed = Path(home, "whole"), Path(home, "killed")
        command = [sys.executable, "-m", "llamakit", "run", str(MICRO), "--quiet"]
        for last in ("safety", "prompts") if given.store is None else ():
            subprocess.run(
                [*command, "--until", last, "--store", str(whole)],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        if given.store is not None:
            shutil.copytree(given.store, whole, ignore=shutil.ignore_patterns(*STAGES))
        shutil.copytree(whole, killed)
        load()
        for name in given.stages:
            words = [*STAGES[name], "--name", name, "--device", "cpu"]
            failed |= not survives(name, words, whole, killed, given.kills, draw)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
