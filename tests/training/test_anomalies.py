"""Batches that training chokes on: found before they do harm, told, and passed over; and all of it
again the same when the run is killed in between."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llamakit.errors import LlamakitError, Stopped
from llamakit.events import Events
from llamakit.training.accumulation import Loss
from llamakit.training.anomalies import judge, rollback_target, spike_limit
from llamakit.training.loop import FitResult, fit
from llamakit.training.metrics import read_metrics
from llamakit.training.plan import AnomalyPolicy, TrainingPlan
from tests.training.small import Net, RandomRows, Rows, squared_error

PLAN = TrainingPlan(
    steps=40, lr=0.01, warmup_steps=2, log_every=5, checkpoint_every=7,
    spike=10.0, spike_window=8, rollback_every=10,
)  # fmt: skip


class Told(Events):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


class KilledError(BaseException):
    """As suddenly as SIGKILL, but the test lives on."""


def poisoned(
    faults: dict[int, float], kill_at: int | None = None, by_gradient: bool = False
) -> Callable[[nn.Module, Rows], Loss]:
    """The loss of the steps in `faults` is multiplied; known by the batch alone, as in life."""
    firsts = [RandomRows().batch(step)[0].x_BD for step in range(PLAN.steps)]

    def step_of(rows: Rows) -> int | None:
        return next((s for s, x_BD in enumerate(firsts) if torch.equal(x_BD, rows.x_BD)), None)

    def objective(model: nn.Module, rows: Rows) -> Loss:
        loss, step = squared_error(model, rows), step_of(rows)
        if step is not None and step == kill_at:
            raise KilledError
        if step not in faults:
            return loss
        if by_gradient:
            loss.total.register_hook(lambda gradient: gradient * faults[step])
            return loss
        return replace(loss, total=loss.total * faults[step])

    return objective


def train(
    folder: Path, plan: TrainingPlan, objective: Callable[[nn.Module, Rows], Loss], seed: int = 0
) -> tuple[dict[str, Tensor], FitResult, list[str]]:
    events, model = Told(), Net(seed)
    result = fit(
        model, objective, RandomRows(), plan,
        checkpoints=folder / "checkpoints", log=folder / "log", events=events,
    )  # fmt: skip
    return dict(model.named_parameters()), result, events.warnings


def rows(folder: Path, name: str = "anomalies.jsonl") -> list[dict[str, Any]]:
    found = read_metrics(folder / "log" / name)
    for row in found:
        row.pop("tokens_per_s", None)
        row.pop("wait_share", None)
    return found


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


# The rule.


def test_the_limit_is_median_and_mad() -> None:
    losses = np.random.default_rng(0).normal(3.0, 0.2, 8).tolist()
    median = float(np.median(losses))
    mad = float(np.median(np.abs(np.array(losses) - median)))
    assert spike_limit(losses, PLAN) == pytest.approx(median + 10 * 1.4826 * mad, abs=1e-12)
    assert judge(spike_limit(losses, PLAN) + 1e-6, losses, PLAN) is not None
    assert judge(spike_limit(losses, PLAN) - 1e-6, losses, PLAN) is None


def test_before_the_window_is_full_nothing_is_a_spike() -> None:
    assert judge(1e9, [3.0] * 7, PLAN) is None
    assert judge(1e9, [3.0] * 8, PLAN) is not None
    assert judge(1e9, [3.0] * 8, replace(PLAN, spike=0.0)) is None


def test_losses_that_hardly_vary_do_not_make_a_spike_of_nothing() -> None:
    assert judge(3.29, [3.0] * 8, PLAN) is None  # 10 times 1% of 3
    assert judge(3.31, [3.0] * 8, PLAN) is not None


def test_one_odd_loss_does_not_hide_the_next() -> None:
    assert judge(9.0, [3.0, 3.1, 2.9, 8.0, 3.0, 3.05, 2.95, 3.1], PLAN) is not None


def test_normal_losses_are_no_spikes() -> None:
    plan = replace(PLAN, spike_window=128)
    generator = np.random.default_rng(1)
    losses = (
        3.0 + 2.0 * np.exp(-np.arange(20_000) / 500) + generator.normal(0, 0.1, 20_000)
    ).tolist()
    assert not any(judge(losses[i], losses[i - 128 : i], plan) for i in range(128, 20_000, 7))


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_an_anomaly_from_the_first_step_on(loss: float) -> None:
    assert judge(loss, [], PLAN) is not None


def test_a_rollback_goes_half_its_distance_back_at_least() -> None:
    targets = [rollback_target(step, PLAN) for step in (0, 4, 5, 9, 10, 14, 15, 24, 25, 40)]
    assert targets == [0, 0, 0, 0, 0, 0, 10, 10, 20, 30]


# The policies.

NAN, JUMP = {17: math.nan}, {17: 1e4}


@pytest.mark.parametrize("fault", [NAN, JUMP, {17: math.inf}])
@pytest.mark.parametrize("by_gradient", [False, True])
def test_stop(tmp_path: Path, fault: dict[int, float], by_gradient: bool) -> None:
    if by_gradient and fault is JUMP:
        return  # a large gradient is clipped, and no anomaly
    with pytest.raises(LlamakitError, match="diverged at step 18 of 40") as stopped:
        train(tmp_path, PLAN, poisoned(fault, by_gradient=by_gradient))
    assert ("gradient norm" in str(stopped.value)) == by_gradient
    (row,) = rows(tmp_path)
    assert row["step"] == 18
    assert row["ids"] == [f"17-{i}" for i in range(8)]
    assert (row["loss"] is None) == (fault is not JUMP and not by_gradient)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000007", "step-00000014"]


@pytest.mark.parametrize("fault", [NAN, JUMP])
def test_skip_is_training_without_that_batch(tmp_path: Path, fault: dict[int, float]) -> None:
    plan = replace(PLAN, on_anomaly="skip")
    weights, result, warnings = train(tmp_path / "a", plan, poisoned(fault))
    assert (result.steps, result.anomalies, result.passed_over) == (40, 1, 1)
    assert result.tokens == 39 * 8
    assert len(warnings) == 1
    assert warnings[0].startswith("step 18: the loss ")
    assert "17-0, 17-1, 17-2, 17-3, 17-4 and 3 more" in warnings[0]
    (row,) = rows(tmp_path / "a")
    assert (row["policy"], row["passed_over"]) == ("skip", [18, 18])
    # The oracle: the optimizer by hand, over all batches but that one.
    assert_equal(weights, by_hand(plan, leave_out=range(17, 18)))


def test_rollback_is_training_without_the_batches_since(tmp_path: Path) -> None:
    plan = replace(PLAN, on_anomaly="rollback")
    weights, result, warnings = train(tmp_path, plan, poisoned(JUMP))
    assert (result.anomalies, result.passed_over) == (1, 8)
    assert "back to step 10, and the batches of steps 11 to 18 are passed over" in warnings[0]
    assert_equal(weights, by_hand(plan, leave_out=range(10, 18)))
    # The log is one of the way that was taken.
    log = rows(tmp_path, "metrics.jsonl")
    assert [row["step"] for row in log] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert [("loss" in row) for row in log] == [True, True, False, True, True, True, True, True]
    assert [row["tokens"] for row in log][:4] == [40, 80, 80, 96]


def by_hand(plan: TrainingPlan, leave_out: range) -> dict[str, Tensor]:
    from llamakit.training.optimizer import Optimizer
    from llamakit.training.schedule import learning_rate

    model = Net()
    optimizer = Optimizer(
        model, dtype="fp32", betas=plan.betas, eps=plan.eps,
        weight_decay=plan.weight_decay, clip=plan.clip,
    )  # fmt: skip
    for step in range(plan.steps):
        if step in leave_out:
            continue
        losses = [squared_error(model, batch) for batch in RandomRows().batch(step)]
        for loss in losses:
            loss.total.backward()  # type: ignore[no-untyped-call]
            optimizer.gather()
        count = sum(float(loss.count) for loss in losses)
        optimizer.step(learning_rate(step, plan), 1 / count)
    return dict(model.named_parameters())


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_more_than_the_limit_ends_the_run(tmp_path: Path, policy: AnomalyPolicy) -> None:
    plan = replace(PLAN, on_anomaly=policy, anomaly_limit=2)
    faults = {12: math.nan, 22: 1e4, 29: math.nan}
    with pytest.raises(LlamakitError, match="It is anomaly 3 in 200 steps, more than 2"):
        train(tmp_path, plan, poisoned(faults))
    assert [row["step"] for row in rows(tmp_path)] == [13, 23, 30]
    _, result, _ = train(tmp_path / "b", replace(plan, anomaly_limit=3), poisoned(faults))
    assert result.anomalies == 3


def test_not_one_good_batch_is_an_error(tmp_path: Path) -> None:
    plan = replace(PLAN, steps=3, on_anomaly="skip")
    with pytest.raises(LlamakitError, match="not one batch could be trained on"):
        train(tmp_path, plan, poisoned(dict.fromkeys(range(3), math.nan)))


# Killed and stopped in between.


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_killed_anywhere_it_ends_the_same(tmp_path: Path, policy: AnomalyPolicy) -> None:
    plan = replace(PLAN, on_anomaly=policy)
    faults = {12: 1e4, 27: math.nan, 36: 1e4}
    weights, result, _ = train(tmp_path / "straight", plan, poisoned(faults))
    assert result.anomalies == 3
    for kill_at in (3, 8, 11, 13, 16, 20, 26, 28, 33, 39):
        folder = tmp_path / f"killed-{kill_at}"
        with pytest.raises(KilledError):
            train(folder, plan, poisoned(faults, kill_at))
        # Other first weights: what there is a checkpoint of must come from it.
        begun = any((folder / "checkpoints").glob("step-*"))
        again, result_again, _ = train(folder, plan, poisoned(faults), seed=5 if begun else 0)
        assert_equal(weights, again)
        assert result_again == result
        assert rows(folder) == rows(tmp_path / "straight")
        assert rows(folder, "metrics.jsonl") == rows(tmp_path / "straight", "metrics.jsonl")


@pytest.mark.parametrize("stop_at", [4, 14, 18, 19, 25])
def test_a_checkpoint_made_for_a_signal_does_not_move_the_rollback(
    tmp_path: Path, stop_at: int
) -> None:
    plan = replace(PLAN, on_anomaly="rollback")
    faults = {17: 1e4, 21: math.nan}
    weights, _, _ = train(tmp_path / "straight", plan, poisoned(faults))
    plain, events = poisoned(faults), Told()

    def objective(model: nn.Module, rows: Rows) -> Loss:
        if any(torch.equal(b.x_BD, rows.x_BD) for b in RandomRows().batch(stop_at)[1:2]):
            events.stop(15)
        return plain(model, rows)

    folder = tmp_path / "stopped"
    try:
        fit(
            Net(), objective, RandomRows(), plan,
            checkpoints=folder / "checkpoints", log=folder / "log", events=events,
        )  # fmt: skip
    except Stopped:
        again, _, _ = train(folder, plan, plain, seed=5)
        assert_equal(weights, again)
    else:
        assert stop_at in {14, 18}  # never trained on


def test_a_lost_checkpoint_makes_a_rollback_longer_and_not_different(tmp_path: Path) -> None:
    """An earlier one leads to the same weights."""
    plan = replace(PLAN, on_anomaly="rollback")
    weights, _, _ = train(tmp_path / "a", plan, poisoned({27: 1e4}))
    plain = poisoned({27: 1e4})

    def objective(model: nn.Module, rows: Rows) -> Loss:
        if torch.equal(rows.x_BD, RandomRows().batch(26)[0].x_BD):
            path = tmp_path / "b" / "checkpoints" / "step-00000020" / "rank-00000.safetensors"
            path.write_bytes(path.read_bytes()[:-1])
        return plain(model, rows)

    again, result, warnings = train(tmp_path / "b", plan, objective)
    assert_equal(weights, again)
    assert result.anomalies == 1
    assert "step-00000020 is broken" in warnings[1]


def test_the_report_is_json_without_nan(tmp_path: Path) -> None:
    train(tmp_path, replace(PLAN, on_anomaly="skip"), poisoned({3: math.nan, 30: 1e4}))
    lines = (tmp_path / "log" / "anomalies.jsonl").read_text().splitlines()
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert first["loss"] is None
    assert first["what"] == "the loss is nan"
    assert second["loss"] > 0


def test_a_report_of_another_attempt_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "anomalies.jsonl").write_text('{"step": 3}\n')
    train(tmp_path, PLAN, poisoned({}))
    assert not (tmp_path / "log" / "anomalies.jsonl").exists()
