from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional as F

from llamakit.model import loss
from llamakit.model.logprobs import logprobs_and_entropies, token_logprobs
from llamakit.model.loss import next_token_loss


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


@pytest.mark.parametrize("at_once", [7, 100])
@pytest.mark.parametrize("cached", [120, 10**6])
def test_logprobs_are_the_same_bits_with_and_without_entropies(
    at_once: int, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one chunk the logits are kept for the gradient, of more they are computed again."""
    monkeypatch.setattr(loss, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(loss, "CACHED", cached)
    hidden, weight, targets, _ = draw()
    flat, wanted = hidden.reshape(-1, 16), targets.reshape(-1)
    found, entropies = logprobs_and_entropies(flat, weight, wanted, 0.8)
    trained = token_logprobs(flat, weight, wanted, 0.8)
    assert torch.equal(found, trained.detach())
    shares = ((flat @ weight.T) / 0.8).softmax(-1)
    torch.testing.assert_close(entropies, -(shares * shares.log()).sum(-1).detach())
    plain = ((flat @ weight.T) / 0.8).log_softmax(-1).gather(1, wanted[:, None])[:, 0]
    upstream = torch.linspace(-1, 2, len(wanted))
    expected = torch.autograd.grad((plain * upstream).sum(), (hidden, weight))
    gradients = torch.autograd.grad((trained * upstream).sum(), (hidden, weight))
    for a, b in zip(gradients, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_token_of_no_probability_has_no_part_in_the_entropy() -> None:
    weight = torch.tensor([[0.0], [-torch.inf]])
    found, entropies = logprobs_and_entropies(torch.ones(1, 1), weight, torch.tensor([0]), 1.0)
    assert (float(found), float(entropies)) == (0.0, 0.0)


def test_logits_far_apart_have_their_loss() -> None:
    """A target of a probability that fp32 cannot hold."""
    hidden = torch.tensor([[1.0], [1.0]], requires_grad=True)
    weight = torch.tensor([[0.0], [500.0], [-500.0]], requires_grad=True)
    total, _ = next_token_loss(hidden, weight, torch.tensor([2, 1]))
    assert float(total.detach()) == 1000.0
    total.backward()
    assert weight.grad.tolist() == [[0.0], [1.0], [-1.0]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_hidden(bad: float) -> None:
    hidden, weight, targets, _ = draw()
    total, _ = next_token_loss(hidden * bad, weight, targets)
    assert not torch.isfinite(total.detach())


@pytest.mark.parametrize("cached", [1, 120, 10**6])
def test_any_number_of_rows_fits_the_cache(cached: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "CACHED", cached)
    hidden, weight, targets, mask = draw()
    total, _ = next_token_loss(hidden, weight, targets, mask)
    plain = F.cross_entropy((hidden @ weight.T)[mask], targets[mask], reduction="sum")
    torch.testing.assert_close(total, plain)


def test_scratch_memory_of_threads_is_their_own() -> None:
    """Two threads at once get what each would alone."""
    drawn = [[t.detach() for t in draw()], [t.detach() * 2 for t in draw()[:2]]]
    drawn[1] += drawn[0][2:]
    alone = [float(next_token_loss(h, w, t, m)[0]) for h, w, t, m in drawn]
    with ThreadPoolExecutor(2) as pool:
        together = list(
            pool.map(lambda d: [float(next_token_loss(*d)[0]) for _ in range(50)], drawn)
        )
    assert together == [[alone[0]] * 50, [alone[1]] * 50]


def test_rows_left_out_on_the_spot_as_on_a_gpu() -> None:
    hidden, weight, targets, mask = draw()
    wanted, _ = next_token_loss(hidden, weight, targets, mask)
    total = loss._LinearCrossEntropy.apply(
        hidden.reshape(-1, 16), weight, targets.reshape(-1), mask.reshape(-1)
    )
    torch.testing.assert_close(total, wanted)
    found = torch.autograd.grad(total, (hidden, weight))
    for a, b in zip(found, torch.autograd.grad(wanted, (hidden, weight)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
