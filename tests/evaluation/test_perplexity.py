"""Perplexity equals the plain sum over a full forward pass; windows score each token once."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.perplexity import BY_POSITION, Text, perplexity, windows

TEXTS = [
    Text("a", "The river of the north is the longest.", "x"),
    Text("b", "the lake is deep", "y"),
    Text("c", "", "y"),
]


@torch.no_grad()
def test_equal_to_a_full_forward_pass(make_candidate: Callable[..., Candidate]) -> None:
    candidate = make_candidate()
    nats = tokens = size = 0.0
    for text in TEXTS:
        ids = candidate.vocabulary.encode(text.text, bos=True)
        if len(ids) > 1:
            hidden = candidate.model(torch.tensor([ids]))
            logprobs = candidate.model.logits(hidden).double().log_softmax(-1)[0]
            nats -= sum(float(logprobs[i - 1, ids[i]]) for i in range(1, len(ids)))
        tokens += len(ids) - 1
        size += len(text.text.encode())
    found = perplexity(candidate, TEXTS, seed=0)
    assert found.measures["perplexity"].value == pytest.approx(math.exp(nats / tokens), rel=1e-3)
    bits = nats / math.log(2) / size
    assert found.measures["bits_per_byte"].value == pytest.approx(bits, rel=1e-3)
    assert set(found.groups) == {"x", "y"}
    assert found.measures["perplexity"].low <= found.measures["perplexity"].value


@torch.no_grad()
def test_loss_by_position_equals_a_slow_loop(make_candidate: Callable[..., Candidate]) -> None:
    candidate = make_candidate()
    nats: dict[int, list[float]] = {}
    for text in TEXTS:
        ids = candidate.vocabulary.encode(text.text, bos=True)
        logprobs = candidate.model.logits(candidate.model(torch.tensor([ids]))).log_softmax(-1)[0]
        for position in range(1, len(ids)):
            bucket = 2 ** position.bit_length() - 1
            nats.setdefault(bucket, []).append(-float(logprobs[position - 1, ids[position]]))
    curve = perplexity(candidate, TEXTS, seed=0).curves[BY_POSITION]
    assert curve.xs == sorted(nats)
    for x, point in zip(curve.xs, curve.points, strict=True):
        assert point.value == pytest.approx(sum(nats[x]) / len(nats[x]), rel=1e-4)


@pytest.mark.parametrize("length", [1, 2, 8, 9, 12, 13, 31])
@pytest.mark.parametrize("size", [4, 8])
def test_windows_score_every_token_once(length: int, size: int) -> None:
    ids = list(range(1, length + 1))
    parts = windows(ids, size)
    assert [token for part in parts for token in part.choices[0]] == ids[1:]
    for part in parts:
        whole = part.context + part.choices[0]
        assert len(whole) <= size
        assert whole == list(range(whole[0], whole[0] + len(whole)))
    for part in parts[1:]:
        assert len(part.context) >= size // 2
