"""One of several processes that train together: `python ranks.py CASES.json`, started by
`test_parallel.py`. It runs each case in turn and its first process writes what came of it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from llamakit.cli.failures import explain
from llamakit.engine.ranks import here
from llamakit.errors import LlamakitError
from llamakit.events import Events
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.training.accumulation import mean_loss
from llamakit.training.batches import Batch
from llamakit.training.loop import fit
from llamakit.training.metrics import read_metrics
from llamakit.training.objectives import next_token
from llamakit.training.parallel import parallel_of
from llamakit.training.plan import TrainingPlan
from llamakit.training.recompute import recompute_blocks
from llamakit.training.share import Share
from llamakit.training.team import joined

SHAPE = ModelConfig(
    dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48, vocab_size=61, max_seq_len=16
)
PLAN = TrainingPlan(steps=6, lr=0.02, warmup_steps=2, log_every=1, checkpoint_every=2, eval_every=3)


@dataclasses.dataclass(frozen=True)
class Rows:
    """Random rows of very different numbers of targets, by step and share."""

    share: Share
    rows: int = 5
    micro_rows: int = 2

    def batch(self, step: int) -> list[Batch]:
        generator = torch.Generator().manual_seed(1000 + step)
        ids_BL = torch.randint(SHAPE.vocab_size, (self.rows, 17), generator=generator)
        keep_B1 = torch.rand(self.rows, 1, generator=generator)
        mask_BL = torch.rand(self.rows, 16, generator=generator) < keep_B1
        found = []
        for part in self.share.micro_batches(self.rows, self.micro_rows):
            rows = slice(part.start, part.stop) if part else slice(0, 1)
            mask = mask_BL[rows] if part else torch.zeros(1, 16, dtype=torch.bool)
            found.append(
                Batch(
                    ids_BL=ids_BL[rows, :-1],
                    targets_BL=ids_BL[rows, 1:],
                    mask_BL=mask,
                    segments_BL=None,
                    positions_BL=None,
                    tokens=16 * len(part),
                )
            )
        return found

    def ids(self, step: int) -> list[str]:
        return [f"row {step}"]


def run(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train a micro model; the options of a case are those of the plan and of `parallel_of`."""
    shape = dataclasses.replace(SHAPE, **case.get("shape", {}))
    plan = dataclasses.replace(PLAN, **case.get("plan", {}))
    parallel = parallel_of(case.get("parallel", "ddp"), case.get("tensor", 1), "cpu")
    model = Transformer(shape, seed=3)
    if case.get("recompute"):
        recompute_blocks(model)
    batches = Rows(parallel.rows, **case.get("rows", {}))
    where = folder / case["folder"]
    try:
        result = fit(
            model,
            next_token,
            batches,
            plan,
            checkpoints=where / "checkpoints",
            log=where / "log",
            events=Events(),
            evaluate=lambda m: {
                "validation_loss": mean_loss(m, next_token, batches.batch(99), "cpu", parallel)[
                    "loss"
                ]
            },
            parallel=parallel,
        )
    except LlamakitError as error:
        return {"error": str(error)}
    weights = parallel.weights(model, plan.dtype, where / "weights")
    if not parallel.leads:
        return {}
    from safetensors.torch import save_file

    save_file({n: weights[n].clone() for n in weights}, where / f"{case['name']}.safetensors")
    return {"rows": read_metrics(where / "log" / "metrics.jsonl"), "tokens": result.tokens}


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[1]).parent
    torch.set_num_threads(1)
    ranks = here()
    with joined(ranks, explain) if ranks.world > 1 else nullcontext():
        results = {case["name"]: run(case, folder) for case in cases}
    if ranks.leads:
        Path(sys.argv[1]).with_suffix(".out").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
