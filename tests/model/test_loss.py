from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from llamakit.model import loss
from llamakit.model.loss import next_token_loss, token_logprobs


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "ROWS_AT_ONCE", 7)


def draw(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    hidden_BLD = torch.randn(3, 11, 16, generator=generator).to(dtype).requires_grad_()
    weight_VD = torch.randn(50, 16, generator=generator).to(dtype).requires_grad_()
    targets_BL = torch.randint(0, 50, (3, 11), generator=generator)
    mask_BL = torch.rand(3, 11, generator=generator) < 0.6
    return hidden_BLD, weight_VD, targets_BL, mask_BL


@pytest.mark.parametrize("masked", [True, False])
def test_loss_and_gradients_equal_the_plain_ones(masked: bool) -> None:
    hidden, weight, targets, mask = draw()
    used = mask if masked else torch.ones_like(mask)
    plain = F.cross_entropy((hidden @ weight.T)[used], targets[used], reduction="sum")
    wanted = torch.autograd.grad(plain / 3, (hidden, weight))
    total, count = next_token_loss(hidden, weight, targets, mask if masked else None)
    found = torch.autograd.grad(total / 3, (hidden, weight))
    torch.testing.assert_close(total, plain)
    assert float(count) == int(used.sum())
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_loss_in_bf16_is_near_fp32() -> None:
    hidden, weight, targets, mask = draw(torch.bfloat16)
    total, count = next_token_loss(hidden, weight, targets, mask)
    total.backward()
    plain = F.cross_entropy((hidden.float() @ weight.float().T)[mask], targets[mask])
    assert total.dtype == torch.float32
    assert float(total.detach() / count) == pytest.approx(float(plain.detach()), rel=0.01)
    assert hidden.grad.dtype == weight.grad.dtype == torch.bfloat16


def test_nothing_to_learn_is_a_zero_with_zero_gradients() -> None:
    hidden, weight, targets, mask = draw()
    total, count = next_token_loss(hidden, weight, targets, torch.zeros_like(mask))
    total.backward()
    assert float(total.detach()) == float(count) == 0.0
    assert not hidden.grad.any()
    assert not weight.grad.any()


def test_a_frozen_part_gets_no_gradient() -> None:
    hidden, weight, targets, mask = draw()
    total, _ = next_token_loss(hidden, weight.detach(), targets, mask)
    total.backward()
    assert hidden.grad.any()
    with torch.no_grad():
        again, _ = next_token_loss(hidden, weight, targets, mask)
    torch.testing.assert_close(again, total.detach())


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logprobs_and_gradients(temperature: float) -> None:
    hidden, weight, targets, _ = draw()
    plain = (
        ((hidden @ weight.T) / temperature).log_softmax(-1).gather(2, targets[..., None])[..., 0]
    )
    wanted = torch.autograd.grad(plain.square().sum(), (hidden, weight))
    found = token_logprobs(hidden, weight, targets, temperature)
    torch.testing.assert_close(found, plain)
    for a, b in zip(
        torch.autograd.grad(found.square().sum(), (hidden, weight)), wanted, strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(token_logprobs(hidden, weight, targets, temperature), plain)
