"""Whether a reward model prefers long answers, and how far length alone would get.

Annotators like longer answers, so a model that only counts words agrees with them more often than a
coin (Singhal et al. 2023). What a reward model knows beyond that shows where the shorter answer was
chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamakit.alignment.agreement import ScoredPair, accuracy
from llamakit.text.statistics import Estimate, correlation, wilson


@dataclass(frozen=True)
class LengthBias:
    """Agreement of a model by which answer is longer; lengths are in tokens."""

    length_only: Estimate
    """Agreement of the rule "the longer answer was chosen"; of equal lengths it has half."""
    follows_length: Estimate
    """How often the model prefers the longer of two answers of unequal length."""
    correlation: Estimate
    """Of the difference of scores with the difference of lengths, chosen minus rejected."""
    chosen_longer: Estimate
    """Agreement where the chosen answer is longer."""
    chosen_shorter: Estimate
    """Agreement where it is shorter; the rule has 0 here."""

    @property
    def balanced(self) -> float:
        """The mean of both: the rule has one half, whatever annotators prefer."""
        return (self.chosen_longer.value + self.chosen_shorter.value) / 2


def length_bias(scored: Sequence[ScoredPair]) -> LengthBias:
    """Measure it on scored pairs."""
    longer = [one for one in scored if _more(one) > 0]
    shorter = [one for one in scored if _more(one) < 0]
    equal = len(scored) - len(longer) - len(shorter)
    follows = sum(one.chosen > one.rejected for one in longer) + sum(
        one.chosen < one.rejected for one in shorter
    )
    return LengthBias(
        length_only=wilson(len(longer) + equal / 2, len(scored)),
        follows_length=wilson(follows, len(longer) + len(shorter)),
        correlation=correlation(
            [one.chosen - one.rejected for one in scored], [_more(one) for one in scored]
        ),
        chosen_longer=accuracy(longer),
        chosen_shorter=accuracy(shorter),
    )


def _more(one: ScoredPair) -> int:
    """By how many tokens the chosen answer is longer: both follow the same prompt."""
    return len(one.pair.chosen) - len(one.pair.rejected)
