"""One of several processes that run PPO: `python -m tests.alignment.ppo_ranks CASES.json`.

It runs each case in turn, and the first process writes what came of them. Started by
`test_ppo_parallel.py`.
"""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from llamakit.alignment import ppo_run
from llamakit.alignment.models import open_judges
from llamakit.alignment.ppo import Ppo
from llamakit.cli.failures import explain
from llamakit.engine.ranks import here
from llamakit.errors import Stopped
from llamakit.events import Events, Task
from llamakit.model.lora import Lora, add_lora
from llamakit.model.weights import load_model, load_reward_model, load_vocabulary
from llamakit.training.parallel import parallel_of
from llamakit.training.team import joined
from tests.alignment.small import plan, prompts

LIMITS = ppo_run.Limits(eval_every=2, patience=9, checkpoint_every=1)


class StopsAfter(Events):
    """Stops the first process after some iterations, as a signal would."""

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self._iterations = iterations

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        events, iterations = self, self._iterations

        class Counting(Task):
            def advance(self, n: int = 1, **figures: float | int | str) -> None:
                super().advance(n)
                if unit == "iterations" and n and self.done == iterations:
                    events.stop(15)

        return Counting(label, total, unit)


def run(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run PPO on micro models as `case` says and tell what came of it."""
    parallel = parallel_of(case.get("parallel", "ddp"), 1, "cpu")
    settings = plan(**case.get("plan", {}))
    vocabulary = load_vocabulary(folder / "model")
    policy = load_model(folder / "model")
    value = load_reward_model(folder / "helpfulness") if settings.has_critic else None
    if lora := case.get("lora"):
        add_lora(policy, Lora(3, 6.0, ("q_proj", "v_proj", "down_proj")), seed=1)
        if value is not None:
            add_lora(value, Lora(3, 6.0, ("q_proj", "v_proj")), seed=2)
    ppo = Ppo(
        policy=policy,
        reference=None if lora else load_model(folder / "model", settings.dtype),
        value_model=value,
        judge=open_judges(
            folder / "helpfulness", folder / "safety", 0.15, vocabulary,
            dtype=settings.dtype, device="cpu", parallel=parallel,
        ),
        vocabulary=vocabulary,
        plan=settings,
        parallel=parallel,
    )  # fmt: skip
    where = folder / case.get("folder", case["name"])
    asked = prompts(vocabulary, 12)
    try:
        result = ppo_run.train(
            ppo, asked[:9], asked[9 : 9 + case.get("heldout", 3)], LIMITS,
            checkpoints=where / "checkpoints", log=where / "log",
            events=StopsAfter(case.get("stop", -1) if parallel.leads else -1),
        )  # fmt: skip
    except Stopped as stopped:
        return {"stopped": stopped.exit_code}
    weights = parallel.weights(policy, settings.dtype, where / "weights")
    if parallel.leads:
        save_file({name: weights[name].clone() for name in weights}, where / "model.safetensors")
    return {"iterations": result.iterations, "best": result.best_iteration}


def main() -> None:
    path = Path(sys.argv[1])
    torch.set_num_threads(1)
    ranks = here()
    with joined(ranks, explain) if ranks.world > 1 else nullcontext():
        results = {case["name"]: run(case, path.parent) for case in json.loads(path.read_text())}
        (path.parent / f"{path.stem}.{ranks.rank}.out").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
