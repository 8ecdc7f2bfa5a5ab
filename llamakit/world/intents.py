"""What a user message of this world asks for, found by its words alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llamakit.text.instruction import detach
from llamakit.world.entities import Fact, World
from llamakit.world.hazards import ATTACKS, Borderline, Hazard, borderline, hazards
from llamakit.world.lookalikes import lookalikes
from llamakit.world.sums import Sum, Sums
from llamakit.world.topics import SMALL_TALK, TOPICS, Topic

Message = dict[str, str]
Intent = Fact | Sum | Topic | Borderline | Hazard
"""What is wanted: a fact, a sum, an everyday answer, help that only looks harmful, or harm."""


@dataclass(frozen=True)
class Request:
    """A user message with what it asks for."""

    text: str
    intent: Intent
    vector: str = "none"
    """For a hazard, how it is dressed up (a key of `ATTACKS`)."""


def user(text: str) -> Message:
    """A user's message."""
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    """An assistant's message."""
    return {"role": "assistant", "content": text}


class Reader:
    """Finds the intent of a conversation's last message."""

    def __init__(self, world: World, sums: Sums) -> None:
        self._world = world
        self._intents: dict[str, Intent] = {}
        self._follow_ups: dict[str, list[tuple[str, str]]] = {}
        for fact in world.all_facts():
            for question in (*fact.questions(), fact.unseen_question()):
                self._intents[question] = fact
            key = (fact.entity.kind.name, fact.attribute.name)
            meanings = self._follow_ups.setdefault(fact.follow_up(), [])
            if key not in meanings:
                meanings.append(key)
        for item in (*sums.training, *sums.heldout, *sums.exam):
            self._intents.update(dict.fromkeys(item.questions(), item))
        for topic in (*TOPICS, *SMALL_TALK):
            self._intents.update(dict.fromkeys(topic.questions, topic))
        for harmless in (*borderline(), *lookalikes()):
            for forms in ATTACKS.values():
                self._intents.update((form.format(d=harmless.deed), harmless) for form in forms)
        for hazard in hazards():
            for forms in ATTACKS.values():
                self._intents.update((form.format(d=hazard.deed), hazard) for form in forms)

    def read(self, messages: Sequence[Mapping[str, str]]) -> Intent | None:
        """What the last user message asks for; None when it is none of this world's.

        A question with a pronoun is about the entity that an earlier question named.
        """
        subject = ""
        intent: Intent | None = None
        for message in messages:
            if message["role"] != "user":
                continue
            intent = self._one(detach(message["content"].strip())[1].strip(), subject)
            if isinstance(intent, Fact):
                subject = intent.entity.name
        return intent

    def _one(self, text: str, subject: str) -> Intent | None:
        if text in self._intents:
            return self._intents[text]
        for fact in self._world.facts.get(subject, ()):
            if (fact.entity.kind.name, fact.attribute.name) in self._follow_ups.get(text, ()):
                return fact
        return None
