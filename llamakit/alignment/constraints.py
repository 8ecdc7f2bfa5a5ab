"""Instructions that a whole dialogue must obey, and their random combinations (paper §3.3)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.alignment.lists import list_files, read_records
from llamakit.errors import InputError
from llamakit.text.checks import holds

FILE = "constraints.jsonl"
_TEXTS = ("id", "instruction", "short", "family")


@dataclass(frozen=True)
class Constraint:
    """One thing to obey in every answer."""

    id: str
    instruction: str
    short: str
    """The same in a few words, as `Figure: Napoleon`."""
    family: str
    """What it is about (language, hobby, figure, …); one instruction takes one of a family."""
    check: Mapping[str, object] | None
    """How to tell that a text obeys (`text.checks`); None when nothing can tell."""


@dataclass(frozen=True)
class Instruction:
    """One or more constraints, to be given as one text."""

    constraints: tuple[Constraint, ...]

    @property
    def text(self) -> str:
        """The full instruction."""
        return " ".join(one.instruction for one in self.constraints)

    @property
    def short(self) -> str:
        """The instruction in a few words."""
        return " ".join(one.short for one in self.constraints)


def constraint_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths name: a folder means the `constraints.jsonl` in it."""
    return list_files(paths, FILE)


def read_constraints(paths: Sequence[Path]) -> list[Constraint]:
    """Read JSONL files of constraints: `id, instruction, short, family` and maybe `check, split`.

    Constraints of another `split` than `training` are held out for evaluation, and left out here.

    Raises:
        InputError: a line is no such object, its check is unknown, or there is no constraint at
        all.
    """
    records = read_records(paths, "constraint", _TEXTS)
    found = [one for record, where in records if (one := _constraint(record, where)) is not None]
    if not found:
        names = ", ".join(path.name for path in paths)
        raise InputError("there is no constraint to train on in it", where=names)
    return found


def combine(constraints: Sequence[Constraint], most: int, chance: random.Random) -> Instruction:
    """Draw 1 to `most` constraints of different families, in random order."""
    families = sorted({one.family for one in constraints})
    drawn = chance.sample(families, chance.randint(1, min(most, len(families))))
    return Instruction(
        tuple(
            chance.choice([one for one in constraints if one.family == family]) for family in drawn
        )
    )


def _constraint(record: Mapping[str, Any], where: str) -> Constraint | None:
    check = record.get("check")
    if check is not None:
        try:
            holds(check, "-")
        except (InputError, AttributeError) as error:
            raise InputError(f"its check cannot be used: {error}", where=where) from None
    held_out = record.get("split", "training") != "training"
    return None if held_out else Constraint(**{key: record[key] for key in _TEXTS}, check=check)
