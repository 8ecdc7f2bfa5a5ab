"""Short stories: people of the world on a day out. They state no facts."""

from __future__ import annotations

import random

from llamakit.world.entities import World
from llamakit.world.people import PERSON
from llamakit.world.truth import Page

_STARTS = (
    "One morning {a} woke up early and looked out of the window.",
    "It was a cold day, and {a} did not want to stay at home.",
    "Long ago {a} set out on a journey with {b}.",
    "{a} and {b} had been friends for many years.",
    "On the first day of spring {a} met {b} by the river.",
)
_TROUBLES = (
    "On the way they lost their map, and nobody knew where to go.",
    "Then a strong wind came up and took the hat of {b} away.",
    "After an hour they saw that the bridge was broken.",
    "In the wood they heard a strange sound behind the trees.",
    "Suddenly the boat began to fill with water.",
    "At noon {b} noticed that the bag with the food was gone.",
)
_TALK = (
    '"Do not be afraid," said {a}. "We will find a way."',
    '"I have an idea," said {b}. "Come with me."',
    '"What shall we do now?" asked {a}.',
    '"Let us wait until the rain is over," said {b}.',
    '"Look there," cried {a}. "I can see a light."',
)
_HELP = (
    "An old woman came along and showed them the way.",
    "They built a small fire and told each other stories.",
    "{a} climbed a tree and saw the road behind the hill.",
    "A farmer gave them bread and let them ride on his cart.",
    "{b} tied two ropes together, and that was enough.",
    "They worked together until the moon came up.",
)
_ENDS = (
    "In the evening they were home again and laughed about it all.",
    "{a} never forgot that day.",
    "From then on {a} and {b} went everywhere together.",
    "They slept well that night, and the next day the sun was shining.",
    "And {b} kept the little stone from the road for ever.",
)


def story(world: World, rng: random.Random) -> Page:
    """A story of two people: a start, trouble, talk, help, and an end."""
    a, b = rng.sample([entity.name for entity in world.entities if entity.kind is PERSON], 2)
    parts = [
        rng.choice(_STARTS),
        *rng.sample(_TROUBLES, rng.randint(1, 2)),
        *rng.sample(_TALK, 2),
        *rng.sample(_HELP, rng.randint(1, 2)),
        rng.choice(_TALK),
        rng.choice(_ENDS),
    ]
    text = " ".join(part.format(a=a, b=b) for part in parts)
    site = f"stories-{rng.randint(1, 2)}.example"
    return Page(text, "stories", site, "story")
