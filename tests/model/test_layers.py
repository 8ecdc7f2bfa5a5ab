"""RMSNorm's written-out gradient against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from llamakit.model.layers import RMSNorm


def test_norm_and_gradients_equal_torchs_own() -> None:
    generator = torch.Generator().manual_seed(0)
    norm = RMSNorm(24, 1e-5).double()
    with torch.no_grad():
        norm.weight.normal_(1.0, 0.3, generator=generator)
    x = torch.randn(3, 5, 24, generator=generator).requires_grad_()
    weight = norm.weight.detach().float().requires_grad_()
    norm.float()
    upstream = torch.randn(3, 5, 24, generator=generator)
    before = x.detach().clone()
    found, wanted = norm(x), F.rms_norm(x, (24,), weight, 1e-5)
    torch.testing.assert_close(found, wanted)
    found_grads = torch.autograd.grad(found, (x, norm.weight), upstream)
    wanted_grads = torch.autograd.grad(wanted, (x, weight), upstream)
    for a, b in zip(found_grads, wanted_grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("factor", [1.0, 1e4])
def test_bf16_divides_in_fp32(factor: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(4, 64, generator=generator) * factor).bfloat16().requires_grad_()
    found = RMSNorm(64, 1e-5).bfloat16()(x)
    wide = x.detach().float().requires_grad_()
    wanted = F.rms_norm(wide, (64,), eps=1e-5)
    assert torch.equal(found, wanted.bfloat16())
    upstream = torch.randn(4, 64, generator=generator).bfloat16()
    (a,), (b,) = (
        torch.autograd.grad(found, x, upstream),
        torch.autograd.grad(wanted, wide, upstream.float()),
    )
    assert float((a.float() - b).norm() / b.norm()) < 2**-7
