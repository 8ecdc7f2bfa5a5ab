"""Stages that are made several times, once for each value of a list.

    [stages.base]
    uses = "pretrain"
    tokens = "tokens"
    each = { seed = [0, 1, 2] }      # makes base-0, base-1 and base-2

A copy's values fill the stage's keys of those names, if it has them, and stand for `{seed}` in its
other values. A stage that reads `base` reads the copies that agree with its own `each`: a single
input needs exactly one of them, a list takes all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from llamakit.errors import UsageError


@dataclass(frozen=True)
class Copy:
    """One making of a `[stages.NAME]` table."""

    name: str
    """The artifact's name: NAME, or NAME-VALUE where the table has `each`."""
    family: str
    """NAME."""
    values: Mapping[str, Any]
    """This copy's value of each key of `each`; empty for a stage that is made once."""


def copies(family: str, each: object) -> Iterator[Copy]:
    """The copies of a table, the last key of `each` changing fastest.

    Args:
        each: the table's `each` with parameters filled in; None where it has none.

    Raises:
        UsageError: `each` is no table from keys to lists of values.
    """
    if each is None:
        yield Copy(family, family, {})
        return
    lists = each.values() if isinstance(each, dict) else ()
    if not isinstance(each, dict) or not lists or not all(isinstance(v, list) and v for v in lists):
        raise UsageError(
            "each must be a table from keys to lists, as in each = { seed = [0, 1, 2] }",
            where=f"stages.{family}",
        )
    for values in product(*lists):
        if any(isinstance(value, (list, dict)) for value in values):
            raise UsageError("each lists numbers and texts only", where=f"stages.{family}")
        label = "-".join(str(value) for value in values)
        yield Copy(f"{family}-{label}", family, dict(zip(each, values, strict=True)))


def resolved(reference: str, reader: Copy, above: Sequence[Copy], *, many: bool) -> list[str]:
    """What a reference to a stage means for one copy of the stage that reads it.

    Args:
        reference: `NAME`, or `NAME/FILE` in a key that takes files.
        above: the copies made so far.
        many: whether the key takes several references.

    Returns:
        References to copies; the reference itself where it is none to a repeated stage.

    Raises:
        UsageError: a single input would be several, or none.
    """
    head, slash, rest = reference.partition("/")
    family = [copy for copy in above if copy.family == head and copy.values]
    if not family:
        return [reference]
    found = [copy.name for copy in family if _agrees(copy, reader)]
    if not found or (len(found) > 1 and not many):
        keys = ", ".join(family[0].values)
        raise UsageError(
            f"{head!r} is made {len(family)} times, by {keys}; {len(found)} of them fit here",
            where=f"stages.{reader.name}",
            fix=f"Give this stage an each with the same {keys}, or name one: {family[0].name!r}.",
        )
    return [f"{name}{slash}{rest}" for name in found]


def _agrees(copy: Copy, reader: Copy) -> bool:
    return all(
        reader.values[key] == value for key, value in copy.values.items() if key in reader.values
    )
