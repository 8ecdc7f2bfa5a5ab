"""From wishes to a mixture: the plan, the draw, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.mixing.draw import draw_repeats
from llamakit.corpus.mixing.inventory import Inventory
from llamakit.corpus.mixing.plan import (
    Plan,
    plan_by_factor,
    plan_by_weight,
    table,
    weights_by_temperature,
)

I64 = NDArray[np.int64]

TOLERANCE = 0.005
"""A share that misses the planned one by more than this part of it is told."""

MOST_WARNINGS = 12


@dataclass(frozen=True)
class Wishes:
    """What a mixture shall be. Of weights, factors and temperature one is given at most."""

    by: str
    """`source` or `input`: what is weighed."""
    weights: Mapping[str, float]
    factors: Mapping[str, float]
    temperature: float | None
    budget: int | None
    of_documents: bool
    """Whether budget and shares are of documents, not of tokens."""
    max_epochs: float


@dataclass(frozen=True)
class Mixture:
    """How often each document of an inventory is read, and what that gives."""

    plans: list[Plan]
    wishes: Wishes
    repeats: I64
    """Readings of each document of the inventory."""
    achieved: list[int]
    """Size read of each plan's component."""
    reads: list[int]
    """Documents read of each, repetitions counted."""
    tokens: int

    def shares(self) -> list[float]:
        """Achieved share of each component (0-1)."""
        total = sum(self.achieved) or 1
        return [size / total for size in self.achieved]

    def table(self) -> list[str]:
        """The mixture as lines of text."""
        return table(self.plans, self.achieved, self._unit(), self.wishes.by)

    def warnings(self) -> list[str]:
        """What differs from what was asked for, and why."""
        planned = sum(plan.wanted for plan in self.plans) or 1.0
        shares = self.shares()
        cap = f"read {self.wishes.max_epochs:g} times, the cap (--max-epochs):"
        told: list[str] = []
        for plan, share in zip(self.plans, shares, strict=True):
            name, wanted = plan.component.name, plan.wanted / planned
            if plan.capped:
                told.append(f"{name}: {cap} {share:.2%} of the mixture, asked for {plan.asked:.2%}")
            elif plan.wanted > 0 and share == 0:
                told.append(f"{name}: its share is less than half a document, so none is taken")
            elif abs(share - wanted) > TOLERANCE * wanted:
                told.append(
                    f"{name}: {share:.2%} of the mixture, asked for {wanted:.2%}: documents are not"
                    f" cut, and the sources have too few for a closer choice"
                )
        if len(told) > MOST_WARNINGS:
            told = [*told[:MOST_WARNINGS], f"and {len(told) - MOST_WARNINGS} more sources"]
        budget = self.wishes.budget
        if any(plan.capped for plan in self.plans):
            if budget and planned < (1 - TOLERANCE) * budget:
                told.append(
                    "every source is capped: the mixture has"
                    f" {planned:,.0f} of {budget:,} asked for"
                )
            elif budget or self.wishes.weights or self.wishes.temperature:
                told.append("the other sources share what the cap leaves, by their weights")
        return told

    def counts(self) -> dict[str, int]:
        """For the record."""
        names = [plan.component.name for plan in self.plans]
        return {
            "documents": int(np.count_nonzero(self.repeats)),
            "reads": int(self.repeats.sum()),
            "tokens": self.tokens,
            **{f"reads_{name}": n for name, n in sorted(zip(names, self.reads, strict=True))},
        }

    def metrics(self) -> dict[str, float]:
        """For the record: by component epochs, the share asked for, the share achieved."""
        found: dict[str, float] = {}
        for plan, size, share in zip(self.plans, self.achieved, self.shares(), strict=True):
            name = plan.component.name
            found[f"epochs_{name}"] = size / max(plan.component.distinct, 1)
            found[f"asked_share_{name}"] = plan.asked
            found[f"share_{name}"] = share
        return found

    def values(self) -> dict[str, Any]:
        """The table for a program."""
        return {
            "unit": self._unit(),
            "total": sum(self.achieved),
            self.wishes.by: {
                plan.component.name: {
                    "documents": plan.component.documents,
                    self._unit(): plan.component.distinct,
                    "read": size,
                    "epochs": size / max(plan.component.distinct, 1),
                    "asked_share": plan.asked,
                    "share": share,
                    "capped": plan.capped,
                }
                for plan, size, share in zip(self.plans, self.achieved, self.shares(), strict=True)
            },
        }

    def _unit(self) -> str:
        return "documents" if self.wishes.of_documents else "tokens"


def mix(inventory: Inventory, wishes: Wishes, seed: int) -> Mixture:
    """Plan how often each component is read, and draw the documents of partial epochs.

    The draw follows from the seed and from each component's documents in their order, not from the
    parts that they lie in.
    """
    unit = np.ones_like(inventory.tokens) if wishes.of_documents else inventory.tokens
    plans = _plans(inventory, wishes, unit)
    _, group_of = inventory.groups(wishes.by)
    by_group = np.argsort(group_of, kind="stable")
    ends = np.cumsum(np.bincount(group_of, minlength=len(plans)))
    repeats = np.zeros(len(group_of), np.int64)
    achieved, reads = [], []
    for number, (plan, mine) in enumerate(zip(plans, np.split(by_group, ends[:-1]), strict=True)):
        # An input's name may change while its content stays; its place stands for it.
        stream = plan.component.name if wishes.by == "source" else str(number)
        drawn = draw_repeats(unit[mine], inventory.repeats[mine], plan.factor, seed, stream)
        repeats[mine] = drawn
        achieved.append(int((drawn * unit[mine]).sum()))
        reads.append(int(drawn.sum()))
    tokens = int((repeats * inventory.tokens).sum())
    return Mixture(plans, wishes, repeats, achieved, reads, tokens)


def _plans(inventory: Inventory, wishes: Wishes, unit: I64) -> list[Plan]:
    components = inventory.components(wishes.by, unit)
    weights = wishes.weights
    if wishes.temperature is not None:
        weights = weights_by_temperature(components, wishes.temperature)
    if weights:
        whole = sum(c.size for c in components if weights.get(c.name))
        return plan_by_weight(components, weights, wishes.budget or whole, wishes.max_epochs)
    return plan_by_factor(components, wishes.factors, wishes.budget, wishes.max_epochs)
