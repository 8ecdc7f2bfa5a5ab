"""The one training loop: pretraining, fine-tuning and reward models all run through `fit`.

What is trained comes in as an objective, what it is trained on as batches; the loop owns gradient
accumulation, the schedule, checkpoints, metrics and stopping. Batches are a pure function of the
step and the loop draws no random number, so the step and the optimizer's state are all that a
resumed run needs to end with the very bytes of an uninterrupted one (on the same kind of processor
with the same number of threads: sums are rounded in another order elsewhere).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from llamakit.errors import InputError, LlamakitError
from llamakit.events import Events, Task
from llamakit.training.checkpoint import Checkpoints
from llamakit.training.metrics import MetricsLog
from llamakit.training.optimizer import NotFiniteError, Optimizer
from llamakit.training.plan import TrainingPlan
from llamakit.training.schedule import learning_rate
from llamakit.training.watch import Watcher, watching

Number = Tensor | float


@dataclass(frozen=True)
class Loss:
    """What an objective says of one micro-batch: sums, so that micro-batches can be added up."""

    total: Tensor
    """Scalar with a graph: the loss summed over `count` targets."""
    count: Number
    """Targets (tokens, pairs) summed over; the loop divides by the whole batch's."""
    figures: Mapping[str, Number] = field(default_factory=dict)
    """More sums over the same targets, logged as means (an accuracy: the number of hits)."""


class MicroBatch(Protocol):
    """What the loop needs to know of a micro-batch; the objective knows its fields."""

    @property
    def tokens(self) -> int:
        """Real tokens read, without padding: the unit of throughput."""
        ...

    def to(self: B, device: str) -> B:
        """The same on `device`."""
        ...


B = TypeVar("B", bound=MicroBatch)
B_co = TypeVar("B_co", bound=MicroBatch, covariant=True)
Objective = Callable[[nn.Module, B], Loss]
Evaluation = Callable[[nn.Module], Mapping[str, float]]


class Batches(Protocol[B_co]):
    """Training data: `batch(step)` gives a step's micro-batches and depends on nothing else."""

    def batch(self, step: int) -> Sequence[B_co]:
        """The micro-batches of `step` (0 is the first)."""
        ...


@dataclass
class Progress:
    """Where a run stands: everything about it that is no tensor. Saved with each checkpoint."""

    step: int = 0
    """Steps done."""
    tokens: int = 0
    """Real tokens read since the beginning."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums since the last row of the log: of the steps' means, and `steps` itself."""
    last: dict[str, float] = field(default_factory=dict)
    """The last row of the log."""


@dataclass(frozen=True)
class FitResult:
    """What came of a run."""

    steps: int
    tokens: int
    """Real tokens read, over all attempts."""
    last: Mapping[str, float]
    """The last row of the metrics log: loss, learning rate and, when asked for, evaluation."""


def fit(
    model: nn.Module,
    objective: Objective[B],
    batches: Batches[B],
    plan: TrainingPlan,
    *,
    checkpoints: Path,
    log: Path,
    events: Events,
    evaluate: Evaluation | None = None,
    label: str = "training",
    utilisation: Callable[[float], float] | None = None,
    watchers: Sequence[Watcher] = (),
) -> FitResult:
    """Train `model` in place by `plan`, continuing from the newest checkpoint in `checkpoints`.

    Args:
        objective: the loss of one micro-batch.
        evaluate: called without gradients every `plan.eval_every` steps and after the last; its
            figures join the metrics row.
        log: folder of `metrics.jsonl`, a row for every `plan.log_every` steps: step, loss (mean of
            the steps since the last row), lr, grad_norm, tokens, tokens_per_s, the objective's
            figures, evaluation.
        utilisation: the share of the device's peak (MFU) that a rate in tokens a second is, for
            log and display.
        watchers: shown every row of the log as it is written.

    Returns:
        What was done. The model is left in `plan.dtype` on `plan.device`.

    Raises:
        LlamakitError: the loss or its gradient is not finite. Checkpoints before it are kept.
        Stopped: SIGINT or SIGTERM came; the run was saved after the step at hand.
    """
    model.to(plan.device).train()
    optimizer = Optimizer(
        model,
        dtype=plan.dtype,
        betas=plan.betas,
        eps=plan.eps,
        weight_decay=plan.weight_decay,
        clip=plan.clip,
    )
    saved = Checkpoints(checkpoints)
    progress = _resume(optimizer, plan, saved, events)
    if plan.compile:
        model.compile()
    work_seconds = 0.0
    tokens_before = progress.tokens
    log.mkdir(parents=True, exist_ok=True)
    with (
        events.graceful(),
        MetricsLog(log / "metrics.jsonl", progress.step) as metrics,
        watching(watchers, metrics.kept) as watch,
        events.task(label, plan.steps, "steps") as task,
    ):
        if progress.step:
            events.note(f"continuing after step {progress.step:,} of {plan.steps:,}")
            task.advance(progress.step)
        for step in range(progress.step, plan.steps):
            started = time.perf_counter()
            micro_batches = batches.batch(step)
            figures = _train_step(
                model, objective, micro_batches, optimizer=optimizer, plan=plan, step=step
            )
            work_seconds += time.perf_counter() - started
            progress.step = step + 1
            progress.tokens += sum(batch.tokens for batch in micro_batches)
            for name, value in {**figures, "steps": 1.0}.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + value
            last = progress.step == plan.steps
            evaluation = _evaluation(model, evaluate, progress.step, plan)
            rate = _rate(progress.tokens - tokens_before, work_seconds, utilisation)
            if last or evaluation or progress.step % plan.log_every == 0:
                row = _log_row(metrics, progress, learning_rate(step, plan), rate, evaluation)
                work_seconds, tokens_before = 0.0, progress.tokens
                watch(row, model)
            _show(task, {**figures, "lr": learning_rate(step, plan), **rate})
            if events.stopping:
                _save(optimizer, plan, saved, progress)
                events.raise_if_stopping()
            due = plan.checkpoint_every and progress.step % plan.checkpoint_every == 0
            if due and not last:
                _save(optimizer, plan, saved, progress)
    return FitResult(progress.step, progress.tokens, progress.last)


def accumulate(
    model: nn.Module,
    objective: Objective[B],
    micro_batches: Iterable[B],
    device: str,
    *,
    after: Callable[[Loss], None] | None = None,
) -> dict[str, float]:
    """Sum an objective over micro-batches, and divide by their targets once, at the end.

    Args:
        after: called with each loss while its graph lives (for the backward pass).

    Returns:
        `loss` and the objective's figures as means over all targets, and `count`, the targets.
    """
    sums: dict[str, Tensor] = {}
    for batch in micro_batches:
        loss = objective(model, batch.to(device))
        if after is not None:
            after(loss)
        for name, value in {"loss": loss.total, "count": loss.count, **loss.figures}.items():
            # Summed on the device: one transfer a step instead of one a micro-batch.
            addend = torch.as_tensor(value, device=device).detach().double()
            sums[name] = sums[name] + addend if name in sums else addend
    values = torch.stack(list(sums.values())).tolist() if sums else []
    means = dict(zip(sums, values, strict=True))
    count = means.pop("count", 0.0)
    means = {name: value / count if count else 0.0 for name, value in means.items()}
    return {**means, "count": count}


def mean_loss(
    model: nn.Module, objective: Objective[B], micro_batches: Iterable[B], device: str
) -> dict[str, float]:
    """What `accumulate` returns, without gradients and in evaluation mode."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return accumulate(model, objective, micro_batches, device)
    finally:
        model.train(training)


def _train_step(
    model: nn.Module,
    objective: Objective[B],
    micro_batches: Sequence[B],
    *,
    optimizer: Optimizer,
    plan: TrainingPlan,
    step: int,
) -> dict[str, float]:
    """One optimizer step; returns the batch's mean loss and figures and the gradient norm."""

    def backward(loss: Loss) -> None:
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.gather()

    figures = accumulate(model, objective, micro_batches, plan.device, after=backward)
    count = figures.pop("count")
    try:
        if not math.isfinite(figures.get("loss", 0.0)):
            raise NotFiniteError(f"the loss is {figures['loss']}")
        # A batch may hold no target (every row masked): its gradient is zero, not 0 / 0.
        norm = optimizer.step(learning_rate(step, plan), 1 / count if count else 0.0)
    except NotFiniteError as error:
        raise LlamakitError(
            f"training diverged at step {step + 1:,} of {plan.steps:,}: {error.what}",
            fix="The last checkpoint is kept. Lower the learning rate, warm up longer, or clip.",
        ) from None
    return {**figures, "grad_norm": norm}


def _evaluation(
    model: nn.Module, evaluate: Evaluation | None, step: int, plan: TrainingPlan
) -> Mapping[str, float]:
    due = step == plan.steps or (plan.eval_every and step % plan.eval_every == 0)
    return evaluate(model) if evaluate is not None and due else {}


def _rate(
    tokens: int, seconds: float, utilisation: Callable[[float], float] | None
) -> dict[str, float]:
    """Tokens a second and, where it is known, the share of the peak."""
    rate = tokens / max(seconds, 1e-9)
    used = {} if utilisation is None else {"mfu": round(utilisation(rate), 4)}
    return {"tokens_per_s": round(rate, 1), **used}


def _log_row(
    metrics: MetricsLog,
    progress: Progress,
    lr: float,
    rate: Mapping[str, float],
    evaluation: Mapping[str, float],
) -> dict[str, float]:
    steps = progress.sums.pop("steps")
    means = {name: value / steps for name, value in progress.sums.items()}
    progress.sums = {}
    row = {"step": progress.step, "loss": means.pop("loss"), "lr": lr, **means, **evaluation}
    progress.last = {name: float(value) for name, value in row.items() if name != "step"}
    row |= {"tokens": progress.tokens, **rate}
    metrics.append(row)
    return row


# What is shown beside the bar, and under which name; the rest is for the log.
_SHOWN = {
    "loss": "loss", "lr": "lr", "grad_norm": "grad", "tokens_per_s": "tok/s", "mfu": "MFU",
}  # fmt: skip


def _show(task: Task, figures: Mapping[str, float]) -> None:
    shown: dict[str, float | str] = {
        label: figures[name] for name, label in _SHOWN.items() if name in figures
    }
    if "MFU" in shown:
        shown["MFU"] = f"{figures['mfu']:.0%}"
    task.advance(1, **shown)


def _save(optimizer: Optimizer, plan: TrainingPlan, saved: Checkpoints, progress: Progress) -> None:
    state = {"plan": plan.shaping(), "progress": asdict(progress)}
    saved.save(progress.step, optimizer.tensors(), state)


def _resume(
    optimizer: Optimizer, plan: TrainingPlan, saved: Checkpoints, events: Events
) -> Progress:
    checkpoint = saved.latest(events)
    if checkpoint is None:
        return Progress()
    before, asked = checkpoint.state["plan"], plan.shaping()
    if changed := [name for name in asked if before.get(name) != asked[name]]:
        raise InputError(
            f"the checkpoint was made with other settings ({', '.join(changed)})",
            where=str(saved.folder),
            fix="Continue with the settings it was made with, or train in another folder.",
        )
    optimizer.load(checkpoint.tensors, checkpoint.step)
    return Progress(**checkpoint.state["progress"])
