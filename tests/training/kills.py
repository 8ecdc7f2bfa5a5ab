"""Train a small model to its end through many kills, and without any; in a process of its own.

    python kills.py FOLDER SEED KILLS

Every attempt is a fork of this process, so that torch is loaded once. Half of them are killed after
a random time, half at a random system call of saving: while a file is written through to the disk,
before a folder is renamed, before one is removed. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from llamakit.artifacts.digest import file_digest
from llamakit.artifacts.files import atomic_file
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.text.tokens import TokenPart, TokenStore, join_parts, write_part
from llamakit.training.accumulation import Loss
from llamakit.training.batches import Batch, PackedDocuments
from llamakit.training.loop import fit
from llamakit.training.objectives import next_token
from llamakit.training.pieces import write_pieces
from llamakit.training.plan import TrainingPlan

CONFIG = ModelConfig(
    dim=32, n_layers=2, n_heads=2, n_kv_heads=1, ffn_dim=64, vocab_size=300, max_seq_len=64
)
PLAN = TrainingPlan(
    steps=40, lr=3e-3, warmup_steps=5, log_every=3, checkpoint_every=2,
    on_anomaly="rollback", rollback_every=8,
)  # fmt: skip
POISONED = 21


def make_store(folder: Path) -> None:
    generator = np.random.default_rng(0)
    documents = [generator.integers(0, 300, n, dtype="<u2") for n in generator.integers(5, 90, 200)]
    part = TokenPart(*(folder / name for name in "tlrsnib"))
    names = [f"doc-{index}" for index in range(200)]
    ids = [document.tobytes() for document in documents]
    write_part(part, ids, [1] * 200, ["web"] * 200, names, vocab_size=300)
    join_parts([part], 300, lambda name: atomic_file(folder / name))


def train(folder: Path, store: TokenStore) -> None:
    """Train, or train on, in `folder`; write the weights when all is done."""
    batches = PackedDocuments(store, store.order, seq_len=64, rows=4, micro_rows=2, seed=0)
    poison = batches.batch(POISONED)[1].ids_BL

    def objective(model: nn.Module, batch: Batch) -> Loss:
        loss = next_token(model, batch)
        return (
            replace(loss, total=loss.total * math.nan)
            if torch.equal(batch.ids_BL, poison)
            else loss
        )

    model = Transformer(CONFIG, seed=0)
    fit(
        model, objective, batches, PLAN,
        checkpoints=folder / "checkpoints", log=folder / "log", events=Events(),
    )  # fmt: skip
    write_pieces(folder / "weights.safetensors", dict(model.named_parameters()))


def die_at_call(number: int) -> None:
    """Kill this process at that call of what saving does to the disk."""
    left = iter(range(number))

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def before(*args: Any, **kwargs: Any) -> Any:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return before

    os.fsync = dying(os.fsync)
    os.rename = dying(os.rename)
    Path.rename = dying(Path.rename)  # type: ignore[method-assign]
    shutil.rmtree = dying(shutil.rmtree)  # type: ignore[assignment]


def attempt(folder: Path, store: TokenStore, call: int | None, seconds: float | None) -> bool:
    """One attempt; whether it came to its end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if call is not None:
                die_at_call(call)
            train(folder, store)
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "an attempt failed by itself"
        return True
    return False


def main() -> None:
    root, seed, wanted = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)  # a fork has none but the thread that made it
    make_store(root / "store")
    store = TokenStore.open(root / "store")
    started = time.monotonic()
    attempt(root / "straight", store, None, None)
    whole = time.monotonic() - started
    rng = random.Random(seed)
    kills, half_saved, runs = 0, 0, 0
    folder = root / "killed-0"
    while kills < wanted:
        by_call = kills % 2 == 1
        done = attempt(
            folder,
            store,
            rng.randrange(1, 50) if by_call else None,
            None if by_call else rng.uniform(0, whole / 4),
        )
        if done:  # it came to its end before it was killed: once more, from the beginning
            runs += 1
            folder = root / f"killed-{runs}"
            continue
        kills += 1
        half_saved += any((folder / "checkpoints").glob("saving-*"))
    attempt(folder, store, None, None)
    digests = {p.parent.name: file_digest(p) for p in root.glob("*/weights.safetensors")}
    logs = {p.parent.parent.name: p.read_text() for p in root.glob("*/log/anomalies.jsonl")}
    print(
        json.dumps(
            {
                "kills": kills,
                "half_saved": half_saved,
                "runs": len(digests),
                "weights": sorted(set(digests.values())),
                "anomalies": sorted(set(logs.values())),
                "leftovers": sorted(p.name for p in root.glob("*/checkpoints/saving-*")),
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
