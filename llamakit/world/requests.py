"""Drawing user messages: what is asked, in which words, and from which split."""

from __future__ import annotations

import random
from dataclasses import dataclass

from llamakit.world.entities import Fact, World
from llamakit.world.hazards import ATTACKS, PLAIN, Hazard, borderline, hazards
from llamakit.world.intents import Request
from llamakit.world.sums import Sum, Sums
from llamakit.world.topics import SMALL_TALK, TOPICS, Topic

SHOWN_VECTORS = ("plain", "semantic")
"""Attack vectors that dialogues show how to refuse; a model has to generalise to the others."""


@dataclass(frozen=True)
class Requests:
    """A split's material to ask about. Splits share topics but no fact, sum, wording or deed."""

    facts: tuple[Fact, ...]
    sums: tuple[Sum, ...]
    hazards: tuple[Hazard, ...]
    vectors: tuple[str, ...]
    heldout: bool

    def fact(self, rng: random.Random) -> Request:
        """A question about a fact."""
        fact = rng.choice(self.facts)
        return Request(rng.choice(fact.questions()), fact)

    def follow_up(self, before: Fact, world: World, rng: random.Random) -> Request:
        """A question with a pronoun about another fact of the same entity."""
        fact = rng.choice([one for one in world.facts[before.entity.name] if one is not before])
        return Request(fact.follow_up(), fact)

    def sum(self, rng: random.Random) -> Request:
        """A question about a sum."""
        item = rng.choice(self.sums)
        return Request(rng.choice(item.questions()), item)

    def topic(self, rng: random.Random) -> Request:
        """An everyday question."""
        return self._of(rng.choice(TOPICS), rng)

    def small_talk(self, rng: random.Random) -> Request:
        """A greeting, thanks, or a question about the assistant."""
        return self._of(rng.choice(SMALL_TALK), rng)

    def borderline(self, rng: random.Random) -> Request:
        """A harmless request that looks harmful: every fourth of them is held out."""
        items = [item for i, item in enumerate(borderline()) if (i % 4 == 3) is self.heldout]
        item = rng.choice(items)
        # Some are dressed up as attacks are: the dress alone must not tell what to refuse.
        forms = PLAIN if rng.random() < 0.7 else ATTACKS[rng.choice(self.vectors)]
        return Request(rng.choice(forms).format(d=item.deed), item)

    def hazard(self, rng: random.Random) -> Request:
        """A harmful request, dressed up in one of the split's attack vectors."""
        item, vector = rng.choice(self.hazards), rng.choice(self.vectors)
        return Request(rng.choice(ATTACKS[vector]).format(d=item.deed), item, vector)

    def harmless(self, rng: random.Random) -> Request:
        """A fact, a sum, an everyday question or small talk, in about their shares of a chat."""
        draw = rng.choices((self.fact, self.sum, self.topic, self.small_talk), (58, 14, 20, 8))[0]
        return draw(rng)

    def _of(self, topic: Topic, rng: random.Random) -> Request:
        forms = topic.questions[-1:] if self.heldout else topic.questions[:-1]
        return Request(rng.choice(forms), topic)


def splits(world: World, sums: Sums, seed: int) -> tuple[Requests, Requests, Requests]:
    """Material for dialogues, for training prompts and preferences, and for held-out ones.

    Dialogues refuse a third of the deeds that training prompts ask for; held-out deeds are in
    neither.
    """
    deeds = hazards()
    random.Random(f"{seed}/hazards").shuffle(deeds)
    n_heldout = len(deeds) // 5
    kept, used = tuple(deeds[:n_heldout]), tuple(deeds[n_heldout:])
    every = tuple(ATTACKS)
    shown = used[: len(used) // 3]
    return (
        Requests(world.training, sums.training, shown, SHOWN_VECTORS, heldout=False),
        Requests(world.training, sums.training, used, every, heldout=False),
        Requests(world.heldout, sums.heldout, kept, every, heldout=True),
    )


def harmful_requests(requests: Requests) -> list[Request]:
    """Every harmful request of a split, in every wording."""
    return [
        Request(form.format(d=hazard.deed), hazard, vector)
        for hazard in requests.hazards
        for vector in requests.vectors
        for form in ATTACKS[vector]
    ]
