"""What can be said of a kind of thing: its attributes, their values, and the words for them.

Templates use `{n}` for the name (`{n0}` without its article), `{s}` and `{o}` for the pronouns
("she", "her"), and `{v}` for the value.
"""

from __future__ import annotations

from dataclasses import dataclass

COLOURS = (
    "red", "blue", "green", "white", "yellow", "grey",
    "brown", "black", "silver", "golden", "purple", "pink",
)  # fmt: skip


@dataclass(frozen=True)
class Attribute:
    """One thing to know of every entity of a kind."""

    name: str
    values: tuple[str, ...]
    """What it can be; empty when its values are the names of entities of kind `refers_to`."""
    statements: tuple[str, ...]
    """Sentences with `{n}` and `{v}`, the plainest first. Training documents never use the last."""
    continued: tuple[str, ...]
    """Sentences with a pronoun, for an entity named before."""
    questions: tuple[str, ...]
    """Questions with `{n}`. The last one is asked in exams only."""
    follow_up: str
    """A question with a pronoun, for an entity named before."""
    refers_to: str | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of thing of which the world has several."""

    name: str
    plural: str
    attributes: tuple[Attribute, ...]
    share: float
    """The part of all entities that are of this kind."""
    article: bool
    """Whether its names take "the"."""
    most: int | None = None
    """The world never has more than this many."""

    def attribute(self, name: str) -> Attribute:
        """The attribute of that name.

        Raises:
            KeyError: the kind has none of that name.
        """
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise KeyError(name)
