"""Drills: pages of larger sums than the documents hold, to see what digits do to a vocabulary.

Answers work a sum out, ones and tens apart, before they give its result: a small model learns the
steps in minutes, where the results alone would take it hours.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.world.sums import Sum
from llamakit.world.truth import Record

LARGEST = 99
_EXAM_SHARE = 0.1
"""The part of all sums that no drill works out."""
_PAGE_SUMS = 12


def drill_records(count: int, seed: int) -> Iterator[Record]:
    """Yield the records of drills.jsonl: pages of solved sums of one- and two-digit numbers."""
    rng = random.Random(f"{seed}/drills")
    known, _ = _split(seed)
    for i in range(count):
        lines = [
            f"Question: {rng.choice(item.questions())}\nAnswer: {worked(item)}"
            for item in rng.sample(known, _PAGE_SUMS)
        ]
        yield {
            "id": f"drill-{i:06d}",
            "text": "\n\n".join(lines),
            "source": "drills",
            "url": f"https://school.example/drill/{i:06d}",
            "language": "en",
        }


def drill_exam_records(count: int, seed: int) -> Iterator[Record]:
    """Yield the records of drills_exam.jsonl: at most `count` sums of two-digit numbers that no
    drill holds, `subject` their operation."""
    rng = random.Random(f"{seed}/drills exam")
    _, kept = _split(seed)
    hard = [item for item in kept if item.left > 9 and item.right > 9]
    for i, item in enumerate(rng.sample(hard, min(count, len(hard)))):
        yield {
            "id": f"drill-exam-{i:05d}",
            "question": rng.choice(item.questions()),
            "answer": str(item.result),
            "subject": item.word,
        }


def worked(item: Sum) -> str:
    """A sum in three steps, the last number its result: "7 plus 6 is 13, 40 plus 30 is 70, 70 plus
    13 is 83." In a difference with a borrow, ten goes over to the ones."""
    ones, less = item.left % 10, item.right % 10
    if not item.plus and ones < less:
        ones += 10
    first = Sum(ones, less, item.plus)
    second = Sum(item.left - ones, item.right - less, item.plus)
    third = Sum(second.result, first.result, plus=True)
    return ", ".join(step.statement[:-1] for step in (first, second, third)) + "."


def _split(seed: int) -> tuple[list[Sum], list[Sum]]:
    """All sums up to LARGEST: those that drills show, and those kept for the exam."""
    everything = [
        Sum(left, right, plus)
        for plus in (True, False)
        for left in range(1, LARGEST + 1)
        for right in range(1, LARGEST + 1)
        if plus or left >= right
    ]
    random.Random(f"{seed}/drills split").shuffle(everything)
    kept = round(_EXAM_SHARE * len(everything))
    return everything[kept:], everything[:kept]
