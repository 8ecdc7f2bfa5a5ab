"""One of several processes that train together: `python -m tests.training.ranks CASES.json`.

It runs each case in turn, and the first process writes what came of them. Started by
`test_parallel.py`, many cases at a time: to start is most of the work.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from llamakit.cli.failures import explain
from llamakit.engine.ranks import here
from llamakit.errors import LlamakitError, Stopped
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.model.lora import TARGETS, Lora, add_lora
from llamakit.model.transformer import Transformer, drawn_weights
from llamakit.training.accumulation import Loss, mean_loss
from llamakit.training.batches import Batch
from llamakit.training.loop import fit
from llamakit.training.objectives import next_token
from llamakit.training.parallel import parallel_of
from llamakit.training.plan import TrainingPlan
from llamakit.training.share import Share
from llamakit.training.team import joined
from llamakit.training.watch import Row

SHAPE = ModelConfig(
    dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48, vocab_size=61, max_seq_len=16
)
PLAN = TrainingPlan(steps=8, lr=0.02, warmup_steps=2, log_every=1, checkpoint_every=2, eval_every=4)
POISONED = 3
"""The step with a row whose loss is not a number, in cases that ask for it."""


@dataclass(frozen=True)
class Rows:
    """Rows of very different numbers of targets; five of them do not come out even."""

    share: Share
    rows: int = 5
    micro_rows: int = 2
    poisoned: bool = False

    def batch(self, step: int) -> list[Batch]:
        generator = torch.Generator().manual_seed(1000 + step)
        ids_BL = torch.randint(1, SHAPE.vocab_size, (self.rows, 17), generator=generator)
        keep_B1 = torch.rand(self.rows, 1, generator=generator)
        mask_BL = torch.rand(self.rows, 16, generator=generator) < keep_B1
        if self.poisoned and step == POISONED:
            ids_BL[0] = 0
        return [
            Batch(
                ids_BL=ids_BL[rows.start : rows.stop, :-1] if rows else ids_BL[:1, 1:],
                targets_BL=ids_BL[rows.start : rows.stop, 1:] if rows else ids_BL[:1, 1:],
                mask_BL=mask_BL[rows.start : rows.stop] if rows else torch.zeros(1, 16).bool(),
                segments_BL=None,
                positions_BL=None,
                tokens=16 * len(rows),
            )
            for rows in self.share.micro_batches(self.rows, self.micro_rows)
        ]

    def ids(self, step: int) -> list[str]:
        return [f"batch {step}"]


def objective(model: nn.Module, batch: Batch) -> Loss:
    """The next token; a row of zeros has a loss that is not a number."""
    loss = next_token(model, batch)
    poison = float("nan") if not batch.ids_BL[0].any() else 1.0
    return Loss(loss.total * poison, loss.count)


class StopAt:
    """Asks one process, the first, to stop after a step, as a signal would."""

    def __init__(self, events: Events, step: int) -> None:
        self._events = events
        self._step = step

    def begin(self, rows: Sequence[Row]) -> None:
        pass

    def see(self, row: Row, model: nn.Module) -> None:
        if row["step"] == self._step:
            self._events.stop(signal.SIGTERM)

    def close(self) -> None:
        pass


def run(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train a micro model as `case` says and tell what came of it."""
    plan = replace(PLAN, **case.get("plan", {}))
    parallel = parallel_of(case.get("parallel", "ddp"), case.get("tensor", 1), "cpu")
    shape = replace(SHAPE, **case.get("shape", {}))
    with torch.device("meta" if case.get("meta") else "cpu"):
        model = Transformer(shape, seed=3)
    if case.get("lora"):
        add_lora(model, Lora(3, 6.0, TARGETS), seed=1)
    batches = Rows(parallel.rows, **case.get("rows", {}))
    where = folder / case.get("folder", case["name"])
    events = Events()

    def evaluate(model: nn.Module) -> dict[str, float]:
        means = mean_loss(model, objective, batches.batch(99), "cpu", parallel)
        return {"validation_loss": means["loss"]}

    try:
        result = fit(
            model,
            objective,
            batches,
            plan,
            checkpoints=where / "checkpoints",
            log=where / "log",
            events=events,
            evaluate=evaluate,
            watchers=[StopAt(events, case.get("stop", -1))],
            parallel=parallel,
            weights=drawn_weights(model, shape, 3) if case.get("meta") else None,
        )
    except LlamakitError as error:
        return {"error": str(error)}
    except Stopped as stopped:
        return {"stopped": stopped.exit_code}
    weights = parallel.weights(model, plan.dtype, where / "weights")
    if parallel.leads:
        save_file({name: weights[name].clone() for name in weights}, where / "model.safetensors")
    return {"steps": result.steps, "tokens": result.tokens, "passed_over": result.passed_over}


def main() -> None:
    path = Path(sys.argv[1])
    torch.set_num_threads(1)
    ranks = here()
    with joined(ranks, explain) if ranks.world > 1 else nullcontext():
        results = {case["name"]: run(case, path.parent) for case in json.loads(path.read_text())}
        (path.parent / f"{path.stem}.{ranks.rank}.out").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
