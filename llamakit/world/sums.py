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

    def worked(self) -> str:
        """The sum with its tens and ones taken apart, or with its proof."""
        if self.plus and self.left >= 10:
            tens, ones = divmod(self.left, 10)
            step = ones + self.right
            return (
                f"{self.left} plus {self.right}: {ones} plus {self.right} is {step}, "
                f"{10 * tens} plus {step} is {self.result}."
            )
        inverse = "minus" if self.plus else "plus"
        return (
            f"{self.statement[:-1]}, because {self.result} {inverse} {self.right} is {self.left}."
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
    """Every sum of a number up to 39 with one up to 19, split by the seed."""
    everything = [
        Sum(left, right, plus)
        for plus in (True, False)
        for left in range(1, 40)
        for right in range(1, 20)
        if plus or left >= right
    ]
    random.Random(f"{seed}/sums").shuffle(everything)
    n_exam, n_heldout = len(everything) // 10, len(everything) // 10
    return Sums(
        exam=tuple(everything[:n_exam]),
        heldout=tuple(everything[n_exam : n_exam + n_heldout]),
        training=tuple(everything[n_exam + n_heldout :]),
    )


def sheet(sums: Sums, rng: random.Random) -> Page:
    """A page of worked sums, without those of held-out sets and exams."""
    lines = [
        item.worked() if rng.random() < 0.5 else item.statement
        for item in rng.sample(sums.training, rng.randint(8, 12))
    ]
    return Page("\n".join(lines), "sums", "school.example", "sums")
