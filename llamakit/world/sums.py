"""Sums: additions and subtractions of small numbers, and which of them are kept for exams."""

from __future__ import annotations

import random
from dataclasses import dataclass

from llamakit.world.truth import Page


@dataclass(frozen=True)
class Sum:
    """`left` plus or minus `right`; the result is never negative."""

    left: int
    right: int
    plus: bool

    @property
    def result(self) -> int:
        """What it comes to."""
        return self.left + self.right if self.plus else self.left - self.right

    @property
    def word(self) -> str:
        """The operation as a word."""
        return "plus" if self.plus else "minus"

    @property
    def statement(self) -> str:
        """The sum as a sentence."""
        return f"{self.left} {self.word} {self.right} is {self.result}."

    @property
    def has_steps(self) -> bool:
        """Whether it can be taken apart into steps that are smaller sums."""
        return self.left > 10 and self.left % 10 > 0 if self.plus else self.left >= 20

    def worked(self) -> str:
        """The sum with its tens and ones taken apart, if it has any."""
        if not self.has_steps:
            return self.statement
        tens, ones = divmod(self.left, 10)
        if not self.plus and ones < self.right:
            tens, ones = tens - 1, ones + 10
        step = Sum(ones, self.right, self.plus)
        return (
            f"{self.left} {self.word} {self.right}: {step.statement[:-1]}, "
            f"{10 * tens} plus {step.result} is {self.result}."
        )

    def questions(self) -> list[str]:
        """The questions that ask for the sum."""
        asked = f"{self.left} {self.word} {self.right}"
        return [f"What is {asked}?", f"How much is {asked}?", f"Can you work out {asked}?"]


@dataclass(frozen=True)
class Sums:
    """All sums of the world, split as its facts are."""

    training: tuple[Sum, ...]
    heldout: tuple[Sum, ...]
    exam: tuple[Sum, ...]


def build_sums(seed: int) -> Sums:
    """Every sum of a number up to 29 with one up to 9, split by the seed.

    Only sums that have steps are held out; others occur as steps, and so in the documents.
    """
    everything = [
        Sum(left, right, plus)
        for plus in (True, False)
        for left in range(1, 30)
        for right in range(1, 10)
        if plus or left >= right
    ]
    order = [item for item in everything if item.has_steps]
    random.Random(f"{seed}/sums").shuffle(order)
    n = len(order) // 6
    exam, heldout, others = order[:n], order[n : 2 * n], order[2 * n :]
    return Sums(
        exam=tuple(exam),
        heldout=tuple(heldout),
        training=tuple(item for item in everything if not item.has_steps) + tuple(others),
    )


def sheet(sums: Sums, rng: random.Random) -> Page:
    """A page of worked sums, without those of held-out sets and exams."""
    lines = [
        item.worked() if rng.random() < 0.5 else item.statement
        for item in rng.sample(sums.training, rng.randint(8, 12))
    ]
    return Page("\n".join(lines), "sums", "school.example", "sums")
