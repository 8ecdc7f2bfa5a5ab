"""How often each document of a mixture is read: weights or factors by source, a budget, a cap.

Shares are of tokens, not of documents; tokens are estimated from characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class SourcePlan:
    """What a mixture takes of one source. `size` and `wanted` are in tokens (or documents, when
    the budget is in documents); `epochs` is how often the source is read; `capped` whether the
    limit on epochs holds it back."""

    source: str
    size: int
    epochs: float
    capped: bool

    @property
    def wanted(self) -> float:
        """Tokens (or documents) read."""
        return self.size * self.epochs


def plan_by_weight(
    sizes: Mapping[str, int], weights: Mapping[str, float], budget: float, max_epochs: float
) -> list[SourcePlan]:
    """Give each source its share of the budget; what the cap takes from one, the others share.

    Args:
        sizes: tokens by source.
        weights: share of the mixture by source, in any scale; a source without one is left out.
        budget: tokens of the whole mixture.
    """
    epochs = dict.fromkeys(sizes, 0.0)
    open_ = {s for s in sizes if weights.get(s, 0) > 0 and sizes[s] > 0}
    capped: set[str] = set()
    left = budget
    while open_:
        total = sum(weights[s] for s in open_)
        over = {s for s in open_ if left * weights[s] / total > max_epochs * sizes[s]}
        for source in over or open_:
            epochs[source] = max_epochs if over else left * weights[source] / total / sizes[source]
        if not over:
            break
        # In the sources' order: a sum's last bit must not depend on a set's.
        left -= sum(max_epochs * sizes[s] for s in sizes if s in over)
        open_, capped = open_ - over, capped | over
    return [SourcePlan(s, sizes[s], epochs[s], s in capped) for s in sizes]


def plan_by_factor(
    sizes: Mapping[str, int],
    factors: Mapping[str, float],
    budget: float | None,
    max_epochs: float,
) -> list[SourcePlan]:
    """Read each source `factor` times (once where none is named), scaled to the budget if any."""
    wanted = {s: sizes[s] * factors.get(s, 1.0) for s in sizes}
    if budget is not None:
        return plan_by_weight(sizes, wanted, budget, max_epochs)
    return [
        SourcePlan(s, n, min(factors.get(s, 1.0), max_epochs), factors.get(s, 1.0) > max_epochs)
        for s, n in sizes.items()
    ]


def draw_repeats(sizes: I64, epochs: float, seed: int, stream: int) -> I64:
    """How often each document of one source is read: whole epochs, and a drawn part of one more.

    Args:
        sizes: tokens (or 1) a document.
        epochs: e.g. 2.5: everything twice, and documents of half the source's size once more.
        stream: separates the draws of the sources.
    """
    whole = int(epochs)
    repeats = np.full(len(sizes), whole, np.int64)
    rest = (epochs - whole) * float(sizes.sum())
    if rest > 0:
        order = np.random.default_rng([seed, stream]).permutation(len(sizes))
        filled = np.cumsum(sizes[order])
        # The document that crosses the line is in when more than half of it fits.
        repeats[order[filled - sizes[order] / 2 <= rest]] += 1
    return repeats


def table(plans: Sequence[SourcePlan], documents: Mapping[str, int], unit: str) -> list[str]:
    """The plan as lines of text: source, documents, size, epochs, share."""
    total = sum(plan.wanted for plan in plans) or 1.0
    width = max([6, *(len(plan.source) for plan in plans)])
    lines = [f"{'source':<{width}}  documents  {unit:>14}  epochs   share"]
    for plan in plans:
        lines.append(
            f"{plan.source:<{width}}  {documents[plan.source]:>9,}  {plan.wanted:>14,.0f}  "
            f"{plan.epochs:>6.2f}  {plan.wanted / total:>6.1%}" + ("  (capped)" * plan.capped)
        )
    return lines
