"""The optimizer against torch's own AdamW and clipping."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from llamakit.training.optimizer import NotFiniteError, Optimizer, decay_groups
from llamakit.training.plan import Precision
from tests.training.small import Net, RandomRows, squared_error


def build(model: nn.Module, dtype: Precision = "fp32", clip: float = 1.0) -> Optimizer:
    return Optimizer(model, dtype=dtype, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, clip=clip)


def test_only_matrices_decay() -> None:
    named = dict(Net().named_parameters())
    decayed, plain = decay_groups(named.items(), 0.1)
    assert decayed["params"] == [named["inner.weight"], named["outer.weight"]]
    assert plain["params"] == [named["gain"], named["outer.bias"]]
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)


def test_frozen_parameters_stay_out() -> None:
    model = Net()
    model.inner.requires_grad_(False)
    assert "inner.weight" not in build(model).masters


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_steps_equal_plain_adamw_with_clip_grad_norm(clip: float) -> None:
    ours, plain = Net(), Net()
    optimizer = build(ours, clip=clip)
    adamw = torch.optim.AdamW(
        decay_groups(plain.named_parameters(), 0.1), lr=0.01, betas=(0.9, 0.95), eps=1e-5
    )
    for step in range(5):
        batches = RandomRows(micro_rows=8).batch(step)
        loss = squared_error(ours, batches[0])
        loss.total.backward()
        optimizer.gather()
        norm = optimizer.step(0.01, scale=1 / float(loss.count))

        reference = squared_error(plain, batches[0])
        (reference.total / reference.count).backward()
        expected = nn.utils.clip_grad_norm_(plain.parameters(), clip or float("inf"))
        adamw.step()
        adamw.zero_grad()
        assert norm == pytest.approx(float(expected), rel=1e-5)
    for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_bf16_keeps_updates_too_small_for_bf16() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = Optimizer(
        model, dtype="bf16", betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0, clip=0.0
    )
    assert model.weight.dtype == torch.bfloat16
    for _ in range(64):  # one update of 1e-4 is lost beside 1.0 in bf16, 64 of them are not
        model(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        optimizer.gather()
        optimizer.step(1e-4)
    assert float(optimizer.masters["weight"]) == pytest.approx(1 - 64e-4, abs=1e-5)
    assert float(model.weight.detach()) == pytest.approx(1 - 64e-4, abs=4e-3)
    assert float(model.weight.detach()) < 1


def test_bf16_sums_micro_batch_gradients_in_fp32() -> None:
    model = nn.Linear(1, 1, bias=False)
    optimizer = build(model, "bf16")
    for value in (1.0, 2**-9, 2**-9):  # 1 + 2^-9 is 1 in bf16
        model(torch.full((1, 1), value, dtype=torch.bfloat16)).sum().backward()
        optimizer.gather()
    gradient = optimizer.masters["weight"].grad
    assert gradient is not None
    assert float(gradient) == 1 + 2**-8


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_bad_gradient_changes_nothing(dtype: Precision) -> None:
    model = Net()
    optimizer = build(model, dtype)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    (model(torch.ones(1, 8)).sum() * float("nan")).backward()
    optimizer.gather()
    with pytest.raises(NotFiniteError, match="the gradient norm is nan"):
        optimizer.step(1.0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_state_returns_whole(dtype: Precision) -> None:
    first, second = Net(seed=1), Net(seed=2)
    left, right = build(first, dtype), build(second, dtype)

    def step(model: nn.Module, optimizer: Optimizer, number: int) -> None:
        for rows in RandomRows().batch(number):
            squared_error(model, rows).total.backward()
            optimizer.gather()
        optimizer.step(0.01, 0.1)

    for number in range(3):
        step(first, left, number)
    right.load(left.tensors(), steps=3)
    for number in range(3, 6):
        step(first, left, number)
        step(second, right, number)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(t, right.tensors()[name]) for name, t in left.tensors().items())


def test_tied_weights_are_one_parameter() -> None:
    model = Net()
    model.tied = model.inner.weight
    assert len(build(model).masters) == 4
