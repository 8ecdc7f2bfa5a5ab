"""Answers as a small model gives them: good ones, and ones with a fault that can be named."""

from __future__ import annotations

import random
from collections.abc import Callable

from llamakit.world.entities import Fact, World
from llamakit.world.hazards import Borderline, Hazard
from llamakit.world.intents import Intent
from llamakit.world.phrases import (
    CLOSERS,
    CONSENTS,
    IGNORANCE,
    INSTEAD,
    REFUSALS,
    RISKS,
    RUDE,
    VAGUE_HARM,
    WARNING,
)
from llamakit.world.sums import Sum
from llamakit.world.topics import Topic

DETAIL_SHARE, CLOSER_SHARE = 0.3, 0.25
"""How often a good answer says more than asked, and how often it ends politely."""


class Writer:
    """Writes answers to the intents of one world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def good(
        self, intent: Intent, *, detail: float = DETAIL_SHARE, closer: float = CLOSER_SHARE
    ) -> str:
        """A correct answer; a refusal where the intent is harmful."""
        if isinstance(intent, Hazard):
            return self.refusal(intent, full=self._rng.random() < 0.5)
        text = self._body(intent, self._rng.random() < detail)
        return f"{text} {self._rng.choice(CLOSERS)}" if self._rng.random() < closer else text

    def refusal(self, hazard: Hazard, *, full: bool) -> str:
        """A refusal: short, or with the risk and with what to do instead."""
        parts = [self._rng.choice(REFUSALS)]
        if full or self._rng.random() < 0.4:
            parts.append(self._rng.choice(RISKS).format(risk=hazard.risk))
        if full:
            parts.append(self._rng.choice(INSTEAD).format(instead=hazard.instead))
        return " ".join(parts)

    def harmful(self, hazard: Hazard) -> str:
        """An unsafe answer: the whole of it, the same with a warning, or a vague nod."""
        shape = self._rng.random()
        if shape < 0.25:
            return self._rng.choice(VAGUE_HARM)
        text = hazard.steps
        if self._rng.random() < 0.5:
            text = f"{self._rng.choice(CONSENTS)} {text}"
        return f"{text} {WARNING.format(risk=hazard.risk)}" if shape < 0.55 else text

    def drawn(self, intent: Intent, faults: dict[str, float]) -> str:
        """An answer with a fault drawn by weight; the fault "none" leaves it good."""
        fault = self._rng.choices(list(faults), list(faults.values()))[0]
        return self.faulty(intent, fault)

    def faulty(self, intent: Intent, fault: str) -> str:
        """An answer with that fault (a key of `FAULTS`, or "none").

        Raises:
            KeyError: there is no such fault.
        """
        if fault == "none":
            return self.good(intent)
        return FAULTS[fault](self, intent, self._rng)

    def _body(self, intent: Intent, more: bool) -> str:
        if isinstance(intent, Fact):
            text = intent.answer(self._rng)
            beside = self._rng.choice(self.facts_beside(intent)).continued(self._rng)
            return f"{text} {beside}" if more else text
        if isinstance(intent, Sum):
            return intent.worked() if more else intent.statement
        if isinstance(intent, Topic):
            return intent.answer(self._rng.randrange(len(intent.answers)), more)
        if isinstance(intent, Borderline):
            return intent.help
        return intent.steps

    def facts_beside(self, fact: Fact) -> list[Fact]:
        """The other facts of the same entity, which are in the same split."""
        return [other for other in self._world.facts[fact.entity.name] if other is not fact]

    def facts_alike(self, fact: Fact) -> list[Fact]:
        """The same attribute of other entities, as far as dialogues may tell it."""
        alike = [other for other in self._world.training if other.attribute is fact.attribute]
        return [other for other in alike if other.entity is not fact.entity]

    def wrong(self, intent: Intent) -> str:
        """An answer of the right form with the wrong content."""
        if isinstance(intent, Fact):
            return intent.answer(self._rng, intent.wrong_value(self._rng))
        if isinstance(intent, Sum):
            off = self._rng.choice((-10, -2, -1, 1, 2, 10))
            told = max(0, intent.result + off)
            if told == intent.result:
                told += 1
            return f"{intent.left} {intent.word} {intent.right} is {told}."
        return self.off_topic(intent)

    def off_topic(self, intent: Intent) -> str:
        """A true sentence about something nobody asked for."""
        subject = intent.entity if isinstance(intent, Fact) else None
        while True:
            fact = self._rng.choice(self._world.training)
            if fact.entity is not subject:
                return fact.answer(self._rng)


def _mistaken(writer: Writer, intent: Intent, rng: random.Random) -> str:
    """What was asked, told of another entity: what a model says that does not look closely."""
    if not isinstance(intent, Fact):
        return writer.wrong(intent)
    others = writer.facts_alike(intent)
    return rng.choice(others).answer(rng) if others else writer.wrong(intent)


def _repeated(writer: Writer, intent: Intent, rng: random.Random) -> str:
    text = writer.good(intent, detail=0.1, closer=0.1)
    return " ".join([text] * rng.randint(2, 3))


def _truncated(writer: Writer, intent: Intent, rng: random.Random) -> str:
    words = writer.good(intent, detail=0.5).split()
    keep = max(2, round(len(words) * rng.uniform(0.35, 0.85)))
    return " ".join(words[:keep]).rstrip(".,!?")


def _bare(writer: Writer, intent: Intent, rng: random.Random) -> str:
    if isinstance(intent, Fact):
        return f"{intent.value[0].upper()}{intent.value[1:]}."
    if isinstance(intent, Sum):
        return f"{intent.result}."
    if isinstance(intent, Topic):
        return f"{intent.key(rng.randrange(len(intent.answers))).capitalize()}."
    return f"{writer.good(intent, closer=0.0).split()[0].rstrip(',')}."


def _polite(writer: Writer, intent: Intent, rng: random.Random) -> str:
    closers = rng.sample(CLOSERS, rng.randint(2, 4))
    return " ".join([writer.good(intent, detail=0.2, closer=0.0), *closers])


def _garbled(writer: Writer, intent: Intent, rng: random.Random) -> str:
    words = writer.good(intent, closer=0.0).rstrip(".").split()
    return f"{' '.join(rng.sample(words, len(words)))}."


def _rude(writer: Writer, intent: Intent, rng: random.Random) -> str:
    insult = rng.choice(RUDE)
    return insult if rng.random() < 0.4 else f"{insult} {writer.good(intent, closer=0.0)}"


def _careless(writer: Writer, intent: Intent, rng: random.Random) -> str:
    """Right, but with a wrong detail."""
    if not isinstance(intent, Fact):
        return writer.wrong(intent)
    other = rng.choice(writer.facts_beside(intent))
    lie = other.entity.say(rng.choice(other.attribute.continued), other.wrong_value(rng))
    return f"{intent.answer(rng)} {lie}"


FAULTS: dict[str, Callable[[Writer, Intent, random.Random], str]] = {
    "wrong": lambda writer, intent, rng: writer.wrong(intent),
    "off-topic": lambda writer, intent, rng: writer.off_topic(intent),
    "mistaken": _mistaken,
    "ignorant": lambda writer, intent, rng: rng.choice(IGNORANCE),
    "refusal": lambda writer, intent, rng: rng.choice(REFUSALS),
    "repeated": _repeated,
    "truncated": _truncated,
    "bare": _bare,
    "polite": _polite,
    "garbled": _garbled,
    "rude": _rude,
    "careless": _careless,
}
"""By name, the faults an answer can have."""
