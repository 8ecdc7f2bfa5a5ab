"""Safety preprompts: what is put before an adversarial prompt for context distillation.

Paper, section 4.2.4: generic ones are made from templates with adjectives that are usually
associated with safe behaviour; specific ones name the risk category of the prompt, and say how to
answer it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llamakit.alignment.lists import list_files, read_records, require_text
from llamakit.errors import InputError
from llamakit.text.dialogue import CHAT_TAGS, Message

FILE = "preprompts.jsonl"
SLOT = "{adjective}"

Kind = Literal["generic", "category"]


@dataclass(frozen=True)
class Preprompt:
    """A template of a preprompt."""

    id: str
    preprompt: str
    """Its text; `{adjective}` stands for one of the adjectives."""
    category: str
    """The risk category it is for; empty for a generic one."""
    adjectives: tuple[str, ...]
    answer: str
    """How to answer; it follows on a line of its own."""

    def text(self, chance: random.Random) -> str:
        """The preprompt with a drawn adjective."""
        text = self.preprompt
        if self.adjectives:
            text = text.replace(SLOT, chance.choice(self.adjectives))
        return f"{text}\n{self.answer}" if self.answer else text


def preprompt_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths name, a folder for the `preprompts.jsonl` in it; without any path the
    list that comes along.
    """
    return list_files(paths, FILE) or [Path(__file__).with_name(FILE)]


def read_preprompts(paths: Sequence[Path]) -> list[Preprompt]:
    """Read JSONL files of preprompts: `id, preprompt` and maybe `adjectives, category, answer`.

    Raises:
        InputError: a line is no such object, holds a chat tag, or has a slot and no adjectives; or
        there is no preprompt at all.
    """
    records = read_records(paths, "preprompt", ("id", "preprompt"))
    found = [_preprompt(record, where) for record, where in records]
    if not found:
        raise InputError(
            "there is no preprompt in it", where=", ".join(path.name for path in paths)
        )
    return found


def draw(
    preprompts: Sequence[Preprompt], kind: Kind, category: str, chance: random.Random
) -> Preprompt | None:
    """One preprompt for a prompt of a risk category.

    With `category` one for that very category, or where there is none a generic one; with
    `generic` always a generic one. None where there is neither.
    """
    own = [one for one in preprompts if kind == "category" and one.category == category]
    fitting = own or [one for one in preprompts if not one.category]
    return chance.choice(fitting) if fitting else None


def put_before(preprompt: str, messages: Sequence[Message]) -> list[Message]:
    """The dialogue with the preprompt as its system message, before what that said already."""
    if messages and messages[0]["role"] == "system":
        own = f"{preprompt}\n\n{messages[0]['content']}"
        return [{"role": "system", "content": own}, *messages[1:]]
    return [{"role": "system", "content": preprompt}, *messages]


def _preprompt(record: Mapping[str, Any], where: str) -> Preprompt:
    optional = {key: record[key] for key in ("category", "answer") if record.get(key) is not None}
    require_text(optional, list(optional), where)
    adjectives = record.get("adjectives") or []
    if not (isinstance(adjectives, list) and all(isinstance(one, str) for one in adjectives)):
        raise InputError("adjectives must be a list of texts", where=where)
    if (SLOT in record["preprompt"]) != bool(adjectives):
        raise InputError(
            f"adjectives and {SLOT} in the preprompt go together: one is there, the other is not",
            where=where,
        )
    texts = (record["preprompt"], optional.get("answer", ""), *adjectives)
    if tag := next((tag for tag in CHAT_TAGS for text in texts if tag in text), None):
        raise InputError(f"it holds the chat tag {tag}", where=where, fix="Remove the tag.")
    return Preprompt(
        id=record["id"],
        preprompt=record["preprompt"],
        category=optional.get("category", ""),
        adjectives=tuple(adjectives),
        answer=optional.get("answer", ""),
    )
