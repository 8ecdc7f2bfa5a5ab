"""Tasks: what is asked, what is right, and which solved examples go before a question.

How files become tasks is in `task_files`; how a question is put to a model, in `prompts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from llamakit.errors import InputError

T = TypeVar("T")
Kind = Literal["choice", "text", "number", "solution"]
Normalization = Literal["raw", "per_character", "unconditional"]

_SPLIT_SUFFIX = re.compile(r"[_-](train|dev|val|valid|validation|test|heldout|examples|shots)$")


@dataclass(frozen=True)
class Item:
    """One question with its right answer."""

    id: str
    context: str
    """The text a base model continues; it ends without a space."""
    question: str
    """The same as a message to a chat model."""
    choices: tuple[str, ...] = ()
    """What may follow (multiple choice), without the space that goes before it."""
    gold: int = -1
    """Index of the right choice."""
    answers: tuple[str, ...] = ()
    """Right answers, any of which will do (generation)."""
    shown_answer: str = ""
    """What an example in a few-shot prefix shows as its answer."""
    subject: str = ""


@dataclass(frozen=True)
class Task:
    """The items of one file."""

    name: str
    kind: Kind
    items: tuple[Item, ...]
    opening: str = ""
    """What stands before the first example; `{subject}` is the item's subject."""
    normalization: Normalization = "raw"
    """How choices are compared for the task's main number."""
    by_subject: bool = False
    """Whether an item's examples come from its own subject."""
    broken: tuple[str, ...] = ()
    """Lines left out: where and why."""
    examples: Mapping[str, tuple[Item, ...]] = field(default_factory=dict)
    """Few-shot examples by subject (under `""` unless `by_subject`)."""

    def examples_for(self, item: Item) -> tuple[Item, ...]:
        """The solved examples put before an item."""
        return self.examples.get(item.subject if self.by_subject else "", ())

    def opening_for(self, item: Item) -> str:
        """The task's first lines for an item."""
        return self.opening.replace("{subject}", item.subject.replace("_", " "))


def with_shots(task: Task, shots: int, examples: Task | None = None) -> Task:
    """The task with `shots` solved examples before every item.

    They are the first items of `examples` or, without it, the first of the task itself, which are
    then not scored. A task by subject takes them from each subject.

    Raises:
        InputError: nothing is left to score, or the examples are of another kind.
    """
    if shots == 0:
        return task
    if examples is not None and examples.kind != task.kind:
        raise InputError(
            f"examples of kind {examples.kind} cannot introduce a task of kind {task.kind}",
            where=examples.name,
        )
    chosen: dict[str, tuple[Item, ...]] = {}
    left: list[Item] = []
    for item in (examples or task).items:
        subject = item.subject if task.by_subject else ""
        if len(chosen.get(subject, ())) < shots:
            chosen[subject] = (*chosen.get(subject, ()), item)
        else:
            left.append(item)
    scored = task.items if examples else tuple(left)
    if not scored:
        raise InputError(
            f"all {len(task.items)} items are examples, none is left to score",
            where=task.name,
            fix="Lower --shots, or take the examples from another file (--examples).",
        )
    return replace(task, items=scored, examples=chosen)


def limited(task: Task, limit: int | None) -> Task:
    """The task with at most `limit` items."""
    return replace(task, items=tuple(spaced(task.items, limit)))


def spaced(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """At most `limit` items, evenly spaced so that every part of a file is met."""
    total = len(items)
    if limit is None or limit >= total:
        return items
    return [items[index * total // limit] for index in range(limit)]


def family(name: str) -> str:
    """A task's name without its split: `mmlu_val` and `mmlu_dev` are both `mmlu`."""
    return _SPLIT_SUFFIX.sub("", name)
