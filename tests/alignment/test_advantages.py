"""Advantages against the sums of their definition, and masked statistics against plain ones."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from llamakit.alignment.advantages import (
    advantages_and_returns,
    masked_mean,
    masked_variance,
    whiten,
)


def brute_force(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """A_t = sum over k of (gamma lam)^k delta_{t+k}: the definition, for one response."""
    after = [*values[1:], 0.0]
    deltas = [r + gamma * n - v for r, n, v in zip(rewards, after, values, strict=True)]
    return [
        sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas)))
        for t in range(len(deltas))
    ]


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    gamma=st.sampled_from([1.0, 0.9]),
    lam=st.sampled_from([0.0, 0.95, 1.0]),
    seed=st.integers(0, 1000),
)
def test_advantages_equal_brute_force_whatever_lies_behind_the_end(
    lengths: list[int], gamma: float, lam: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    rewards = torch.randn(shape, generator=generator, dtype=torch.float64)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    mask = torch.arange(shape[1])[None, :] < torch.tensor(lengths)[:, None]
    found, returns = advantages_and_returns(rewards, values, mask, gamma=gamma, lam=lam)
    for row, length in enumerate(lengths):
        expected = brute_force(
            rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, lam
        )
        assert found[row, :length].tolist() == pytest.approx(expected)
        assert found[row, length:].abs().sum() == 0
        assert returns[row, length:].abs().sum() == 0
        assert returns[row, :length].tolist() == pytest.approx(
            [a + v for a, v in zip(expected, values[row, :length].tolist(), strict=True)]
        )


def masked_pair(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn((3, 5), generator=generator) * 3 + 2
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]).bool()
    return values.masked_fill(~mask, 1e9), mask


def test_statistics_see_masked_entries_only() -> None:
    values, mask = masked_pair()
    assert masked_mean(values, mask) == pytest.approx(values[mask].mean().item())
    assert masked_variance(values, mask) == pytest.approx(values[mask].var().item(), rel=1e-5)


def test_whitening_scales_and_shifts() -> None:
    values, mask = masked_pair()
    white = whiten(values, mask, shift_mean=True)
    assert white[mask].mean().item() == pytest.approx(0, abs=1e-6)
    assert white[mask].std().item() == pytest.approx(1, rel=1e-4)
    assert white[~mask].abs().sum() == 0


def test_whitening_rewards_leaves_their_mean() -> None:
    values, mask = masked_pair()
    scaled = whiten(values, mask, shift_mean=False)
    assert scaled[mask].mean().item() == pytest.approx(values[mask].mean().item(), rel=1e-5)
    assert scaled[mask].std().item() == pytest.approx(1, rel=1e-4)


def test_a_single_entry_is_no_division_by_zero() -> None:
    mask = torch.tensor([[True, False]])
    assert whiten(torch.tensor([[3.0, 9.0]]), mask, shift_mean=True).tolist() == [[0.0, 0.0]]
