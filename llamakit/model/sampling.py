"""From logits to the next token: temperature, nucleus, repetition, one random number a row.

Shape suffixes: B rows, V vocabulary, C candidates sorted by probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llamakit.errors import UsageError
from llamakit.model.sampling_kernel import choose_rows

_FIRST_CANDIDATES = 64
_COLDEST = 1e-4
"""Logits divided by less leave the range of float32 (temperature 0 divides nothing)."""


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens. The defaults are Llama 2-Chat's.

    Raises:
        UsageError: a number is out of its range.
    """

    max_new_tokens: int
    temperature: float = 0.6
    """What logits are divided by; 0 takes the likeliest token."""
    top_p: float = 0.9
    """Keep the likeliest tokens (of the `top_k`) until their share reaches this; 1 keeps all."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    repetition_penalty: float = 1.0
    """Positive logits of tokens already in the text are divided by it, negative ones multiplied."""
    stop: list[str] = field(default_factory=list)
    """Strings that end a text; they are not part of it."""

    def __post_init__(self) -> None:
        for name, holds, rule in (
            ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
            (
                "temperature",
                self.temperature == 0 or _COLDEST <= self.temperature < math.inf,
                f"0, or from {_COLDEST:g} up",
            ),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
            ("stop", all(self.stop), "without empty strings"),
        ):
            if not holds:
                raise UsageError(f"{name} is {getattr(self, name)!r}; it must be {rule}")


def uniforms(seeds_B: NDArray[np.uint64], step: int) -> NDArray[np.float32]:
    """One number in [0, 1) a row, of 24 bits: a hash of its seed and the step (SplitMix64).

    A counter and not a stream, so that a row draws the same numbers whoever else is in the batch,
    for all rows at once.
    """
    with np.errstate(over="ignore"):
        state = seeds_B + np.uint64(step + 1) * np.uint64(0x9E3779B97F4A7C15)
        # Twice: neighbouring seeds must not be each other's streams moved by a step.
        for _ in range(2):
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = (state ^ (state >> np.uint64(31))) + seeds_B
    return (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def choose(
    logits_BV: Tensor, sampling: Sampling, uniforms_B: Tensor, seen_BV: Tensor | None = None
) -> Tensor:
    """The next token of each row: the penalty, then the temperature, then the `top_k` likeliest,
    then among these `top_p`, as transformers orders them.

    Tokens are drawn by inverting the cumulative distribution, which takes exactly one random number
    and over a large vocabulary is ten times faster than `torch.multinomial`.

    Args:
        logits_BV: float32.
        uniforms_B: float32 in [0, 1); not read at temperature 0.
        seen_BV: bool, tokens already in the text; needed for a repetition penalty.

    Returns:
        int64 [B].
    """
    if logits_BV.is_cpu and logits_BV.dtype == torch.float32 and logits_BV.stride(-1) == 1:
        return by_kernel(logits_BV, sampling, uniforms_B, seen_BV)
    return by_torch(logits_BV, sampling, uniforms_B, seen_BV)


def by_kernel(
    logits_BV: Tensor, sampling: Sampling, uniforms_B: Tensor, seen_BV: Tensor | None = None
) -> Tensor:
    """`choose` for processors: it makes no copies, which cost more than the arithmetic."""
    rows, size = logits_BV.shape
    stride = logits_BV.stride(0)
    penalty = 1.0 if seen_BV is None else sampling.repetition_penalty
    # Of rows that are parts of wider ones: from the first number to the last.
    flat = logits_BV.as_strided(((rows - 1) * stride + size,), (1,)).numpy()
    tokens_B = np.zeros(rows, np.int64)
    choose_rows(
        flat,
        stride,
        size,
        np.array([sampling.temperature, sampling.top_p, penalty], np.float32),
        sampling.top_k,
        uniforms_B.numpy(),
        np.zeros((0, 0), np.bool_) if seen_BV is None else seen_BV.numpy(),
        np.empty(size if penalty != 1 else 0, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.int64),
        tokens_B,
    )
    return torch.from_numpy(tokens_B)


def by_torch(
    logits_BV: Tensor, sampling: Sampling, uniforms_B: Tensor, seen_BV: Tensor | None = None
) -> Tensor:
    """`choose` for any device."""
    if seen_BV is not None and sampling.repetition_penalty != 1.0:
        penalised_BV = torch.where(
            logits_BV > 0,
            logits_BV / sampling.repetition_penalty,
            logits_BV * sampling.repetition_penalty,
        )
        logits_BV = torch.where(seen_BV, penalised_BV, logits_BV)
    if sampling.temperature == 0:
        return logits_BV.argmax(dim=-1)
    shares_BV = (logits_BV / sampling.temperature).softmax(dim=-1)
    if sampling.top_p == 1 and sampling.top_k == 0:
        return _drawn(shares_BV, uniforms_B)
    kept_BC, tokens_BC = _candidates(shares_BV, sampling)
    return tokens_BC.gather(1, _drawn(kept_BC, uniforms_B)[:, None])[:, 0]


def logprobs_of(logits_BV: Tensor, tokens_B: Tensor, temperature: float) -> Tensor:
    """Log-probability of the chosen tokens in the whole distribution at a temperature, before any
    truncation or penalty; at temperature 0, that of the model as it is. float32 [B].
    """
    scaled_BV = logits_BV / (temperature or 1.0)
    return scaled_BV.gather(1, tokens_B[:, None])[:, 0] - scaled_BV.logsumexp(dim=-1)


def _drawn(shares_BC: Tensor, uniforms_B: Tensor) -> Tensor:
    cumulative_BC = shares_BC.cumsum(dim=-1)
    # The numbers have 24 bits, so the point stays below the total; found from the right, it is
    # never that of an entry without a share.
    point_B1 = uniforms_B[:, None] * cumulative_BC[:, -1:]
    return torch.searchsorted(cumulative_BC, point_B1, right=True)[:, 0]


def _candidates(shares_BV: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Shares, sorted and zero where cut off, and token ids of the tokens that may be drawn.

    The whole vocabulary is sorted only when a few tokens do not hold `top_p` of every row.
    """
    size = shares_BV.shape[-1]
    count = min(sampling.top_k or _FIRST_CANDIDATES, size)
    while True:
        kept_BC, tokens_BC = shares_BV.topk(count, dim=-1)
        if sampling.top_k:
            kept_BC = kept_BC / kept_BC.sum(dim=-1, keepdim=True)
        before_BC = kept_BC.cumsum(dim=-1) - kept_BC
        if sampling.top_k or count == size or bool((before_BC[:, -1] > sampling.top_p).all()):
            return kept_BC.masked_fill(before_BC > sampling.top_p, 0.0), tokens_BC
        count = min(count * 8, size)
