"""The encyclopedia: pages that state facts in many wordings and orders, and never lie."""

from __future__ import annotations

import random

from llamakit.world.entities import Entity, Fact, World
from llamakit.world.truth import Page

SOURCE = "encyclopedia"
UNSEEN = "paraphrase"
SITE = "encyclopedia.example"

_OPENINGS = {
    "person": ("{n} is one of the people of this land.", "This page is about a person named {n}."),
    "town": ("{n} is a town.", "This page is about the town of {n}."),
    "river": ("{n} is a river.", "This page is about the river {n0}."),
    "animal": ("{n} is an animal.", "This page is about an animal, {n}."),
    "instrument": ("{n} is an instrument.", "This page is about an instrument, {n}."),
    "plant": ("{n} is a plant.", "This page is about a plant, {n}."),
}


def article(entity: Entity, world: World, rng: random.Random) -> Page:
    """A page about one entity: its facts in any order, some of them told twice."""
    facts = list(world.facts[entity.name])
    sentences = [entity.say(rng.choice(_OPENINGS[entity.kind.name]))] if rng.random() < 0.7 else []
    sentences += _told(facts, rng, pronouns=0.35)
    paragraphs = [" ".join(sentences)]
    if rng.random() < 0.6:
        again = rng.sample(facts, rng.randint(2, len(facts)))
        paragraphs.append(" ".join(_told(again, rng, pronouns=0.0)))
    if rng.random() < 0.5:
        paragraphs.insert(0, entity.say("{n}"))
    return _page("\n\n".join(paragraphs), "article", [entity])


def survey(world: World, rng: random.Random) -> Page:
    """A page about several entities of one kind in one or two attributes."""
    first = rng.choice(world.entities)
    family = [entity for entity in world.entities if entity.kind is first.kind]
    chosen = rng.sample(family, min(len(family), rng.randint(5, 8)))
    attributes = rng.sample([attribute.name for attribute in first.kind.attributes], 2)
    sentences = []
    for entity in chosen:
        facts = {fact.attribute.name: fact for fact in world.facts[entity.name]}
        sentences += [facts[name].statement(rng) for name in attributes]
    title = f"Some {first.kind.plural} of this land"
    return _page(f"{title}\n\n{' '.join(sentences)}", "survey", chosen)


def unseen_article(entity: Entity, world: World, rng: random.Random) -> Page:
    """A page in wordings that no training document uses, to measure perplexity on."""
    facts = list(world.facts[entity.name])
    rng.shuffle(facts)
    page = _page(" ".join(fact.unseen_statement() for fact in facts), "paraphrase", [entity])
    page.source = UNSEEN
    return page


def _told(facts: list[Fact], rng: random.Random, pronouns: float) -> list[str]:
    """The facts in any order; after the first, a share of them with a pronoun."""
    order = rng.sample(facts, len(facts))
    return [
        fact.continued(rng) if i and rng.random() < pronouns else fact.statement(rng)
        for i, fact in enumerate(order)
    ]


def _page(text: str, genre: str, subjects: list[Entity]) -> Page:
    names = tuple(entity.name for entity in subjects)
    return Page(text=text, source=SOURCE, site=SITE, genre=genre, subjects=names)
