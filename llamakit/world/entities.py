"""The things of the world and the facts about them."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from llamakit.errors import UsageError
from llamakit.world.kinds import Attribute, Kind
from llamakit.world.music import INSTRUMENT
from llamakit.world.names import names, pronouns
from llamakit.world.nature import ANIMAL, PLANT
from llamakit.world.people import PERSON
from llamakit.world.places import RIVER, TOWN

KINDS = (PERSON, TOWN, RIVER, ANIMAL, INSTRUMENT, PLANT)
LEAST_ENTITIES, MOST_ENTITIES = 30, 240
"""Fewer would leave a kind without four members, an exam's choices; for more there are no names."""
PLAINEST = 2
"""Answers use only this many of an attribute's wordings, the first: they answer most directly."""
REFERRED = 12
"""An attribute that refers to entities uses this many of them, so that each is seen often."""


@dataclass(frozen=True)
class Entity:
    """One person, town, river, animal, instrument or plant."""

    kind: Kind
    bare: str
    """The name without an article, as in the address of its page."""
    subject: str = "it"
    possessive: str = "its"

    @property
    def name(self) -> str:
        """The name as it stands in the middle of a sentence: "Mira", "the Lume"."""
        return f"the {self.bare}" if self.kind.article else self.bare

    def say(self, template: str, value: str = "") -> str:
        """Fill a template of the kind with this entity, as a whole sentence."""
        text = template.format(
            n=self.name, n0=self.bare, s=self.subject, o=self.possessive, v=value
        )
        return text[0].upper() + text[1:]


@dataclass(frozen=True)
class Fact:
    """What is true of one entity in one attribute."""

    entity: Entity
    attribute: Attribute
    value: str
    choices: tuple[str, ...] = field(compare=False, repr=False)
    """Every value the attribute can have in this world, `value` among them."""

    @property
    def key(self) -> tuple[str, str]:
        """The entity's name and the attribute's: what an exam keeps apart from the dialogues."""
        return self.entity.name, self.attribute.name

    def statements(self, value: str | None = None) -> list[str]:
        """The fact in every wording that documents use; with `value`, the same lie instead."""
        told = self.value if value is None else value
        return [self.entity.say(form, told) for form in self.attribute.statements[:-1]]

    def statement(self, rng: random.Random, value: str | None = None) -> str:
        """The fact (or a lie, when `value` is given) in one of the wordings that documents use."""
        return rng.choice(self.statements(value))

    def answer(self, rng: random.Random, value: str | None = None) -> str:
        """The fact (or a lie) in one of the plainest wordings, as an answer to a question."""
        return rng.choice(self.statements(value)[:PLAINEST])

    def unseen_statement(self) -> str:
        """The fact in the wording that is kept out of training documents."""
        return self.entity.say(self.attribute.statements[-1], self.value)

    def continued(self, rng: random.Random) -> str:
        """The fact with a pronoun in place of the name."""
        return self.entity.say(rng.choice(self.attribute.continued), self.value)

    def questions(self) -> list[str]:
        """The questions that ask for the fact, without the one kept for exams."""
        return [self.entity.say(form) for form in self.attribute.questions[:-1]]

    def unseen_question(self) -> str:
        """The question kept for exams."""
        return self.entity.say(self.attribute.questions[-1])

    def follow_up(self) -> str:
        """The question about an entity that was named before."""
        return self.entity.say(self.attribute.follow_up)

    def wrong_value(self, rng: random.Random) -> str:
        """Another value of the same attribute."""
        return rng.choice([value for value in self.choices if value != self.value])


@dataclass(frozen=True)
class World:
    """All entities with their facts, and which facts may be asked about where.

    Every entity belongs to one split with all its facts.
    """

    entities: tuple[Entity, ...]
    facts: dict[str, tuple[Fact, ...]]
    """By the entity's name, in the order of its kind's attributes."""
    training: tuple[Fact, ...]
    """Facts that dialogues, preferences and prompts ask about."""
    heldout: tuple[Fact, ...]
    """Facts that held-out prompts and preferences ask about."""
    exam: tuple[Fact, ...]
    """Facts that only exams ask about: a model knows them from documents alone."""

    def all_facts(self) -> Iterator[Fact]:
        """Every fact, entity by entity."""
        for facts in self.facts.values():
            yield from facts


def entities_for(docs: int) -> int:
    """How many entities a world of `docs` documents has: it grows with their square root."""
    return min(MOST_ENTITIES, max(LEAST_ENTITIES, 22 + round(0.6 * math.sqrt(docs))))


def build_world(n_entities: int, seed: int) -> World:
    """Draw the entities, their facts, and the split of the facts over training, held-out and exam.

    Raises:
        UsageError: fewer than 30 or more than 240 entities.
    """
    if not LEAST_ENTITIES <= n_entities <= MOST_ENTITIES:
        raise UsageError(
            f"a world of {n_entities} entities cannot be built",
            fix=f"Ask for {LEAST_ENTITIES} to {MOST_ENTITIES}.",
        )
    rng = random.Random(f"{seed}/entities")
    entities = _entities(n_entities, rng)
    by_kind = _by_kind(entities)
    facts = {entity.name: _facts(entity, by_kind, rng) for entity in entities}
    splits: dict[str, list[Fact]] = {"exam": [], "heldout": [], "training": []}
    for family in by_kind.values():
        # Whole entities are kept for exams: a model that was asked some facts of an entity would
        # answer with those, whatever the question.
        order = rng.sample(family, len(family))
        n_exam, n_heldout = round(0.3 * len(order)), max(1, round(0.1 * len(order)))
        for i, entity in enumerate(order):
            split = "exam" if i < n_exam else "heldout" if i < n_exam + n_heldout else "training"
            splits[split] += facts[entity.name]
    return World(
        entities=tuple(entities),
        facts=facts,
        **{name: tuple(group) for name, group in splits.items()},
    )


def fact_records(world: World) -> Iterator[dict[str, object]]:
    """Yield every fact as a record, from which `world_from_facts` builds the same world."""
    splits = {
        fact.key: name for name in ("training", "heldout", "exam") for fact in getattr(world, name)
    }
    for fact in world.all_facts():
        yield {
            "entity": fact.entity.bare,
            "kind": fact.entity.kind.name,
            "attribute": fact.attribute.name,
            "value": fact.value,
            "split": splits[fact.key],
        }


def world_from_facts(records: Iterable[Mapping[str, str]]) -> World:
    """The world that these facts were written from."""
    rows = list(records)
    kinds = {kind.name: kind for kind in KINDS}
    entities = {row["entity"]: _entity(kinds[row["kind"]], row["entity"]) for row in rows}
    by_kind = _by_kind(entities.values())
    facts: dict[str, list[Fact]] = {}
    splits: dict[str, list[Fact]] = {"training": [], "heldout": [], "exam": []}
    for row in rows:
        entity = entities[row["entity"]]
        attribute = entity.kind.attribute(row["attribute"])
        fact = Fact(entity, attribute, row["value"], _choices(attribute, by_kind))
        facts.setdefault(entity.name, []).append(fact)
        splits[row["split"]].append(fact)
    return World(
        entities=tuple(entities.values()),
        facts={name: tuple(group) for name, group in facts.items()},
        **{name: tuple(group) for name, group in splits.items()},
    )


def _entities(total: int, rng: random.Random) -> list[Entity]:
    counts = {kind.name: max(4, round(kind.share * total)) for kind in KINDS}
    for kind in KINDS:
        if kind.most is not None:
            counts[kind.name] = min(counts[kind.name], kind.most)
    spare = total - sum(counts.values())
    counts[PERSON.name] = max(4, counts[PERSON.name] + spare)
    return [
        _entity(kind, name) for kind in KINDS for name in names(kind.name, counts[kind.name], rng)
    ]


def _entity(kind: Kind, name: str) -> Entity:
    return Entity(kind, name, *pronouns(name)) if kind is PERSON else Entity(kind, name)


def _by_kind(entities: Iterable[Entity]) -> dict[str, list[Entity]]:
    groups: dict[str, list[Entity]] = {}
    for entity in entities:
        groups.setdefault(entity.kind.name, []).append(entity)
    return groups


def _choices(attribute: Attribute, by_kind: Mapping[str, list[Entity]]) -> tuple[str, ...]:
    if attribute.refers_to is None:
        return attribute.values
    return tuple(other.name for other in by_kind[attribute.refers_to][:REFERRED])


def _facts(
    entity: Entity, by_kind: Mapping[str, list[Entity]], rng: random.Random
) -> tuple[Fact, ...]:
    facts = []
    for attribute in entity.kind.attributes:
        choices = _choices(attribute, by_kind)
        facts.append(Fact(entity, attribute, rng.choice(choices), choices))
    return tuple(facts)
