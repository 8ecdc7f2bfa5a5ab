"""Cross entropy that never holds the logits of a whole batch.

With a vocabulary of 32,000, the logits of a batch are many times larger than everything else in a
small model. Rows are therefore projected in chunks, and only the rows that are asked for.

Shape suffixes: N rows (tokens), D model width, V vocabulary.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

ROWS_AT_ONCE = 2048
"""Rows of logits that exist at one time."""
CACHED = 2**20
"""Logits that a processor's cache holds while they are worked on, as fp32: 4 MB."""


def next_token_loss(
    hidden: Tensor, head_weight: Tensor, targets: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Sum of the cross entropy of target tokens, in nats.

    Divide by the count of the whole batch, over all of its micro-batches: a mean of their means
    would weigh short ones too much.

    Args:
        hidden: [..., D], as the transformer returns them.
        head_weight: [V, D].
        targets: int64 [...]: the token that each position is to predict (the next one).
        mask: bool [...]: positions that count; None counts all.

    Returns:
        (float32 scalar sum, float32 scalar count of positions).
    """
    counted_N = None
    if mask is not None and hidden.is_cuda:
        # To pick rows, the processor would wait for the GPU to say how many there are.
        counted_N, mask = mask.reshape(-1), None
    hidden_ND, targets_N = _picked(hidden, targets, mask)
    total: Tensor = _LinearCrossEntropy.apply(hidden_ND, head_weight, targets_N, counted_N)  # type: ignore[no-untyped-call]
    if counted_N is not None:
        return total, counted_N.sum(dtype=torch.float32)
    return total, torch.tensor(float(len(targets_N)), device=hidden.device)


def _picked(hidden: Tensor, targets: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if mask is None or bool(mask.all()):
        return hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    return hidden[mask], targets[mask]


def chunks(rows: int) -> Iterator[slice]:
    """Rows whose logits exist at one time, after one another."""
    for start in range(0, rows, ROWS_AT_ONCE):
        yield slice(start, min(start + ROWS_AT_ONCE, rows))


class HeadGradients:
    """Gradients of the projection on the vocabulary, from the slopes of one chunk after another.

    Args:
        needs: whether the hidden states and the weights need one.
    """

    def __init__(self, hidden_ND: Tensor, weight_VD: Tensor, needs: tuple[bool, bool]) -> None:
        self._hidden_ND, self._weight_VD = hidden_ND, weight_VD
        needs_hidden, self._needs_weight = needs
        self._of_hidden_ND = torch.empty_like(hidden_ND) if needs_hidden else None
        self._of_weight_VD: Tensor | None = None

    def add(self, rows: slice, slopes_NV: Tensor) -> None:
        """Take in d loss / d logits of a chunk's rows."""
        if self._of_hidden_ND is not None:
            torch.mm(slopes_NV, self._weight_VD, out=self._of_hidden_ND[rows])
        if self._needs_weight:
            part_VD = slopes_NV.T @ self._hidden_ND[rows]
            # In fp32: the roundings of many chunks would add up.
            so_far_VD = self._of_weight_VD
            self._of_weight_VD = part_VD.float() if so_far_VD is None else so_far_VD.add_(part_VD)

    def summed(self) -> tuple[Tensor | None, Tensor | None]:
        """(of the hidden states, of the weights), in their types; None where none is needed."""
        if not self._needs_weight:
            return self._of_hidden_ND, None
        if self._of_weight_VD is None:
            return self._of_hidden_ND, torch.zeros_like(self._weight_VD)
        return self._of_hidden_ND, self._of_weight_VD.to(self._weight_VD.dtype)


class _LinearCrossEntropy(torch.autograd.Function):
    """Projection and summed cross entropy in one: the gradient of a chunk is taken at once, while
    its logits exist, since the derivative of a sum does not wait for what comes after it.

    The logits of a chunk become its slopes, d loss / d logits, in place.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        counted_N: Tensor | None,
    ) -> Tensor:
        gradients = HeadGradients(hidden_ND, weight_VD, ctx.needs_input_grad[:2])
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for rows in chunks(len(targets_N)):
            h_ND, wanted_N1 = hidden_ND[rows], targets_N[rows, None]
            logits_NV = scratch("logits", len(h_ND), len(weight_VD), weight_VD, weight_VD.dtype)
            torch.mm(h_ND, weight_VD.T, out=logits_NV)
            counted_N1 = None if counted_N is None else counted_N[rows, None]
            total += _slopes_in_place(logits_NV, wanted_N1, counted_N1)
            gradients.add(rows, logits_NV)
        ctx.save_for_backward(*gradients.summed())
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_grad_ND, weight_grad_VD = ctx.saved_tensors
        if not upstream.is_cuda and float(upstream) == 1.0:
            return hidden_grad_ND, weight_grad_VD, None, None
        return (
            None if hidden_grad_ND is None else hidden_grad_ND * upstream.to(hidden_grad_ND.dtype),
            None if weight_grad_VD is None else weight_grad_VD * upstream.to(weight_grad_VD.dtype),
            None,
            None,
        )


def _slopes_in_place(logits_NV: Tensor, targets_N1: Tensor, counted_N1: Tensor | None) -> Tensor:
    """Turn logits into slopes: the softmax, less one at the target, and zero in rows that do not
    count. Returns the summed loss.

    A processor takes few rows at a time, so that they stay in its cache from the first pass over
    them to the last; a GPU takes all of them.
    """
    rows, vocab = logits_NV.shape
    at_once = rows if logits_NV.is_cuda else min(rows, max(1, CACHED // vocab))
    space_NV = scratch("wide", at_once, vocab, logits_NV, torch.float32)
    total = torch.zeros((), dtype=torch.float32, device=logits_NV.device)
    for start in range(0, rows, at_once):
        some_NV, wanted_N1 = logits_NV[start : start + at_once], targets_N1[start : start + at_once]
        wide_NV = space_NV[: len(some_NV)].copy_(some_NV)
        greatest_N1, chosen_N1 = wide_NV.amax(dim=1, keepdim=True), wide_NV.gather(1, wanted_N1)
        torch.softmax(wide_NV, dim=1, out=wide_NV)
        # The greatest probability is 1 / sum of exp(logit - greatest), and never vanishes.
        sums_N1 = wide_NV.amax(dim=1, keepdim=True).reciprocal_()
        losses_N1 = greatest_N1 + sums_N1.log_() - chosen_N1
        wide_NV.scatter_add_(1, wanted_N1, wide_NV.new_full(wanted_N1.shape, -1.0))
        if counted_N1 is not None:
            left_out_N1 = ~counted_N1[start : start + at_once]
            losses_N1, wide_NV = (x.masked_fill_(left_out_N1, 0.0) for x in (losses_N1, wide_NV))
        total += losses_N1.sum()
        some_NV.copy_(wide_NV)
    return total


class _Kept(threading.local):
    """Scratch memory of one thread: fresh pages for every chunk are 4% of a training step."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, torch.dtype], Tensor] = {}


_kept = _Kept()


def scratch(use: str, rows: int, columns: int, near: Tensor, dtype: torch.dtype) -> Tensor:
    """Memory [rows, columns] with anything in it, on the device of `near`."""
    if near.is_cuda:  # where torch itself keeps memory
        return near.new_empty(rows, columns, dtype=dtype)
    memory = _kept.memory.get((use, dtype))
    if memory is None or memory.numel() < rows * columns:
        _kept.memory[use, dtype] = memory = near.new_empty(rows * columns, dtype=dtype)
    return memory[: rows * columns].view(rows, columns)
