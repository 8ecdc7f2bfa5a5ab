"""Batches that training chokes on: found before they do harm, reported, and passed over.

A loss or a gradient norm that is not finite is an anomaly; so is a loss that jumps: one above

    median + spike * max(1.4826 * MAD, 0.01 * |median|)

of the last `spike_window` updates' losses, where MAD is the median of their distances from their
median, and 1.4826 makes it the standard deviation where they are normal. Median and MAD do not move
when one of the losses is odd, and follow the loss as it falls. The floor keeps a loss that hardly
varies from being called a spike for nothing.

The update of such a batch is never made. What follows is the policy:

    stop      the run ends
    skip      the batch is passed over
    rollback  the weights go back to what they were some updates before, and all batches since are
              passed over: what led to a spike may lie in the batches before it (the PaLM report,
              arXiv 2204.02311 §5.1, does so by hand)

A rollback goes to the last step that `rollback_every` divides and that lies at least half of that
back. Checkpoints of these steps are saved and kept for it; others, made when a signal came or as
often as the user likes, play no part in the result, so that a run that was killed in between ends
with the same bytes.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llamakit.artifacts.files import atomic_file
from llamakit.errors import LlamakitError
from llamakit.events import Events
from llamakit.training.metrics import DISK_FULL
from llamakit.training.plan import TrainingPlan
from llamakit.training.progress import Progress

ANOMALIES = "anomalies.jsonl"
_TO_SIGMA = 1.4826
_FLOOR = 0.01
# Steps over which anomalies are counted against the limit.
_SPAN = 200
_SHOWN = 5


@dataclass(frozen=True)
class Anomaly:
    """What was wrong with a step's batch, before its update."""

    what: str
    """In words."""
    loss: float
    """Its mean loss, perhaps not finite."""


def spike_limit(losses: list[float], plan: TrainingPlan) -> float:
    """The loss above which the next one is a spike; infinite while there are too few."""
    if not plan.spike or len(losses) < plan.spike_window:
        return math.inf
    median = statistics.median(losses)
    deviation = _TO_SIGMA * statistics.median(abs(loss - median) for loss in losses)
    return median + plan.spike * max(deviation, _FLOOR * abs(median))


def judge(loss: float, losses: list[float], plan: TrainingPlan) -> Anomaly | None:
    """Whether a batch's mean loss is an anomaly.

    Args:
        losses: of the last updates.
    """
    if not math.isfinite(loss):
        return Anomaly(f"the loss is {loss}", loss)
    limit = spike_limit(losses, plan)
    if loss <= limit:
        return None
    median = statistics.median(losses)
    return Anomaly(
        f"the loss jumped to {loss:.4g}, from {median:.4g} in the updates before (limit"
        f" {limit:.4g})",
        loss,
    )


def remember(losses: list[float], loss: float, plan: TrainingPlan) -> None:
    """Add an update's loss to the last ones."""
    if plan.spike:
        losses.append(loss)
        del losses[: -plan.spike_window]


def rollback_target(step: int, plan: TrainingPlan) -> int:
    """The number of finished steps to which an anomaly in `step` takes the run back."""
    return max(0, step - plan.rollback_every // 2) // plan.rollback_every * plan.rollback_every


def record(anomaly: Anomaly, progress: Progress, plan: TrainingPlan) -> None:
    """Enter an anomaly of the step at hand into the run's books: its batch will be passed over, and
    with a rollback all batches since the step gone back to.
    """
    begin = end = progress.step
    if plan.on_anomaly == "rollback":
        begin = rollback_target(end, plan)
    progress.passed_over.append([begin, end + 1])
    progress.anomalies.append(
        {
            "step": end + 1,
            "what": anomaly.what,
            "loss": anomaly.loss if math.isfinite(anomaly.loss) else None,
            "policy": plan.on_anomaly,
            "passed_over": [begin + 1, end + 1],
        }
    )


def refusal(anomaly: Anomaly, progress: Progress, plan: TrainingPlan) -> LlamakitError | None:
    """The error that ends the run after an anomaly was recorded, if it must end."""
    step = progress.step + 1
    where = f"training diverged at step {step:,} of {plan.steps:,}: {anomaly.what}"
    fix = "Lower the learning rate, warm up longer, or clip."
    if plan.on_anomaly == "stop":
        return LlamakitError(where, fix=f"The last checkpoint is kept. {fix}")
    recent = sum(entry["step"] > step - _SPAN for entry in progress.anomalies)
    if recent > plan.anomaly_limit:
        return LlamakitError(
            f"{where}. It is anomaly {recent} in {_SPAN} steps, more than {plan.anomaly_limit}",
            fix=f"The last checkpoint is kept. {fix}",
        )
    return None


def report(path: Path, progress: Progress, ids: Callable[[int], list[str]]) -> None:
    """Write all anomalies so far, each with what its batch was made of, as JSON lines.

    Written whole each time: what a checkpoint that a run continues from does not know did not
    happen. On a full disk it waits for the next time.
    """
    if not progress.anomalies:
        path.unlink(missing_ok=True)
        return
    rows = [{**entry, "ids": ids(entry["step"] - 1)} for entry in progress.anomalies]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise


def warn(events: Events, progress: Progress, ids: list[str]) -> None:
    """Tell of the newest anomaly."""
    entry = progress.anomalies[-1]
    first, last = entry["passed_over"]
    after = {
        "stop": "the run stops",
        "skip": "its batch is passed over",
        "rollback": f"back to step {first - 1:,}, and the batches of steps {first:,} to {last:,} "
        "are passed over",
    }[entry["policy"]]
    shown = ", ".join(ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    events.warn(
        f"step {entry['step']:,}: {entry['what']}; {after}. The batch: {shown}{more}"
        f" (log/{ANOMALIES})"
    )
