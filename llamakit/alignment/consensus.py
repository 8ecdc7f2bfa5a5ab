"""Whether two reward models rank the same pairs alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llamakit.alignment.agreement import ScoredPair
from llamakit.alignment.grades import MARGINS, SAFETY_LABELS
from llamakit.text.statistics import Estimate, correlation, ranks, wilson

Both = tuple[ScoredPair, ScoredPair]


@dataclass(frozen=True)
class Consensus:
    """Two models on the pairs that both have scored."""

    same: Estimate
    """How often they prefer the same answer; a tie is with nobody."""
    both_right: Estimate
    first_alone: Estimate
    """Pairs on which only the first agrees with the annotator."""
    second_alone: Estimate
    both_wrong: Estimate
    differences: Estimate
    """Correlation of their differences of scores (Pearson's)."""
    scores: Estimate
    """Correlation of the ranks of their scores over all answers (Spearman's): what is high for one
    may be low for the other, as the paper found of helpfulness and safety."""
    groups: dict[str, Estimate]
    """`same` by grade and by safety bin."""


def consensus(first: Sequence[ScoredPair], second: Sequence[ScoredPair]) -> Consensus:
    """Compare two models; pairs that only one could read are left out.

    Raises:
        ValueError: they have no pair in common.
    """
    found = {one.pair.row: one for one in second}
    both = [(one, found[one.pair.row]) for one in first if one.pair.row in found]
    if not both:
        raise ValueError("the two models have scored no pair in common")
    n = len(both)
    right = [(a.agrees, b.agrees) for a, b in both]
    groups = {
        **_by([*MARGINS["large"]], both, lambda one: one.pair.grade),
        **_by([*SAFETY_LABELS], both, lambda one: one.pair.safety),
    }
    return Consensus(
        same=_same(both),
        both_right=wilson(right.count((True, True)), n),
        first_alone=wilson(right.count((True, False)), n),
        second_alone=wilson(right.count((False, True)), n),
        both_wrong=wilson(right.count((False, False)), n),
        differences=correlation(
            [a.chosen - a.rejected for a, _ in both], [b.chosen - b.rejected for _, b in both]
        ),
        scores=correlation(
            ranks([s for a, _ in both for s in (a.chosen, a.rejected)]),
            ranks([s for _, b in both for s in (b.chosen, b.rejected)]),
        ),
        groups=groups,
    )


def _same(both: Sequence[Both]) -> Estimate:
    alike = [(a.chosen - a.rejected) * (b.chosen - b.rejected) > 0 for a, b in both]
    return wilson(sum(alike), len(alike))


def _by(
    names: Sequence[str], both: Sequence[Both], key: Callable[[ScoredPair], str | None]
) -> dict[str, Estimate]:
    held = {name: [pair for pair in both if key(pair[0]) == name] for name in names}
    return {name: _same(pairs) for name, pairs in held.items() if pairs}
