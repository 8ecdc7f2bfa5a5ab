"""Attention by blocks against a plain softmax over all keys."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from llamakit.model import blocked_attention as module
from llamakit.model.attention import Attention, layout_of
from llamakit.model.blocked_attention import blocked_attention, kept_probabilities
from llamakit.model.config import ModelConfig


def draw(
    rows: int, heads: int, groups: int, length: int, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = [(rows, length, n, 8) for n in (heads, groups, groups, heads)]
    drawn = [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]
    return [x.transpose(1, 2).requires_grad_() for x in drawn]


def plain(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    shared = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(shared, dim=1) for x in (k, v))
    return ((q @ k.transpose(2, 3)) / math.sqrt(q.shape[-1]) + bias).softmax(-1) @ v


def causal(length: int) -> Tensor:
    return torch.full((1, 1, length, length), -torch.inf).triu_(1)


def packed(rows: int, length: int) -> Tensor:
    """Two texts a row, parted elsewhere in each."""
    segments_BL = torch.arange(length)[None] >= torch.arange(1, rows + 1)[:, None] * 3
    apart_BLL = segments_BL[:, :, None] != segments_BL[:, None, :]
    return causal(length).expand(rows, -1, -1, -1).masked_fill(apart_BLL[:, None], -torch.inf)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize("length", [1, 3, 4, 17, 64])
@pytest.mark.parametrize("biased", [False, True])
def test_output_and_gradients_equal_the_plain_ones(
    length: int, groups: int, kept: bool, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEEP_UP_TO", 512 if kept else 0)
    q, k, v, upstream = draw(3, 4, groups, length)
    bias = packed(3, length) if biased else causal(length)
    wanted = plain(q, k, v, bias)
    found = blocked_attention(q, k, v, bias if biased else None)
    torch.testing.assert_close(found, wanted)
    for a, b in zip(
        torch.autograd.grad(found, (q, k, v), upstream),
        torch.autograd.grad(wanted, (q, k, v), upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_blocks_narrower_than_a_quarter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WIDEST", 5)
    q, k, v, _ = draw(2, 2, 2, 33)
    torch.testing.assert_close(blocked_attention(q, k, v, None), plain(q, k, v, causal(33)))


def test_bf16_is_as_near_to_the_truth_as_its_own_rounding() -> None:
    q, k, v, upstream = draw(2, 4, 2, 96, torch.bfloat16)
    wide = [x.detach().float().requires_grad_() for x in (q, k, v)]
    truth = plain(*wide, causal(96))
    found = blocked_attention(q, k, v, None)
    pairs = [(found, truth)]
    pairs += zip(
        torch.autograd.grad(found, (q, k, v), upstream),
        torch.autograd.grad(truth, wide, upstream.float()),
        strict=True,
    )
    for a, b in pairs:
        assert a.dtype == torch.bfloat16
        assert float((a.float() - b).norm().detach() / b.norm().detach()) < 2**-7


def test_a_key_after_the_query_has_no_weight_at_all() -> None:
    q, k, v, _ = draw(1, 2, 2, 16)
    whole = blocked_attention(q, k, v, None)
    changed = [x.detach().clone() for x in (k, v)]
    for x in changed:
        x[:, :, 9:] = 1e4
    assert torch.equal(blocked_attention(q, *changed, None)[:, :, :9], whole[:, :, :9])


def test_what_is_kept_is_counted() -> None:
    q, k, v, _ = draw(2, 4, 2, 24)
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        blocked_attention(q, k, v, None)
    inputs = sum(x.numel() for x in (q, k, v))
    assert sum(sizes) == inputs + 2 * 4 * 24 * kept_probabilities(24)
    assert kept_probabilities(module._KEEP_UP_TO + 1) == 0


@pytest.mark.parametrize("n_kv_heads", [4, 1])
def test_the_layer_takes_blocks_in_bf16(n_kv_heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same layer over torch's own kernel: rounding apart, nothing changes."""
    config = ModelConfig(32, 1, 4, n_kv_heads, 64, 50, 64)
    layer = Attention(config)
    for weight in layer.parameters():
        torch.nn.init.normal_(weight, std=0.2, generator=torch.Generator().manual_seed(1))
    layer.bfloat16()
    generator = torch.Generator().manual_seed(2)
    x_BLD = torch.randn(2, 40, 32, generator=generator).bfloat16()
    layout = layout_of(
        config, torch.zeros(2, 40, dtype=torch.int64), positions_BL=None, segments_BL=None,
        starts_B=torch.tensor([0, 7]), cache=None, dtype=torch.bfloat16,
    )  # fmt: skip
    found = layer(x_BLD, layout, None, 0)

    def fused(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
        assert bias is not None
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=True)

    monkeypatch.setattr("llamakit.model.attention.blocked_attention", fused)
    wanted = layer(x_BLD, layout, None, 0)
    assert not torch.equal(found, wanted)
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0.02)
