"""The loop: accumulation, resume to the byte, stopping, divergence, logs."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from llamakit.errors import InputError, LlamakitError, Stopped
from llamakit.events import Events
from llamakit.training.accumulation import Loss, Objective, accumulate, mean_loss
from llamakit.training.loop import FitResult, fit
from llamakit.training.metrics import read_metrics
from llamakit.training.plan import Precision, TrainingPlan
from tests.training.small import (
    MICRO_BATCHES,
    Net,
    RandomRows,
    Rows,
    squared_error,
    stopping,
)

PLAN = TrainingPlan(steps=12, lr=0.02, warmup_steps=2, log_every=5, checkpoint_every=4)


def train(
    folder: Path,
    plan: TrainingPlan = PLAN,
    batches: RandomRows | None = None,
    events: Events | None = None,
    model: nn.Module | None = None,
    objective: Objective[Rows] = squared_error,
) -> tuple[nn.Module, FitResult]:
    model = model or Net()
    result = fit(
        model,
        objective,
        batches or RandomRows(),
        plan,
        checkpoints=folder / "checkpoints",
        log=folder / "log",
        events=events or Events(),
        evaluate=lambda m: {
            "validation_loss": mean_loss(m, squared_error, RandomRows().batch(99), "cpu")["loss"]
        },
    )
    return model, result


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_it_learns(tmp_path: Path) -> None:
    _, result = train(tmp_path, replace(PLAN, steps=200, warmup_steps=10))
    rows = read_metrics(tmp_path / "log" / "metrics.jsonl")
    assert rows[-1]["loss"] < rows[0]["loss"] / 2
    assert rows[-1]["close"] > rows[0]["close"]
    assert result.steps == 200
    assert result.last["validation_loss"] == rows[-1]["validation_loss"]


def test_micro_batches_weigh_as_their_targets_do(tmp_path: Path) -> None:
    whole, _ = train(tmp_path / "whole", batches=RandomRows(micro_rows=8))
    split, _ = train(tmp_path / "split", batches=RandomRows(micro_rows=1))
    for a, b in zip(whole.parameters(), split.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    # The mean of micro-batch means, which is wrong, would be far from this.
    means = [squared_error(whole, rows) for rows in RandomRows(micro_rows=1).batch(3)]
    wrong = sum(float(m.total.detach() / m.count) for m in means if m.count) / len(means)
    right = accumulate(whole, squared_error, RandomRows(micro_rows=3).batch(3), "cpu")["loss"]
    assert abs(wrong - right) > 0.01 * right


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_stopped_anywhere_and_resumed_gives_the_same_bytes(
    tmp_path: Path, dtype: Precision
) -> None:
    plan = replace(PLAN, dtype=dtype)
    straight, result = train(tmp_path / "straight", plan)
    # In the midst of a step, and in its last micro-batch: the first of these is done again.
    for stop in (0, 2, 9, 11, 13, 20, 31, 35):
        folder = tmp_path / f"stopped-{stop}"
        events = Events()
        with pytest.raises(Stopped) as stopped:
            train(folder, plan, events=events, objective=stopping(events, stop))
        assert stopped.value.exit_code == 143
        done = stop // MICRO_BATCHES + (stop % MICRO_BATCHES == MICRO_BATCHES - 1)
        assert f"step-{done:08d}" in {p.name for p in (folder / "checkpoints").iterdir()}
        # Another start: what is trained must come from the checkpoint alone.
        resumed, again = train(folder, plan, model=Net(seed=5))
        assert again == result
        for name, value in weights(straight).items():
            assert torch.equal(value, weights(resumed)[name]), (stop, name)
        logs = [
            read_metrics(tmp_path / f / "log" / "metrics.jsonl") for f in ("straight", folder.name)
        ]
        for row in (*logs[0], *logs[1]):
            del row["tokens_per_s"], row["wait_share"]
        assert logs[0] == logs[1]


def test_killed_between_checkpoints_gives_the_same_bytes(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    @dataclass(frozen=True)
    class Killing(RandomRows):
        def batch(self, step: int) -> list[Rows]:
            if step == 10:
                raise KilledError
            return super().batch(step)

    with pytest.raises(KilledError):
        train(tmp_path / "killed", batches=Killing())
    names = sorted(p.name for p in (tmp_path / "killed" / "checkpoints").iterdir())
    assert names == ["step-00000004", "step-00000008"]
    resumed, _ = train(tmp_path / "killed", model=Net(seed=5))
    straight, _ = train(tmp_path / "straight")
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("file", ["rank-00000.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_costs_steps_and_nothing_else(
    tmp_path: Path, file: str
) -> None:
    events = Events()
    with pytest.raises(Stopped):
        train(tmp_path / "a", events=events, objective=stopping(events, 10 * MICRO_BATCHES))
    newest = tmp_path / "a" / "checkpoints" / "step-00000010" / file
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    resumed, _ = train(tmp_path / "a", model=Net(seed=5))
    straight, _ = train(tmp_path / "straight")
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_disk_that_is_full_for_a_while_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told(Events):
        def warn(self, text: str) -> None:
            told.append(text)

    told: list[str] = []
    sync, calls = os.fsync, iter(range(10**6))

    def full(descriptor: int) -> None:
        if 9 <= next(calls) < 14:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        trained, _ = train(tmp_path / "a", replace(PLAN, checkpoint_every=1), events=Told())
    assert told
    assert all("could not be saved" in text for text in told)
    straight, _ = train(tmp_path / "straight")
    for a, b in zip(straight.parameters(), trained.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_is_deterministic(tmp_path: Path) -> None:
    first, _ = train(tmp_path / "a")
    torch.manual_seed(123)  # the global generator plays no part
    second, _ = train(tmp_path / "b")
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_signal_saves_at_once(tmp_path: Path) -> None:
    events = Events()
    plan = replace(PLAN, checkpoint_every=0)
    with pytest.raises(Stopped):
        train(tmp_path, plan, events=events, objective=stopping(events, 5 * MICRO_BATCHES))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_divergence_names_the_step_and_keeps_the_checkpoint(
    tmp_path: Path, dtype: Precision
) -> None:
    def diverging(model: nn.Module, rows: Rows) -> Loss:
        loss = squared_error(model, rows)
        diverging.calls += 1  # type: ignore[attr-defined]
        poison = float("nan") if diverging.calls > 15 else 1.0  # type: ignore[attr-defined]
        return Loss(loss.total * poison, loss.count)

    diverging.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(LlamakitError, match="diverged at step 6 of 12: the loss is nan"):
        fit(
            Net(),
            diverging,
            RandomRows(),
            replace(PLAN, dtype=dtype),
            checkpoints=tmp_path / "checkpoints",
            log=tmp_path / "log",
            events=Events(),
        )
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000004"]


def test_rows_of_the_log(tmp_path: Path) -> None:
    train(tmp_path, replace(PLAN, eval_every=6))
    rows = read_metrics(tmp_path / "log" / "metrics.jsonl")
    assert [row["step"] for row in rows] == [5, 6, 10, 12]
    assert ["validation_loss" in row for row in rows] == [False, True, False, True]
    assert set(rows[0]) == {
        "step", "loss", "lr", "grad_norm", "close", "tokens", "tokens_per_s", "wait_share",
    }  # fmt: skip
    assert [row["tokens"] for row in rows] == [40, 48, 80, 96]


def test_other_settings_do_not_continue_a_run(tmp_path: Path) -> None:
    events = Events()
    with pytest.raises(Stopped):
        train(tmp_path, PLAN, events=events, objective=stopping(events, 15))
    with pytest.raises(InputError, match=r"made with other settings \(lr\)"):
        train(tmp_path, replace(PLAN, lr=0.5))
    train(tmp_path, replace(PLAN, log_every=3, checkpoint_every=2))  # cadences may change


def test_a_batch_without_targets_moves_nothing_by_its_gradient(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Empty(RandomRows):
        def batch(self, step: int) -> list[Rows]:
            return [replace(r, mask_BT=torch.zeros_like(r.mask_BT)) for r in super().batch(step)]

    model, result = train(
        tmp_path, replace(PLAN, steps=1, warmup_steps=0, weight_decay=0.0), batches=Empty()
    )
    for a, b in zip(model.parameters(), Net().parameters(), strict=True):
        assert torch.equal(a, b)
    assert result.last["loss"] == 0.0


def test_progress_is_told_live(tmp_path: Path) -> None:
    class Seen(Events):
        def __init__(self) -> None:
            super().__init__()
            self.figures: list[dict[str, object]] = []

        def task(self, label: str, total: int | None = None, unit: str = ""):  # type: ignore[no-untyped-def]
            task = super().task(label, total, unit)
            seen = self.figures
            plain = task.advance
            task.advance = lambda n=1, **f: (seen.append(f), plain(n))[1]  # type: ignore[method-assign]
            return task

    events = Seen()
    train(tmp_path, events=events)
    assert len(events.figures) == PLAN.steps
    assert set(events.figures[0]) == {"loss", "lr", "grad", "tok/s"}


def test_a_real_sigterm_saves_and_then_stops(tmp_path: Path) -> None:
    events = Events()

    def signalling(model: nn.Module, rows: Rows) -> Loss:
        if torch.equal(rows.x_BD, RandomRows().batch(2)[2].x_BD):
            os.kill(os.getpid(), signal.SIGTERM)
        return squared_error(model, rows)

    before = signal.signal(signal.SIGTERM, lambda number, frame: events.stop(number))
    try:
        with pytest.raises(Stopped) as stopped:
            train(tmp_path, events=events, objective=signalling)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.signal == signal.SIGTERM
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]


def test_a_compiled_model_keeps_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))  # noqa: PLW0108
    model, _ = train(tmp_path, replace(PLAN, compile=True))
    assert compiled == [model]
    assert set(weights(model)) == set(weights(Net()))
