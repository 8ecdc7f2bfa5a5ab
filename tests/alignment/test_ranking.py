"""The reward model's losses against their formulas written out."""

from __future__ import annotations

import math

import pytest
import torch

from llamakit.alignment.grades import MARGINS, margin_of, safety_labels
from llamakit.alignment.ranking import centring_loss, ranking_loss, safety_loss


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_ranking_loss_is_the_papers_formula() -> None:
    chosen, rejected, margin = [0.3, -1.0, 2.0], [0.1, 1.0, -2.0], [0.0, 1.0, 1 / 3]
    losses = ranking_loss(*(torch.tensor(x) for x in (chosen, rejected, margin)))
    expected = [
        -math.log(sigmoid(c - r - m)) for c, r, m in zip(chosen, rejected, margin, strict=True)
    ]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)


def test_a_margin_raises_the_loss_of_a_pair_ranked_rightly() -> None:
    chosen, rejected = torch.tensor([1.0]), torch.tensor([0.0])
    without = ranking_loss(chosen, rejected, torch.tensor([0.0]))
    assert ranking_loss(chosen, rejected, torch.tensor([3.0])) > without


@pytest.mark.parametrize(
    ("size", "expected"),
    [("none", [0, 0, 0, 0]), ("small", [1, 2 / 3, 1 / 3, 0]), ("large", [3, 2, 1, 0])],
)
def test_margins_of_the_paper(size: str, expected: list[float]) -> None:
    grades = ["significantly", "better", "slightly", "negligible"]
    assert [margin_of(grade, size) for grade in grades] == expected  # type: ignore[arg-type]


def test_a_missing_grade_has_no_margin() -> None:
    assert all(margin_of(None, size) == 0 for size in MARGINS)


def test_safety_labels_of_each_bin() -> None:
    assert safety_labels("both_safe") == (1.0, 1.0)
    assert safety_labels("chosen_safe") == (1.0, 0.0)
    assert safety_labels("both_unsafe") == (0.0, 0.0)
    assert all(math.isnan(label) for label in safety_labels(None))


def test_safety_loss_is_cross_entropy_averaged_over_the_pair() -> None:
    loss = safety_loss(*(torch.tensor([x]) for x in (0.7, -0.4, 1.0, 0.0)))
    expected = -(math.log(sigmoid(0.7)) + math.log(1 - sigmoid(-0.4))) / 2
    assert loss.tolist() == pytest.approx([expected], rel=1e-5)


def test_pairs_without_a_safety_bin_add_neither_loss_nor_gradient() -> None:
    chosen = torch.tensor([0.7, 0.7], requires_grad=True)
    nan = float("nan")
    loss = safety_loss(
        chosen, torch.tensor([0.1, 0.1]), torch.tensor([nan, 1.0]), torch.tensor([nan, 0.0])
    )
    loss.sum().backward()
    assert loss[0] == 0
    assert chosen.grad is not None
    assert chosen.grad[0] == 0
    assert chosen.grad[1] != 0


def test_centring_pulls_the_mean_of_a_pair_to_zero() -> None:
    chosen, rejected = torch.tensor([-4.0]), torch.tensor([-6.0])
    assert centring_loss(chosen, rejected).tolist() == [100.0]
    assert centring_loss(torch.tensor([1.0]), torch.tensor([-1.0])).tolist() == [0.0]
