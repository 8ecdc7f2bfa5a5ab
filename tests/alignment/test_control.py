"""What a run adapts: the KL weight and running statistics, against plain versions, and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from llamakit.alignment.control import Control
from llamakit.alignment.ppo import Ppo
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import plan, prompts


def batches(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator) * 2 + drift for drift, size in ((1, 8), (3, 5))]


@pytest.mark.parametrize("whitening", ["scale", "full"])
def test_running_statistics_are_those_of_all_scores_so_far(whitening: str) -> None:
    settings, control, seen = plan(whitening=whitening, whiten_by="running"), Control(0.1), []
    for scores in batches():
        seen.append(scores)
        whole = torch.cat(seen)
        expected = (scores - whole.mean()) / whole.std()
        if whitening == "scale":
            expected = expected + whole.mean()
        torch.testing.assert_close(control.whiten(scores, settings), expected)


def test_statistics_of_the_batch_carry_nothing_over() -> None:
    control, settings = Control(0.1), plan(whitening="full")
    for scores in batches():
        assert control.whiten(scores, settings).mean().item() == pytest.approx(0, abs=1e-6)
    assert control == Control(0.1)


def test_one_score_or_equal_ones_are_no_division_by_zero() -> None:
    control, settings = Control(0.1), plan(whitening="full", whiten_by="running")
    assert control.whiten(torch.tensor([3.0]), settings).tolist() == [0.0]
    assert control.whiten(torch.tensor([3.0, 3.0]), settings).tolist() == [0.0, 0.0]


def test_the_kl_weight_moves_towards_its_target_by_at_most_a_fifth() -> None:
    """Ziegler et al. 2019, §2.2: e = clip(KL / target - 1, -0.2, 0.2); the weight times 1 + K e."""
    settings = plan(kl_target=2.0, kl_horizon=1000)
    for kl, error in ((2.0, 0.0), (2.1, 0.05), (5.0, 0.2), (1.9, -0.05), (0.0, -0.2), (-1.0, -0.2)):
        control = Control(0.1)
        control.steer(kl, 100, settings)
        assert control.kl_weight == pytest.approx(0.1 * (1 + error * 100 / 1000))
    fixed = Control(0.1)
    fixed.steer(50.0, 100, plan())
    assert fixed.kl_weight == 0.1


def test_the_weight_rises_once_the_policy_has_gone_too_far(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary
) -> None:
    ppo = make_ppo(batch=16, mini_batch=8, lr=3e-3, kl_weight=0.05, kl_target=0.2, kl_horizon=8)
    rows = [ppo.step(i, prompts(vocabulary)) for i in range(10)]
    assert rows[1]["kl_weight"] < rows[0]["kl_weight"] == 0.05  # at first it has not moved
    assert rows[-1]["kl"] > 0.2
    assert rows[-1]["kl_weight"] > min(row["kl_weight"] for row in rows)


def test_18_control_is_saved_and_resumed(
    make_ppo: Callable[..., Ppo], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    from tests.alignment.test_ppo_run import METRICS, Stopped, StopsAfter, figures, run, weights

    settings = {
        "iterations": 4, "lr": 3e-3, "kl_target": 0.5, "kl_horizon": 16, "whiten_by": "running",
    }  # fmt: skip
    whole = make_ppo(**settings)
    expected = run(whole, vocabulary, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(make_ppo(**settings), vocabulary, tmp_path / "cut", events=StopsAfter(2))
    resumed = make_ppo(**settings)
    assert run(resumed, vocabulary, tmp_path / "cut") == expected
    assert resumed.control == whole.control != Control(whole.plan.kl_weight)
    assert all(map(torch.equal, weights(whole), weights(resumed)))
    rows = [figures(tmp_path / name / "log" / METRICS) for name in ("whole", "cut")]
    assert rows[0] == rows[1]
