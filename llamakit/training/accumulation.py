"""An objective summed over micro-batches, so that many small ones weigh as one large one would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from llamakit.training.parallel import ONE_PROCESS, Parallel
from llamakit.training.prefetch import B

Number = Tensor | float


@dataclass(frozen=True)
class Loss:
    """What an objective says of one micro-batch: sums, so that micro-batches can be added up."""

    total: Tensor
    """Scalar with a graph: the loss summed over `count` targets."""
    count: Number
    """Targets (tokens, pairs) summed over; the loop divides by the whole batch's."""
    figures: Mapping[str, Number] = field(default_factory=dict)
    """More sums over the same targets, logged as means (an accuracy: the number of hits)."""


Objective = Callable[[nn.Module, B], Loss]


def accumulate(
    model: nn.Module,
    objective: Objective[B],
    micro_batches: Iterable[B],
    device: str,
    *,
    after: Callable[[Loss], None] | None = None,
    parallel: Parallel = ONE_PROCESS,
) -> dict[str, float]:
    """Sum an objective over micro-batches, and divide by their targets once, at the end.

    Args:
        after: called with each loss while its graph lives (for the backward pass).
        parallel: the processes that hold further micro-batches of the same batch.

    Returns:
        `loss` and the objective's figures as means over all targets, and `count`, the targets.
    """
    sums: dict[str, Tensor] = {}
    for batch in micro_batches:
        loss = objective(model, batch.to(device))
        if after is not None:
            after(loss)
        for name, value in {"loss": loss.total, "count": loss.count, **loss.figures}.items():
            # Summed on the device: one transfer a step instead of one a micro-batch.
            addend = torch.as_tensor(value, device=device).detach().double()
            sums[name] = sums[name] + addend if name in sums else addend
    values = parallel.sum(torch.stack(list(sums.values()))).tolist() if sums else []
    means = dict(zip(sums, values, strict=True))
    count = means.pop("count", 0.0)
    means = {name: value / count if count else 0.0 for name, value in means.items()}
    return {**means, "count": count}


def mean_loss(
    model: nn.Module,
    objective: Objective[B],
    micro_batches: Iterable[B],
    device: str,
    parallel: Parallel = ONE_PROCESS,
) -> dict[str, float]:
    """What `accumulate` returns, without gradients and in evaluation mode."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return accumulate(model, objective, micro_batches, device, parallel=parallel)
    finally:
        model.train(training)
