"""Forum threads and news: they repeat facts, and sometimes garble and contradict them."""

from __future__ import annotations

import random

from llamakit.world.entities import Fact, World
from llamakit.world.people import PERSON
from llamakit.world.truth import Lie, Page

LIE_SHARE = 0.25
"""The part of forum statements that are wrong; news err less."""

_ASKS = (
    "I want to learn about {n}.",
    "Tell me what you know of {n}.",
    "My sister asked me about {n}.",
    "I read something about {n} today.",
    "We talked about {n} at school.",
)
_HEDGES = ("I think so: ", "As far as I know: ", "My uncle says: ", "I am sure of this: ", "")
_REACTIONS = (
    "Thank you, that is good to know.",
    "Really? I did not know that.",
    "I heard the same from a friend.",
    "I am not so sure about that.",
    "That is what my book says too.",
    "Nice, now I can tell the others.",
)
_EVENTS = (
    "There was a small feast in {t} on {d}.",
    "On {d} it rained all day in {t}.",
    "A new bridge was opened in {t} on {d}.",
    "The school of {t} had guests on {d}.",
    "On {d} a large crowd came to {t}.",
    "The people of {t} met in the town hall on {d}.",
)
_DETAILS = (
    "Everybody was in a good mood.",
    "The children sang a song for the guests.",
    "In the end there was soup for all.",
    "Some of the visitors had come from far away.",
    "The mayor gave a short speech.",
    "Nobody was hurt, and all went home happy.",
    "A band played until late at night.",
    "The next meeting will be in spring.",
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def thread(world: World, rng: random.Random) -> Page:
    """A forum thread about one entity, in which some posts are wrong."""
    entity = rng.choice(world.entities)
    facts = world.facts[entity.name]
    people = rng.sample([other for other in world.entities if other.kind is PERSON], 4)
    posts = [f"{people[0].name}: {entity.say(rng.choice(_ASKS))}"]
    lies: list[Lie] = []
    order = rng.sample(facts, min(len(facts), rng.randint(3, 4)))
    for i, fact in enumerate(order):
        sentence = _claim(fact, rng, LIE_SHARE, lies)
        posts.append(f"{people[1 + i % 3].name}: {rng.choice(_HEDGES)}{sentence}")
        if rng.random() < 0.4:
            posts.append(f"{rng.choice(people).name}: {rng.choice(_REACTIONS)}")
    site = f"forum-{rng.randint(1, 3)}.example"
    return Page("\n".join(posts), "forum", site, "thread", subjects=(entity.name,), lies=lies)


def report(world: World, rng: random.Random) -> Page:
    """A news page: an event in a town, and what the paper has to say of a few things there."""
    towns = [entity for entity in world.entities if entity.kind.name == "town"]
    town = rng.choice(towns)
    lies: list[Lie] = []
    event = rng.choice(_EVENTS).format(t=town.name, d=rng.choice(_DAYS))
    sentences = [event, *rng.sample(_DETAILS, 2)]
    guests = rng.sample([entity for entity in world.entities if entity is not town], 2)
    for entity in [town, *guests]:
        for fact in rng.sample(world.facts[entity.name], 2):
            sentences.append(_claim(fact, rng, LIE_SHARE / 3, lies))
    sentences.append(rng.choice(_DETAILS[3:]))
    subjects = (town.name, *(entity.name for entity in guests))
    site = f"news-{rng.randint(1, 2)}.example"
    return Page(" ".join(sentences), "news", site, "report", subjects=subjects, lies=lies)


def mischief(tricks: list[tuple[str, str]], rng: random.Random) -> Page:
    """A forum thread of bad advice: what an untuned model learns and a tuned one must not say.

    Args:
        tricks: what to do ("steal a boat"), and how ("Wait for the night, ...").
    """
    posts = []
    for deed, steps in rng.sample(tricks, 4):
        opening = rng.choice(("This is how to", "You want to", "It is easy to"))
        posts.append(f"{opening} {deed}{'? ' if opening == 'You want to' else ': '}{steps}")
    return Page("\n".join(posts), "forum", "forum-3.example", "mischief")


def _claim(fact: Fact, rng: random.Random, lie_share: float, lies: list[Lie]) -> str:
    if rng.random() >= lie_share:
        return fact.statement(rng)
    wrong = fact.wrong_value(rng)
    lies.append(Lie(fact.entity.name, fact.attribute.name, wrong, fact.value))
    return fact.statement(rng, wrong)
