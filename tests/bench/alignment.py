"""Fine-tuning, reward models and PPO beside TRL's trainers: work per CPU-second, one thread.

    python tests/bench/alignment.py [--rounds 3] [--peers PYTHON] [--data FOLDER]
        [--works sft rm ppo] [--dtypes fp32 bf16] [--alone]

The same model (`base-15m` by default: 288 wide, 6 layers, 32,000 pieces), the same data, as many
optimizer steps, each contender in a process of its own (`alignment_contenders.py`), warm before the
clock. A round is one run of each, by turns, so that other work on the machine falls on all; medians
are taken over rounds. TRL computes in fp32, and with bf16 autocast as its `bf16=True` has it;
llamakit in fp32, and in bf16 with fp32 master weights. CPU-seconds are of the whole process.

sft: real dialogues, 8 an optimizer step; TRL pads them, llamakit packs them into rows of as many
tokens as the longest may have. rm: real pairs, 8 an optimizer step. ppo: prompts of 64 random
tokens, answers of 64, 32 episodes, 4 updates of 8; one reward model, one epoch.

FOLDER holds `sft/*.jsonl.gz` and `pref/*.jsonl.gz` in any form that `ingest` reads; without it,
texts are generated: of other lengths, so numbers differ. TRL (1.12, the last with PPO) is in the
`dev` extra; PYTHON names another environment's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from scaling_text import pages

from llamakit.alignment.tables import read_rows
from llamakit.artifacts.frames import DIALOGUES, PREFERENCES
from llamakit.artifacts.store import Store
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import save_model, save_reward_model
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce
from llamakit.text.vocabulary import train_vocabulary

CONTENDERS = Path(__file__).with_name("alignment_contenders.py")
UNITS = {"sft": "real tokens", "rm": "pairs", "ppo": "episodes"}
SFT_FILES = ("alpaca", "dolly", "lima")
PREFERENCE_FILES = ("hh_harmless", "pandalm_graded")
PIECES_OF_TEXT = 4 * 10**6


class Contender:
    """A process that does its work once more each time it is told to."""

    def __init__(self, python: str, folder: Path, name: str, work: str, dtype: str) -> None:
        self.name, self.dtype = name, dtype
        order = json.dumps({"folder": str(folder), "work": work, "dtype": dtype})
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", str(CONTENDERS), name, order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.rounds: list[dict[str, float]] = []
        self.ready = self.answer()

    def answer(self) -> dict[str, float]:
        """Its next answer."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{") and '"told"' in line:
                told: dict[str, float] = json.loads(line)
                return told
        assert self._process.stderr is not None
        raise SystemExit(f"{self.name} ended: {self._process.stderr.read()[-3000:]}")

    def run(self) -> None:
        """Have it work once, and keep what it says."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        self.rounds.append(self.answer())

    def end(self) -> None:
        """Stop it."""
        self._process.communicate("")

    def speed(self) -> float:
        """Units a CPU-second, the median of the rounds."""
        return median(one["units"] / one["cpu"] for one in self.rounds)


def ingested(store: Store, files: list[Path], kind: str) -> list[dict[str, Any]]:
    """Rows of files as llamakit reads them."""
    stage = Ingest(files=tuple(map(str, files)), as_=kind)
    version = produce(stage, store, name=kind).version
    schema = DIALOGUES if kind == "dialogues" else PREFERENCES
    return read_rows([version.path / "data"], schema)


def generated(draw: random.Random) -> Iterator[list[dict[str, str]]]:
    """Dialogues of made-up words, from one to thirty lines."""
    for page in pages(4 * 10**6):
        lines = page["text"].splitlines()
        question, answer = lines[0], "\n".join(lines[1 : 1 + draw.randint(1, 30)])
        yield [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer or "Yes."},
        ]


def prepare(folder: Path, data: Path | None, shape: dict[str, int], counts: dict[str, int]) -> None:
    """Write vocabulary, models and data for the contenders."""
    draw = random.Random(0)
    if data is not None:
        store = Store(folder / "store")
        dialogues = [
            row["messages"]
            for row in ingested(
                store, [data / "sft" / f"{name}.jsonl.gz" for name in SFT_FILES], "dialogues"
            )
        ]
        pairs = ingested(
            store,
            [data / "pref" / f"{name}.jsonl.gz" for name in PREFERENCE_FILES],
            "preferences",
        )
        pairs = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pairs]
    else:
        dialogues = list(generated(draw))
        pairs = [
            {"prompt": one[:1], "chosen": one[1:], "rejected": other[1:]}
            for one, other in zip(dialogues[::2], dialogues[1::2], strict=False)
        ]
    draw.shuffle(dialogues)
    draw.shuffle(pairs)
    texts = [message["content"] for messages in dialogues for message in messages]
    # Made-up words too: real texts so few have no 32,000 pieces in them.
    texts += [page["text"] for page in pages(PIECES_OF_TEXT)]
    vocabulary = train_vocabulary(texts, folder / "vocabulary", shape["vocab"])
    config = ModelConfig(
        dim=shape["dim"],
        n_layers=shape["layers"],
        n_heads=shape["heads"],
        n_kv_heads=shape["heads"],
        ffn_dim=shape["ffn"],
        vocab_size=vocabulary.size,
        max_seq_len=1024,
    )
    save_model(folder / "model", Transformer(config, 1), vocabulary, chat=True, card="-")
    save_reward_model(folder / "reward", RewardModel(config, 2), vocabulary, card="-")
    work = {
        "dialogues": dialogues[: counts["dialogues"]],
        "pairs": pairs[: counts["pairs"]],
        "prompts": [
            [vocabulary.bos, *(draw.randrange(300, vocabulary.size) for _ in range(63))]
            for _ in range(counts["episodes"])
        ],
    }
    (folder / "work.json").write_text(json.dumps(work))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=sys.executable, help="the interpreter that has TRL")
    parser.add_argument("--data", type=Path, help="folder of real data")
    parser.add_argument("--works", nargs="+", default=list(UNITS), choices=list(UNITS))
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--dialogues", type=int, default=48)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--alone", action="store_true", help="llamakit only")
    parser.add_argument("--lora", action="store_true", help="llamakit with adapters too")
    for name, value in {
        "dim": 288, "layers": 6, "heads": 6, "ffn": 768, "vocab": 32_000,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    shape = {name: getattr(given, name) for name in ("dim", "layers", "heads", "ffn", "vocab")}
    counts = {name: getattr(given, name) for name in ("dialogues", "pairs", "episodes")}
    names = [("llamakit", sys.executable)]
    names += [("llamakit+lora", sys.executable)] * given.lora + [("trl", given.peers)] * (
        not given.alone
    )
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        prepare(folder, given.data, shape, counts)
        for work in given.works:
            contenders = [
                Contender(python, folder, name, work, dtype)
                for dtype in given.dtypes
                for name, python in names
            ]
            for number in range(given.rounds):
                for one in contenders[:: 1 if number % 2 else -1]:
                    one.run()
            for one in contenders:
                one.end()
            tell(work, contenders)


def tell(work: str, contenders: list[Contender]) -> None:
    """A line a contender."""
    base = next((one.speed() for one in contenders if one.name == "trl"), None)
    print(f"\n{work}: {contenders[0].rounds[0]['units']:,.0f} {UNITS[work]} a round")
    for one in contenders:
        spread = [each["units"] / each["cpu"] for each in one.rounds]
        line = f"  {one.name:14}{one.dtype:5} {one.speed():9.2f} {UNITS[work]} a CPU-second"
        line += f" ({min(spread):.2f}-{max(spread):.2f})"
        if base:
            line += f"  {one.speed() / base:5.2f} x TRL {contenders[0].dtype}"
        peak = max(each["peak"] for each in one.rounds) / 1e6
        print(f"{line}  peak {peak:,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
