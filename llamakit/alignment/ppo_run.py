"""A PPO run from its first iteration to the best policy: held-out checks, early stop, resume.

Training reward alone is a poor guide: it rises while the text gets worse. So every few iterations
the policy answers held-out prompts, and the run keeps the policy with the best objective there:

    mean((score - mean of the start policy's scores) / their standard deviation) as trained
        - unfinished_penalty * share of unfinished answers - kl_weight * KL per answer

A policy whose KL there has passed `max_kl` is not kept, whatever it earns. Where the KL weight is
adapted the objective keeps the one that the run began with, or checks could not be compared.

Answers are sampled with the same random numbers at every check, so checks differ by the policy and
not by luck.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamakit.alignment.control import Control
from llamakit.alignment.ppo import Ppo
from llamakit.alignment.prompts import Prompt
from llamakit.alignment.reward import kl_k1, penalise_unfinished
from llamakit.events import Events, Task
from llamakit.training.checkpoint import Checkpoints
from llamakit.training.metrics import MetricsLog, read_metrics
from llamakit.training.optimizer import Optimizer
from llamakit.training.parallel import Parallel

_HELDOUT = 14  # stream of random numbers
_SAMPLES = 12
METRICS, HELDOUT = "metrics.jsonl", "heldout.jsonl"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a run checks itself, stops and saves."""

    eval_every: int
    """Iterations between checks on held-out prompts."""
    patience: int
    """Checks without a better objective after which the run stops."""
    checkpoint_every: int
    """Iterations between checkpoints."""


@dataclass
class Progress:
    """Where a run stands: everything that is no tensor. Saved with each checkpoint."""

    iteration: int = 0
    """Iterations done."""
    baseline: float = 0.0
    """Mean held-out score of the policy the run began with."""
    spread: float = 1.0
    """Standard deviation of those scores."""
    best_objective: float | None = None
    best_iteration: int = 0
    checks_without_gain: int = 0
    stopped: str = ""
    """Why the run ends before its last iteration."""


@dataclass(frozen=True)
class PpoResult:
    """What came of a run; the policy is left with its best weights, in the precision it sampled and
    was judged in."""

    iterations: int
    best_iteration: int
    stopped: str
    """Why the run ended."""
    start: Mapping[str, float]
    """Held-out figures of the policy the run began with (empty without held-out prompts)."""
    best: Mapping[str, float]
    """Held-out figures of the policy that is kept."""


def train(
    ppo: Ppo,
    prompts: Sequence[Prompt],
    heldout: Sequence[Prompt],
    limits: Limits,
    *,
    checkpoints: Path,
    log: Path,
    events: Events,
) -> PpoResult:
    """Train `ppo.policy`, continuing from the newest checkpoint in `checkpoints`.

    Without held-out prompts there is no best policy to keep: the last one is.

    Raises:
        Stopped: SIGINT or SIGTERM came; the run was saved after the iteration at hand.
    """
    parallel = ppo.parallel
    saved = Checkpoints(checkpoints, share=parallel.processes)
    parallel.wait()  # the first process has removed what an earlier attempt left
    progress, best = _resume(ppo, saved, events)
    total = ppo.plan.iterations
    log.mkdir(parents=True, exist_ok=True)
    with (
        events.graceful(),
        MetricsLog(log / METRICS if parallel.leads else None, progress.iteration) as metrics,
        # The check after iteration n comes after the checkpoint of n, so it is made again.
        MetricsLog(log / HELDOUT if parallel.leads else None, progress.iteration - 1) as checks,
        events.task("ppo", total, "iterations") as task,
    ):
        task.advance(progress.iteration)
        while True:
            done = progress.iteration
            # A run that the guard ends may well stand where it should: further on average than any
            # check saw, and not yet too far.
            if heldout and (done % limits.eval_every == 0 or done == total or progress.stopped):
                check = check_heldout(ppo, heldout, progress)
                near = check["kl"] <= ppo.plan.max_kl
                improved = _take(progress, check["objective"] if near else -math.inf)
                checks.append({"step": done, **check, "best": improved})
                if improved:
                    best = _copied(ppo.policy_optimizer.masters)
                if progress.checks_without_gain >= limits.patience and not progress.stopped:
                    progress.stopped = f"no better on held-out prompts in {limits.patience} checks"
            if done == total or progress.stopped:
                break
            figures = ppo.step(done, prompts)
            progress.iteration += 1
            progress.stopped = _guarded(figures, ppo.plan.max_kl)
            metrics.append({"step": progress.iteration, **figures})
            _show(task, figures)
            if parallel.stopping(events) or progress.iteration % limits.checkpoint_every == 0:
                _save(ppo, progress, best, saved)
                events.raise_if_stopping()
        # Stopped during the last check: the run continues from its last checkpoint. Saving here
        # would count this check twice.
        if parallel.stopping(events):
            events.raise_if_stopping()
    return _finish(ppo, progress, best, log)


def _guarded(figures: Mapping[str, float], max_kl: float) -> str:
    """Why the KL guard ends the run, or nothing: the batch's KL passed it, or a mini-batch's."""
    kl = max(figures["kl"], figures.get("kl_updating", 0.0))
    return f"KL {kl:.1f} passed {max_kl:g} nats an answer" if kl > max_kl else ""


def check_heldout(ppo: Ppo, prompts: Sequence[Prompt], progress: Progress) -> dict[str, Any]:
    """Answer held-out prompts with the policy as it is; the first check sets the baseline."""
    plan = ppo.plan
    rollouts = ppo.sample(prompts, _HELDOUT, 0)
    scores = ppo.judge(rollouts.rows(), [prompt.safety for prompt in prompts])
    combined_B = scores.combined_B
    if progress.best_objective is None:
        progress.baseline = float(combined_B.mean())
        progress.spread = float(combined_B.std(correction=0)) or 1.0
    policy_BT, entropy_BT = ppo.read_policy(rollouts)
    reference_BT = ppo.read_reference(rollouts)
    kl = float(kl_k1(policy_BT, reference_BT).sum(dim=1).mean())
    earned_B = penalise_unfinished(
        (combined_B - progress.baseline) / progress.spread,
        rollouts.finished_B.cpu(),
        plan.unfinished_penalty,
    )
    tokens = float(rollouts.response_lengths_B.sum())
    return {
        "objective": float(earned_B.mean()) - plan.kl_weight * kl,
        "score": float(combined_B.mean()),
        **{
            name: float(raw_B.mean())
            for name, raw_B in (
                ("helpfulness", scores.helpfulness_B),
                ("safety", scores.safety_B),
            )
            if raw_B is not None
        },
        "gated": float(scores.gate_B.float().mean()),
        "kl": kl,
        "entropy": float(entropy_BT.sum()) / tokens,
        "response_tokens": tokens / len(rollouts),
        "finished": float(rollouts.finished_B.float().mean()),
        "samples": [
            {
                "prompt": prompts[row].messages[-1]["content"],
                "answer": rollouts.texts[row],
                "score": float(combined_B[row]),
                "gated": bool(scores.gate_B[row]),
            }
            for row in range(min(_SAMPLES, len(prompts)))
        ],
    }


def _take(progress: Progress, objective: float) -> bool:
    """Note an objective; whether it is the best so far."""
    if progress.best_objective is None or objective > progress.best_objective:
        progress.best_objective = objective
        progress.best_iteration = progress.iteration
        progress.checks_without_gain = 0
        return True
    progress.checks_without_gain += 1
    return False


def _finish(ppo: Ppo, progress: Progress, best: Mapping[str, Tensor], log: Path) -> PpoResult:
    kept = best or ppo.policy_optimizer.masters
    with torch.no_grad():
        for name, parameter in ppo.policy.named_parameters():
            if name in kept:
                ppo.parallel.local(parameter).copy_(kept[name])
    ppo.parallel.wait()  # the first process has written its log
    rows = {row["step"]: _figures(row) for row in read_metrics(log / HELDOUT)}
    return PpoResult(
        iterations=progress.iteration,
        best_iteration=progress.best_iteration if best else progress.iteration,
        stopped=progress.stopped or "all iterations done",
        start=rows.get(0, {}),
        best=rows.get(progress.best_iteration, {}) if best else {},
    )


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value) for name, value in row.items() if name not in ("step", "samples", "best")
    }


def _show(task: Task, figures: Mapping[str, float]) -> None:
    task.advance(
        1,
        score=round(figures["score"], 3),
        kl=round(figures["kl"], 3),
        tokens=round(figures["response_tokens"], 1),
    )


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def _save(ppo: Ppo, progress: Progress, best: Mapping[str, Tensor], saved: Checkpoints) -> None:
    """Policy, value model, both optimizers, the best policy, and what the run adapts. Prompts and
    random numbers are functions of the iteration: they have no state.
    """
    tensors = ppo.parallel.pieces({f"best.{name}": tensor for name, tensor in best.items()})
    for role, (optimizer, parallel) in _optimizers(ppo).items():
        state = {f"{role}_{name}": tensor for name, tensor in optimizer.tensors().items()}
        tensors |= parallel.pieces(state)
    told = {"progress": asdict(progress), "control": asdict(ppo.control)}
    saved.save(progress.iteration, tensors, told)


def _resume(ppo: Ppo, saved: Checkpoints, events: Events) -> tuple[Progress, dict[str, Tensor]]:
    checkpoint = saved.latest(events, agreed=ppo.parallel.all)
    if checkpoint is None:
        return Progress(), {}
    progress = Progress(**checkpoint.state["progress"])
    ppo.control = Control(**checkpoint.state["control"])
    steps = {"policy": ppo.control.policy_steps, "value": ppo.control.value_steps}
    for role, (optimizer, parallel) in _optimizers(ppo).items():
        optimizer.load(_Under(f"{role}_", parallel.parts(checkpoint.tensors)), steps[role])
    events.note(f"continuing after iteration {progress.iteration} of {ppo.plan.iterations}")
    parts = ppo.parallel.parts(checkpoint.tensors)
    best = {n.removeprefix("best."): parts[n] for n in parts if n.startswith("best.")}
    return progress, best


def _optimizers(ppo: Ppo) -> dict[str, tuple[Optimizer, Parallel]]:
    named = {"policy": (ppo.policy_optimizer, ppo.parallel)}
    if ppo.value_optimizer is not None:
        named["value"] = (ppo.value_optimizer, ppo.value_parallel)
    return named


class _Under(Mapping[str, Tensor]):
    """The tensors of one optimizer among those of a checkpoint, read when asked for."""

    def __init__(self, prefix: str, tensors: Mapping[str, Tensor]) -> None:
        self._prefix = prefix
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        names = (name for name in self._tensors if name.startswith(self._prefix))
        return (name.removeprefix(self._prefix) for name in names)

    def __len__(self) -> int:
        return sum(1 for _ in self)
