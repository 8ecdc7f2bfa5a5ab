"""The one training loop: pretraining, fine-tuning and reward models all run through `fit`.

What is trained comes in as an objective, what it is trained on as batches; the loop owns gradient
accumulation, the schedule, checkpoints, metrics, anomalies and stopping. Batches are a pure
function of the step and the loop draws no random number, so the step and the optimizer's state are
all that a resumed run needs to end with the very bytes of an uninterrupted one (on the same kind of
processor with the same number of threads: sums are rounded in another order elsewhere).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic

from torch import Tensor, nn

from llamakit.errors import InputError, LlamakitError
from llamakit.events import Events, Task
from llamakit.training import anomalies
from llamakit.training.accumulation import Loss, Objective, accumulate
from llamakit.training.anomalies import ANOMALIES, Anomaly
from llamakit.training.checkpoint import Checkpoint, Checkpoints, Keep
from llamakit.training.heap import freed_memory_kept
from llamakit.training.metrics import METRICS_FILE, MetricsLog
from llamakit.training.optimizer import NotFiniteError, Optimizer
from llamakit.training.parallel import ONE_PROCESS, Parallel
from llamakit.training.plan import TrainingPlan
from llamakit.training.prefetch import B, Batches, Prefetch
from llamakit.training.progress import Pace, Progress
from llamakit.training.recompute import recompute_blocks
from llamakit.training.saving import Saver
from llamakit.training.schedule import learning_rate
from llamakit.training.watch import Watcher, watching

Evaluation = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class FitResult:
    """What came of a run."""

    steps: int
    tokens: int
    """Real tokens trained on, over all attempts."""
    last: Mapping[str, float]
    """The newest of every figure in the metrics log: loss, learning rate, evaluation."""
    anomalies: int
    """Batches that were found to be anomalous."""
    passed_over: int
    """Steps that were passed over for that."""


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
    parallel: Parallel = ONE_PROCESS,
    weights: Iterable[tuple[str, Tensor]] | None = None,
) -> FitResult:
    """Train `model` in place by `plan`, continuing from the newest checkpoint in `checkpoints`.

    Args:
        objective: the loss of one micro-batch.
        batches: read a step ahead in a thread.
        evaluate: called without gradients every `plan.eval_every` steps and after the last; its
            figures join the metrics row.
        log: folder of `metrics.jsonl`, a row for every `plan.log_every` steps: step, loss (mean of
            the updates since the last row), lr, grad_norm, tokens, tokens_per_s, wait_share (of
            the time, for batches), the objective's figures, evaluation; and of `anomalies.jsonl`,
            if there were any.
        utilisation: the share of a device's peak (MFU) that its rate in tokens a second is, for
            log and display.
        watchers: shown every row of the log as it is written, on the process that writes it: with
            a model that is divided among several they cannot compute.
        parallel: the processes that train together. Each calls this with the same model and its
            share of the batches; what is returned and logged is of all.
        weights: of a model on the meta device, every weight by name, as it is to begin.

    Returns:
        What was done. The model is left in `plan.dtype` on `plan.device`; the weights of one that
        is divided are had by `Parallel.weights`.

    Raises:
        LlamakitError: training diverged (`anomalies.py`). Checkpoints before it are kept.
        Stopped: SIGINT or SIGTERM came; the run was saved after the step at hand, or before it if
            that was in the midst of its micro-batches.
    """
    log.mkdir(parents=True, exist_ok=True)
    saved = Checkpoints(checkpoints, keep=_kept(plan), share=parallel.processes)
    if plan.recompute == "blocks":
        recompute_blocks(model)
    parallel.place(model, plan.dtype, plan.device, weights)
    run = _Run(model, objective, batches, plan, saved, log, events, parallel)
    run.resume()
    if plan.compile:
        model.compile()
    done = False
    while not done:
        with (
            events.graceful(),
            freed_memory_kept() if plan.device == "cpu" else nullcontext(),
            Saver(saved, events) as saver,
            Prefetch(batches, end=plan.steps, pin=plan.device.startswith("cuda")) as ahead,
            MetricsLog(
                log / METRICS_FILE if parallel.leads else None, run.progress.step
            ) as metrics,
            watching(watchers if parallel.leads else (), metrics.kept) as watch,
            events.task(label, plan.steps, "steps") as task,
        ):
            if run.progress.step:
                events.note(f"continuing after step {run.progress.step:,} of {plan.steps:,}")
                task.advance(run.progress.step)

            def write(row: Mapping[str, float]) -> None:
                metrics.append(row)
                watch(row, model)

            done = run.train(ahead, saver, task, write, evaluate, utilisation)
        if not done:
            run.roll_back()
    return run.result()


class _Run(Generic[B]):
    """A model in training: its optimizer, and where it stands."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[B],
        batches: Batches[B],
        plan: TrainingPlan,
        saved: Checkpoints,
        log: Path,
        events: Events,
        parallel: Parallel,
    ) -> None:
        self.model = model.train()
        self.objective = objective
        self.batches = batches
        self.plan = plan
        self.saved = saved
        self.log = log
        self.events = events
        self.parallel = parallel
        self.progress = Progress()
        self.optimizer = Optimizer(
            model,
            dtype=plan.dtype,
            betas=plan.betas,
            eps=plan.eps,
            weight_decay=plan.weight_decay,
            clip=plan.clip,
            parallel=parallel,
        )

    def resume(self) -> None:
        """Continue from the newest checkpoint, if there is one."""
        self.parallel.wait()  # the first process has removed what an earlier attempt left
        checkpoint = self.saved.latest(self.events, agreed=self.parallel.all)
        if checkpoint is not None:
            self._check_plan(checkpoint)
            self._take(checkpoint)
        self._report()

    def _check_plan(self, checkpoint: Checkpoint) -> None:
        before, asked = checkpoint.state["plan"], self.plan.shaping()
        if changed := [name for name in asked if before.get(name) != asked[name]]:
            raise InputError(
                f"the checkpoint was made with other settings ({', '.join(changed)})",
                where=str(self.saved.folder),
                fix="Continue with the settings it was made with, or train in another folder.",
            )

    def train(
        self,
        ahead: Prefetch[B],
        saver: Saver,
        task: Task,
        write: Callable[[Mapping[str, float]], None],
        evaluate: Evaluation | None,
        utilisation: Callable[[float], float] | None,
    ) -> bool:
        """Train to the end; or, and then it says False, until the run has to go back."""
        plan, progress, events = self.plan, self.progress, self.events
        pace = Pace()
        if progress.step == 0 and plan.on_anomaly == "rollback":
            self._save(saver)
        while progress.step < plan.steps:
            lr = learning_rate(progress.step, plan)
            figures: Mapping[str, float] = {}
            if not progress.passes_over(progress.step):
                started = time.perf_counter()
                micro_batches, waited = ahead.take(progress.step)
                try:
                    outcome = self._update(self._until_stopped(micro_batches), lr)
                except _StoppedError:
                    self._save_and_stop(saver)
                    raise
                if isinstance(outcome, Anomaly):
                    self._enter(outcome)
                    if plan.on_anomaly == "rollback":
                        return False
                    continue
                figures = outcome
                tokens = self.parallel.total(sum(batch.tokens for batch in micro_batches))
                progress.add(tokens, figures)
                pace.add(tokens, time.perf_counter() - started, waited)
            progress.step += 1
            last = progress.step == plan.steps
            evaluation: Mapping[str, float] = {}
            if evaluate is not None and (last or _divides(plan.eval_every, progress.step)):
                evaluation = evaluate(self.model)
                self.parallel.after_evaluation(self.model)
            speed = pace.figures(utilisation, self.parallel.processes.world)
            if last or evaluation or _divides(plan.log_every, progress.step):
                write({**progress.row(lr, evaluation), **speed})
                pace = Pace()
            _show(task, {**figures, "lr": lr, **speed})
            if self.parallel.stopping(events):
                self._save_and_stop(saver)
            saver.poll()
            if not last and self._is_due(progress.step):
                self._save(saver)
        return True

    def _update(self, micro_batches: Iterable[B], lr: float) -> dict[str, float] | Anomaly:
        """One optimizer step: the batch's mean loss and figures and the gradient norm; or what is
        wrong with the batch, and then nothing has changed.
        """

        def backward(loss: Loss) -> None:
            loss.total.backward()  # type: ignore[no-untyped-call]
            self.optimizer.gather()

        try:
            figures = accumulate(
                self.model,
                self.objective,
                micro_batches,
                self.plan.device,
                after=backward,
                parallel=self.parallel,
            )
        except _StoppedError:
            self.optimizer.forget()
            raise
        count, loss = figures.pop("count"), figures["loss"]
        if anomaly := anomalies.judge(loss, self.progress.losses, self.plan):
            self.optimizer.forget()
            return anomaly
        try:
            # A batch may hold no target (every row masked): its gradient is zero, not 0 / 0.
            norm = self.optimizer.step(lr, 1 / count if count else 0.0)
        except NotFiniteError as error:
            return Anomaly(error.what, loss)
        anomalies.remember(self.progress.losses, loss, self.plan)
        return {**figures, "grad_norm": norm}

    def _enter(self, anomaly: Anomaly) -> None:
        """Enter an anomaly of the step at hand into the books: its batch will be passed over.

        Raises:
            LlamakitError: the run must end.
        """
        anomalies.record(anomaly, self.progress, self.plan)
        self._report()
        anomalies.warn(self.events, self.progress, self.batches.ids(self.progress.step))
        if refusal := anomalies.refusal(anomaly, self.progress, self.plan):
            raise refusal

    def _report(self) -> None:
        if self.parallel.leads:
            anomalies.report(self.log / ANOMALIES, self.progress, self.batches.ids)

    def _until_stopped(self, micro_batches: Iterable[B]) -> Iterator[B]:
        """A large batch takes long; whoever asks for a stop need not wait for its end."""
        for micro_batch in micro_batches:
            if self.parallel.stopping(self.events):
                raise _StoppedError
            yield micro_batch

    def roll_back(self) -> None:
        """Go back to before the newest anomaly; the books stay as they are.

        From an earlier checkpoint than that of the step to go back to (which a full disk may have
        prevented) the same weights are trained once more.

        Raises:
            LlamakitError: there is no checkpoint to go back to.
        """
        books = self.progress
        target = books.passed_over[-1][0]
        self.parallel.wait()  # the first process makes a checkpoint of what all have written
        checkpoint = self.saved.latest(self.events, agreed=self.parallel.all, at_most=target)
        if checkpoint is None:
            raise LlamakitError(
                f"there is no checkpoint of step {target:,} or before to go back to",
                where=str(self.saved.folder),
                fix="Checkpoints could not be saved: see to the disk, and run the command again.",
            )
        self.saved.drop_after(checkpoint.step)
        self._take(checkpoint)
        self.progress.anomalies, self.progress.passed_over = books.anomalies, books.passed_over

    def result(self) -> FitResult:
        """What came of it."""
        progress = self.progress
        if not progress.updates:
            raise LlamakitError(
                "not one batch could be trained on",
                fix="Each one's loss or gradient was not finite: look at the data and its log.",
            )
        return FitResult(
            steps=progress.step,
            tokens=progress.tokens,
            last=progress.last,
            anomalies=len(progress.anomalies),
            passed_over=sum(progress.passes_over(step) for step in range(progress.step)),
        )

    def _is_due(self, step: int) -> bool:
        every = [self.plan.checkpoint_every]
        if self.plan.on_anomaly == "rollback":
            every.append(self.plan.rollback_every)
        return any(_divides(each, step) for each in every)

    def _save(self, saver: Saver) -> None:
        state = {"plan": self.plan.shaping(), "progress": asdict(self.progress)}
        tensors = self.parallel.pieces(self.optimizer.tensors())
        saver.save(self.progress.step, tensors, state)

    def _save_and_stop(self, saver: Saver) -> None:
        self._save(saver)
        saver.finish()
        self.events.raise_if_stopping()

    def _take(self, checkpoint: Checkpoint) -> None:
        self.progress = Progress(**checkpoint.state["progress"])
        self.optimizer.load(self.parallel.parts(checkpoint.tensors), self.progress.updates)


class _StoppedError(Exception):
    """A stop was asked for between two micro-batches."""


def _divides(every: int, step: int) -> bool:
    return bool(every) and step % every == 0


def _kept(plan: TrainingPlan) -> Keep:
    of = plan.rollback_every if plan.on_anomaly == "rollback" else 0
    return Keep(every=plan.keep_every, last_of=of)


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
