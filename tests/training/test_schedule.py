"""The learning rate against its formula."""

from __future__ import annotations

import math

import pytest

from llamakit.errors import UsageError
from llamakit.training.plan import TrainingPlan
from llamakit.training.schedule import learning_rate


def test_the_papers_schedule() -> None:
    plan = TrainingPlan(steps=500_000, lr=3e-4, warmup_steps=2000)
    assert learning_rate(0, plan) == pytest.approx(3e-4 / 2000)
    assert learning_rate(999, plan) == pytest.approx(1.5e-4)
    assert learning_rate(1999, plan) == pytest.approx(3e-4)
    middle = 2000 + 498_000 // 2
    assert learning_rate(middle, plan) == pytest.approx(3e-4 * 0.55)
    assert learning_rate(499_999, plan) == pytest.approx(3e-5, rel=1e-6)


def test_cosine_equals_the_formula_at_every_step() -> None:
    plan = TrainingPlan(steps=50, lr=2.0, warmup_steps=5, min_lr_ratio=0.2)
    for step in range(5, 50):
        share = 0.5 * (1 + math.cos(math.pi * (step - 5) / 45))
        assert learning_rate(step, plan) == pytest.approx(0.4 + 1.6 * share)
    rates = [learning_rate(step, plan) for step in range(50)]
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_constant_after_warmup() -> None:
    plan = TrainingPlan(steps=10, lr=1e-6, schedule="constant", warmup_steps=2)
    assert [learning_rate(s, plan) for s in range(4)] == [5e-7, 1e-6, 1e-6, 1e-6]


def test_warmup_over_the_whole_run() -> None:
    plan = TrainingPlan(steps=4, lr=1.0, warmup_steps=4)
    assert [learning_rate(s, plan) for s in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_a_warmup_longer_than_the_run_is_refused() -> None:
    with pytest.raises(UsageError, match="warm-up of 11 steps in a run of 10"):
        TrainingPlan(steps=10, lr=1.0, warmup_steps=11)
