"""A PPO run from its first iteration to the best policy: held-out checks, early stop, resume.

Training reward alone is a poor guide: it rises while the text gets worse. So every few iterations
the policy answers held-out prompts, and the run keeps the policy with the best objective there:

    mean((score - mean of the start policy's scores) / their standard deviation) as trained
        - unfinished_penalty * share of unfinished answers - kl_weight * KL per answer

Answers are sampled with the same random numbers at every check, so checks differ by the policy and
not by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llamakit.alignment.ppo import Ppo
from llamakit.alignment.prompts import Prompt
from llamakit.alignment.reward import kl_k1, penalise_unfinished
from llamakit.events import Events, Task
from llamakit.training.checkpoint import Checkpoints
from llamakit.training.metrics import MetricsLog, read_metrics

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
    max_kl: float
    """KL to the reference, in nats per answer of a training batch, from which the run stops."""
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
    saved = Checkpoints(checkpoints)
    progress, best = _resume(ppo, saved, events)
    total = ppo.plan.iterations
    stopped = "all iterations done"
    log.mkdir(parents=True, exist_ok=True)
    with (
        events.graceful(),
        MetricsLog(log / METRICS, progress.iteration) as metrics,
        # The check after iteration n comes after the checkpoint of n, so it is made again.
        MetricsLog(log / HELDOUT, progress.iteration - 1) as checks,
        events.task("ppo", total, "iterations") as task,
    ):
        task.advance(progress.iteration)
        while True:
            done = progress.iteration
            if heldout and (done % limits.eval_every == 0 or done == total):
                check = check_heldout(ppo, heldout, progress)
                improved = _take(progress, check["objective"])
                checks.append({"step": done, **check, "best": improved})
                if improved:
                    best = _copied(ppo.policy_optimizer.masters)
                if progress.checks_without_gain >= limits.patience:
                    stopped = f"no better on held-out prompts in {limits.patience} checks"
                    break
            if done == total:
                break
            figures = ppo.step(done, prompts)
            progress.iteration += 1
            metrics.append({"step": progress.iteration, **figures})
            _show(task, figures)
            if events.stopping or progress.iteration % limits.checkpoint_every == 0:
                _save(ppo, progress, best, saved)
                events.raise_if_stopping()
            if figures["kl"] > limits.max_kl:
                stopped = f"KL {figures['kl']:.1f} passed {limits.max_kl:g} nats an answer"
                break
        # Stopped during the last check: the run continues from its last checkpoint. Saving here
        # would count this check twice.
        events.raise_if_stopping()
    return _finish(ppo, progress, best, stopped, log)


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


def _finish(
    ppo: Ppo, progress: Progress, best: Mapping[str, Tensor], stopped: str, log: Path
) -> PpoResult:
    kept = best or ppo.policy_optimizer.masters
    with torch.no_grad():
        for name, parameter in ppo.policy.named_parameters():
            if name in kept:
                parameter.copy_(kept[name])
    rows = {row["step"]: _figures(row) for row in read_metrics(log / HELDOUT)}
    return PpoResult(
        iterations=progress.iteration,
        best_iteration=progress.best_iteration if best else progress.iteration,
        stopped=stopped,
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
    """Policy, value model, both optimizers, the best policy. Prompts and random numbers are
    functions of the iteration, and the KL weight is fixed: they have no state.
    """
    tensors = {f"policy.{name}": t for name, t in ppo.policy_optimizer.tensors().items()}
    tensors |= {f"value.{name}": t for name, t in ppo.value_optimizer.tensors().items()}
    tensors |= {f"best.{name}": t for name, t in best.items()}
    saved.save(progress.iteration, tensors, asdict(progress))


def _resume(ppo: Ppo, saved: Checkpoints, events: Events) -> tuple[Progress, dict[str, Tensor]]:
    checkpoint = saved.latest(events)
    if checkpoint is None:
        return Progress(), {}
    progress = Progress(**checkpoint.state)
    per_iteration = -(-ppo.plan.batch // ppo.plan.mini_batch)
    policy_steps = max(0, progress.iteration - ppo.plan.critic_warmup) * per_iteration
    ppo.policy_optimizer.load(_under("policy.", checkpoint.tensors), policy_steps)
    ppo.value_optimizer.load(
        _under("value.", checkpoint.tensors), progress.iteration * per_iteration
    )
    events.note(f"continuing after iteration {progress.iteration} of {ppo.plan.iterations}")
    return progress, _under("best.", checkpoint.tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
