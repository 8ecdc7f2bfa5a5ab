"""How often each part of a mixture is read: weights, factors or a temperature, a budget, a cap.

Shares are of tokens, not of documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Component:
    """What is weighed as one: a source, or an input. Sizes are in tokens (or documents, when the
    budget is in documents)."""

    name: str
    documents: int
    """Distinct documents."""
    distinct: int
    """Size of its documents, each once."""
    size: int
    """Size as it is read once: documents of a mixture as often as that reads them."""
    most: float
    """Readings of its most read source when it is read once: 1, or more for a mixture."""


@dataclass(frozen=True)
class Plan:
    """What a mixture takes of one component."""

    component: Component
    asked: float
    """Its share of the mixture as wished for (0-1), before any cap."""
    factor: float
    """How often it is read."""
    capped: bool
    """Whether the limit on epochs holds it back."""

    @property
    def wanted(self) -> float:
        """Size read."""
        return self.component.size * self.factor

    @property
    def epochs(self) -> float:
        """How often its documents are read, on average over their text."""
        return self.wanted / max(self.component.distinct, 1)


def plan_by_weight(
    components: Sequence[Component], weights: Mapping[str, float], budget: float, max_epochs: float
) -> list[Plan]:
    """Give each component its share of the budget; what the cap takes from one, the others share.

    Args:
        weights: share of the mixture by name, in any scale; a component without one is left out.
        budget: size of the whole mixture.
        max_epochs: how often any source is read at most.
    """
    known = {c.name: c for c in components}
    limits = {c.name: max_epochs / c.most for c in components}
    wished = {c.name: weights.get(c.name, 0.0) if c.size else 0.0 for c in components}
    whole = sum(wished.values()) or 1.0
    factors = dict.fromkeys(known, 0.0)
    open_ = {name for name, weight in wished.items() if weight > 0}
    capped: set[str] = set()
    left = budget
    while open_:
        # In the components' order: a sum's last bit must not depend on a set's.
        total = sum(wished[name] for name in known if name in open_)
        wants = {name: left * wished[name] / total / known[name].size for name in open_}
        over = {name for name in open_ if wants[name] > limits[name] * (1 + 1e-12)}
        for name in over or open_:
            factors[name] = limits[name] if over else wants[name]
        if not over:
            break
        left -= sum(limits[name] * known[name].size for name in known if name in over)
        open_, capped = open_ - over, capped | over
    return [Plan(c, wished[c.name] / whole, factors[c.name], c.name in capped) for c in components]


def plan_by_factor(
    components: Sequence[Component],
    factors: Mapping[str, float],
    budget: float | None,
    max_epochs: float,
) -> list[Plan]:
    """Read each component `factor` times (once where none is named); scaled to a budget if any."""
    wanted = {c.name: c.size * factors.get(c.name, 1.0) for c in components}
    if budget is not None:
        return plan_by_weight(components, wanted, budget, max_epochs)
    whole = sum(wanted.values()) or 1.0
    plans = []
    for c in components:
        factor, limit = factors.get(c.name, 1.0), max_epochs / c.most
        plans.append(Plan(c, wanted[c.name] / whole, min(factor, limit), factor > limit))
    return plans


def weights_by_temperature(components: Sequence[Component], temperature: float) -> dict[str, float]:
    """Weights proportional to size^(1/temperature): 1 keeps the sizes' shares, and the higher the
    nearer all shares are to each other (Raffel et al. 2020, §3.5.2; mT5's α is 1/temperature)."""
    largest = max((c.size for c in components), default=1) or 1
    return {c.name: (c.size / largest) ** (1.0 / temperature) for c in components}


def table(plans: Sequence[Plan], achieved: Sequence[int], unit: str, by: str) -> list[str]:
    """The plan as lines of text: source, documents, tokens there are and are read, epochs, shares.

    Args:
        by: what is weighed, `source` or `input`.
        achieved: size of what is read of each component, after the draw.
        unit: `tokens` or `documents`.
    """
    total = sum(achieved) or 1
    width = max([6, *(len(plan.component.name) for plan in plans)])
    read = f"{unit} read"
    lines = [f"{by:<{width}}  documents  {unit:>14}  {read:>14}  epochs   asked   share"]
    for plan, size in zip(plans, achieved, strict=True):
        c = plan.component
        lines.append(
            f"{c.name:<{width}}  {c.documents:>9,}  {c.distinct:>14,}  {size:>14,}  "
            f"{size / max(c.distinct, 1):>6.2f}  {plan.asked:>6.1%}  {size / total:>6.1%}"
            + ("  (capped)" * plan.capped)
        )
    return lines
