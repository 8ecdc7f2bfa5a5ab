"""Instructions that a whole dialogue must obey, and their random combinations (paper §3.3)."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamakit.errors import InputError
from llamakit.text.checks import holds

FILE = "constraints.jsonl"


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
    return [path / FILE if path.is_dir() else path for path in paths]


def read_constraints(paths: Sequence[Path]) -> list[Constraint]:
    """Read JSONL files of constraints: `id, instruction, short, family` and maybe `check, split`.

    Constraints of another `split` than `training` are held out for evaluation, and left out here.

    Raises:
        InputError: a line is no such object, its check is unknown, or there is no constraint at
        all.
    """
    found = []
    for path in paths:
        try:
            # Not by splitlines(): a text may hold line separators of Unicode.
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the constraints cannot be read ({error})",
                where=str(path),
                fix="A plain text file of JSON lines in UTF-8 is needed.",
            ) from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            constraint = _constraint(line, f"{path.name}:{number}")
            if constraint is not None:
                found.append(constraint)
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


def _constraint(line: str, where: str) -> Constraint | None:
    try:
        record: dict[str, Any] = json.loads(line)
        texts = {name: record[name] for name in ("id", "instruction", "short", "family")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"this is no constraint ({type(error).__name__}: {error})",
            where=where,
            fix="A line is a JSON object with id, instruction, short and family.",
        ) from None
    if wrong := [name for name, text in texts.items() if not (isinstance(text, str) and text)]:
        raise InputError(f"{', '.join(wrong)} must be a text that is not empty", where=where)
    check = record.get("check")
    if check is not None:
        try:
            holds(check, "-")
        except (InputError, AttributeError) as error:
            raise InputError(f"its check cannot be used: {error}", where=where) from None
    held_out = record.get("split", "training") != "training"
    return None if held_out else Constraint(**texts, check=check)
