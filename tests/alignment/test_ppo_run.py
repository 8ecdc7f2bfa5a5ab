"""A PPO run: resumed to the byte, stopped by signals and guards, the best policy kept."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from llamakit.alignment.ppo import Ppo
from llamakit.alignment.ppo_report import ppo_page
from llamakit.alignment.ppo_run import HELDOUT, METRICS, Limits, PpoResult, train
from llamakit.errors import Stopped
from llamakit.events import SILENT, Events, Task
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.metrics import read_metrics
from tests.alignment.small import prompts

LIMITS = Limits(eval_every=2, patience=50, checkpoint_every=2)


class StopsAfter(Events):
    """Asks for a stop once `iterations` are done."""

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        events = self

        class Counting(Task):
            def advance(self, n: int = 1, **figures: float | int | str) -> None:
                super().advance(n)
                if label == "ppo" and n and self.done == events.iterations:
                    events.stop(signal.SIGTERM)

        return Counting(label, total, unit)


def run(
    ppo: Ppo,
    vocabulary: Vocabulary,
    folder: Path,
    limits: Limits = LIMITS,
    events: Events = SILENT,
    heldout: int = 4,
) -> PpoResult:
    every = prompts(vocabulary, 6 + heldout)
    return train(
        ppo,
        every[:6],
        every[6:],
        limits,
        checkpoints=folder / "checkpoints",
        log=folder / "log",
        events=events,
    )


def weights(ppo: Ppo) -> list[Tensor]:
    state = {**ppo.policy_optimizer.tensors()}
    return [
        *ppo.policy.parameters(),
        *ppo.value_model.parameters(),
        *state.values(),
        *ppo.value_optimizer.tensors().values(),
    ]


def figures(path: Path) -> list[dict[str, object]]:
    return [
        {name: value for name, value in row.items() if not name.startswith("seconds")}
        for row in read_metrics(path)
    ]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_18_resume_is_bit_equal(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path, stop_after: int
) -> None:
    settings = {"iterations": 5, "critic_warmup": 1, "lr": 3e-3}
    whole = make_ppo(**settings)
    expected = run(whole, vocabulary, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(make_ppo(**settings), vocabulary, tmp_path / "cut", events=StopsAfter(stop_after))
    resumed = make_ppo(**settings)
    result = run(resumed, vocabulary, tmp_path / "cut")
    assert result == expected
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    for name in (METRICS, HELDOUT):
        assert figures(tmp_path / "cut" / "log" / name) == figures(
            tmp_path / "whole" / "log" / name
        )


def test_18_a_kill_between_checkpoints_is_bit_equal(
    make_ppo: Callable[..., Ppo],
    vocabulary: Vocabulary,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make_ppo(iterations=5)
    expected = run(whole, vocabulary, tmp_path / "whole")
    killed = make_ppo(iterations=5)
    step = killed.step

    def dies(iteration: int, *rest: object) -> dict[str, float]:
        if iteration == 3:
            raise KeyboardInterrupt
        return step(iteration, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(killed, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        run(killed, vocabulary, tmp_path / "cut")
    resumed = make_ppo(iterations=5)
    assert run(resumed, vocabulary, tmp_path / "cut") == expected
    assert all(map(torch.equal, weights(whole), weights(resumed)))


def test_the_best_policy_is_kept_and_not_the_last(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """A learning rate that wrecks the policy: what is kept is the policy of the best check."""
    ppo = make_ppo(iterations=4, lr=1.0)
    start = {name: weight.clone() for name, weight in ppo.policy.named_parameters()}
    result = run(ppo, vocabulary, tmp_path)
    checks = read_metrics(tmp_path / "log" / HELDOUT)
    best = max(checks, key=lambda row: row["objective"])
    assert [row["step"] for row in checks] == [0, 2, 4]
    assert result.best_iteration == best["step"]
    assert result.best["objective"] == best["objective"]
    if result.best_iteration == 0:
        assert all(
            torch.equal(start[name], weight) for name, weight in ppo.policy.named_parameters()
        )


def test_no_gain_on_heldout_prompts_stops_the_run(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    limits = Limits(eval_every=1, patience=2, checkpoint_every=10)
    ppo = make_ppo(iterations=20, lr=0.0)  # an unchanged policy never gains
    result = run(ppo, vocabulary, tmp_path, limits)
    assert (result.iterations, result.best_iteration) == (2, 0)
    assert "no better" in result.stopped


def test_the_kl_guard_stops_the_run_between_iterations(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    ppo = make_ppo(max_kl=0.5, iterations=40, batch=16, mini_batch=16, lr=5e-3, kl_weight=0.0)
    result = run(ppo, vocabulary, tmp_path, LIMITS)
    *before, last = read_metrics(tmp_path / "log" / METRICS)
    assert result.iterations == len(before) + 1 < 40
    assert "KL" in result.stopped
    assert all(row["kl"] <= 0.5 for row in before)
    assert last["kl"] > 0.5
    assert last["kl_updating"] == pytest.approx(last["kl"], rel=1e-4)
    assert ppo.control.policy_steps == len(before)  # the batch that was too far moved nothing
    # A policy beyond the guard is not kept, however much it earns.
    checks = {row["step"]: row for row in read_metrics(tmp_path / "log" / HELDOUT)}
    assert checks[result.best_iteration]["kl"] <= 0.5


def test_the_kl_guard_stops_the_policy_within_an_iteration(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    """One iteration of many large steps: the policy is stopped on its way, the critic is not."""
    ppo = make_ppo(max_kl=0.5, iterations=5, batch=64, mini_batch=4, lr=1e-2, kl_weight=0.0)
    limits = Limits(eval_every=10, patience=9, checkpoint_every=10)
    result = run(ppo, vocabulary, tmp_path, limits)
    (row,) = read_metrics(tmp_path / "log" / METRICS)
    assert result.iterations == 1
    assert "KL" in result.stopped
    # Where it was stopped it is looked at, though no check was due.
    start, last = read_metrics(tmp_path / "log" / HELDOUT)
    assert (start["step"], last["step"]) == (0, 1)
    kept = last["kl"] <= 0.5 and last["objective"] > start["objective"]
    assert result.best_iteration == (1 if kept else 0)
    assert row["kl"] == pytest.approx(0, abs=1e-5)
    assert row["kl_updating"] > 0.5
    assert 0 < ppo.control.policy_steps < 16
    assert ppo.control.value_steps == 16


def test_without_heldout_prompts_the_last_policy_is_kept(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    ppo = make_ppo(iterations=2)
    result = run(ppo, vocabulary, tmp_path, heldout=0)
    assert result.best_iteration == result.iterations == 2
    assert result.best == {}
    kept = dict(ppo.policy.named_parameters())
    assert all(torch.equal(kept[name], w) for name, w in ppo.policy_optimizer.masters.items())


def test_in_bf16_the_weights_that_sampled_are_kept(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    ppo = make_ppo(iterations=1, dtype="bf16")
    run(ppo, vocabulary, tmp_path, heldout=0)
    for name, weight in ppo.policy.named_parameters():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, ppo.policy_optimizer.masters[name].bfloat16())


@pytest.mark.parametrize("estimator", ["gae", "grpo"])
def test_the_log_and_the_page(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path, estimator: str
) -> None:
    ppo = make_ppo(iterations=2, estimator=estimator, answers=2)
    result = run(ppo, vocabulary, tmp_path)
    metrics, checks = (read_metrics(tmp_path / "log" / name) for name in (METRICS, HELDOUT))
    expected = {
        "score", "score_std", "shaped_score", "helpfulness", "gated", "kl", "kl_k3", "kl_weight",
        "kl_updating", "entropy", "ratio_mean", "ratio_max", "ratio_deviation", "clip_fraction",
        "response_tokens", "finished", "lr", "policy_loss", "policy_grad_norm",
    }  # fmt: skip
    of_critic = {"explained_variance", "value_loss", "value_lr", "value_grad_norm"}
    assert expected <= set(metrics[0])
    assert (of_critic <= set(metrics[0])) == (estimator == "gae")
    assert ("flat_groups" in metrics[0]) == (estimator == "grpo")
    assert json.dumps(metrics, allow_nan=False)  # plain numbers only
    assert len(checks[0]["samples"]) == len(checks[-1]["samples"]) == 4
    html = ppo_page("PPO", metrics, checks, result.best_iteration, result.stopped)
    titles = ["Rewards", "Distance to the reference", "Entropy", "Ratio", "Answers", "Optimizer"]
    for title in (*titles, "Held-out prompts", "Sample answers"):
        assert title in html
    assert ("Value model" in html) == (estimator == "gae")
    assert checks[0]["samples"][0]["prompt"] in html
