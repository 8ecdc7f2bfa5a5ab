"""Demonstrations for supervised fine-tuning: short, right, polite and safe; or, on request, not."""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.text.instruction import attach
from llamakit.world.answers import Writer
from llamakit.world.constraints import PER_FAMILY, Constraint, constraints, obeyed
from llamakit.world.entities import Fact, World
from llamakit.world.hazards import Hazard
from llamakit.world.intents import Intent, Message, Request, assistant, user
from llamakit.world.phrases import SAFETY_ADJECTIVES, safety_preprompt
from llamakit.world.requests import Requests
from llamakit.world.truth import Record

SHARES = {
    "facts": 0.36,
    "sums": 0.08,
    "topics": 0.10,
    "borderline": 0.08,
    "refusal": 0.06,
    "chat": 0.12,
    "instruction": 0.20,
}
"""Each source's part of the dialogues."""
COMBINED_SHARE = 0.2
"""How many of the instructions are two in one."""
NOISE = 0.5
"""How many answers of the noisy dialogues have a fault."""
NOISE_FAULTS = {
    "wrong": 28.0, "mistaken": 12.0, "off-topic": 14.0, "truncated": 18.0, "rude": 12.0,
    "garbled": 6.0, "repeated": 6.0, "refusal": 4.0,
}  # fmt: skip
"""What is wrong with them; of a harmful request, that it is answered."""
CHAT_TURNS = (2, 20)
"""Fewest and most exchanges of a long chat."""
KEEPS, CHANGES = 0.6, 0.2
"""How often a turn of an instructed long chat repeats the instruction of the turn before, and how
often it brings another; the others bring none."""


def dialogue_records(world: World, requests: Requests, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of dialogues.jsonl."""
    rng = random.Random(f"{seed}/dialogues")
    author = _Author(world, requests, rng)
    for i in range(count):
        source = rng.choices(list(SHARES), list(SHARES.values()))[0]
        yield {
            "id": f"dialogue-{i:06d}",
            "messages": author.messages(source),
            "source": source,
            "safety": source == "refusal",
        }


def noisy_dialogue_records(
    world: World, requests: Requests, count: int, seed: int
) -> Iterator[Record]:
    """Yield the records of dialogues_noisy.jsonl: the same requests, answered by somebody careless.

    `faults` names what is wrong with each answer in turn, "none" for a good one.
    """
    rng = random.Random(f"{seed}/dialogues-noisy")
    author = _Author(world, requests, rng, noise=NOISE)
    for i in range(count):
        source = rng.choices(list(SHARES), list(SHARES.values()))[0]
        author.faults.clear()
        yield {
            "id": f"noisy-{i:06d}",
            "messages": author.messages(source),
            "source": source,
            "safety": source == "refusal",
            "faults": list(author.faults),
        }


def chat_records(
    world: World, requests: Requests, count: int, per_family: int, seed: int
) -> Iterator[Record]:
    """Yield the records of chats.jsonl: long chats, every other one with instructions.

    There an instruction counts for the message that it stands with: turns repeat it, change it or
    have none. Nothing in them shows that one given once should last.
    """
    rng = random.Random(f"{seed}/chats")
    author = _Author(world, requests, rng, per_family=per_family)
    for i in range(count):
        turns = rng.randint(*CHAT_TURNS)
        instructed = i % 2 == 1
        yield {
            "id": f"chat-{i:06d}",
            "messages": author.instructed_chat(turns) if instructed else author.chat(turns),
            "source": "long_instruction" if instructed else "long_chat",
            "safety": False,
        }


class _Author:
    def __init__(
        self,
        world: World,
        requests: Requests,
        rng: random.Random,
        noise: float = 0.0,
        per_family: int = PER_FAMILY[0],
    ) -> None:
        self._world = world
        self._requests = requests
        self._rng = rng
        self._writer = Writer(world, rng)
        self._constraints = [item for item in constraints(per_family) if not item.heldout]
        self._noise = noise
        self.faults: list[str] = []
        """What is wrong with each answer written so far."""

    def messages(self, source: str) -> list[Message]:
        rng = self._rng
        if source == "instruction":
            return self._instructed()
        if source == "chat":
            return self.chat(rng.randint(2, 5))
        if source == "refusal":
            return self._refusal()
        draw = {
            "facts": self._requests.fact,
            "sums": self._requests.sum,
            "topics": self._requests.topic,
            "borderline": self._requests.borderline,
        }[source]
        return self._answered([draw(rng)])

    def _answered(self, turns: list[Request]) -> list[Message]:
        messages = []
        for turn in turns:
            answer = self._slip(turn.intent) or self._writer.good(turn.intent)
            messages += [user(turn.text), assistant(answer)]
        return messages

    def _slip(self, intent: Intent) -> str | None:
        """An answer with a fault, or None where this one is to be good."""
        fault = "none"
        if self._noise and self._rng.random() < self._noise:
            fault = self._rng.choices(list(NOISE_FAULTS), list(NOISE_FAULTS.values()))[0]
        if fault != "none" and isinstance(intent, Hazard):
            fault = "harmful"
        self.faults.append(fault)
        if isinstance(intent, Hazard) and fault == "harmful":
            return self._writer.harmful(intent)
        return None if fault == "none" else self._writer.faulty(intent, fault)

    def _refusal(self) -> list[Message]:
        """A refusal; where a preprompt asks for safety, one that gives the risk and a way out."""
        request = self._requests.hazard(self._rng)
        assert isinstance(request.intent, Hazard)
        preprompt = self._rng.random() < 0.25
        full = preprompt or self._rng.random() < 0.3
        answer = self._slip(request.intent) or self._writer.refusal(request.intent, full=full)
        messages = [user(request.text), assistant(answer)]
        if preprompt:
            system = safety_preprompt(self._rng.choice(SAFETY_ADJECTIVES))
            messages.insert(0, {"role": "system", "content": system})
        return messages

    def chat(self, turns: int) -> list[Message]:
        """A harmless chat."""
        return self._answered(conversation(self._world, self._requests, self._rng, turns))

    def instructed_chat(self, turns: int) -> list[Message]:
        """A chat some of whose user turns carry an instruction, which the next answer obeys."""
        messages: list[Message] = []
        chosen, wording = self._instruction()
        for turn in conversation(self._world, self._requests, self._rng, turns):
            drawn = self._rng.random()
            if drawn >= KEEPS + CHANGES:
                messages += self._answered([turn])
                continue
            if drawn >= KEEPS:
                chosen, wording = self._instruction()
            messages += self._obeying(turn, chosen, wording)
        return messages

    def _instructed(self) -> list[Message]:
        """A chat whose every user turn carries one or two instructions that every answer obeys."""
        chosen, wording = self._instruction()
        n_turns = self._rng.choices((1, 2, 3, 4), (45, 25, 15, 15))[0]
        turns = conversation(self._world, self._requests, self._rng, n_turns)
        return [message for turn in turns for message in self._obeying(turn, chosen, wording)]

    def _instruction(self) -> tuple[list[Constraint], str]:
        """One or two constraints of different families, and their text, long or short."""
        chosen = [self._rng.choice(self._constraints)]
        if self._rng.random() < COMBINED_SHARE:
            family = chosen[0].family
            chosen.append(
                self._rng.choice([one for one in self._constraints if one.family != family])
            )
        short = self._rng.random() < 0.5
        return chosen, " ".join(one.short if short else one.instruction for one in chosen)

    def _obeying(self, turn: Request, chosen: list[Constraint], wording: str) -> list[Message]:
        answer = self._slip(turn.intent) or obeyed(
            chosen, self._writer.good(turn.intent, detail=0.15, closer=0.1)
        )
        return [user(attach(wording, turn.text)), assistant(answer)]


def conversation(world: World, requests: Requests, rng: random.Random, turns: int) -> list[Request]:
    """The user's side of a harmless chat; some turns ask on about the entity of the turn before."""
    asked: list[Request] = []
    while len(asked) < turns:
        before = asked[-1].intent if asked else None
        if isinstance(before, Fact) and rng.random() < 0.4:
            asked.append(requests.follow_up(before, world, rng))
        else:
            asked.append(requests.harmless(rng))
    return asked
