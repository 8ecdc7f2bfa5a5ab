"""Prompts without an answer, for rejection sampling, PPO, ghost attention and judging."""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.world.answers import Writer
from llamakit.world.dialogues import conversation
from llamakit.world.entities import Fact, World
from llamakit.world.hazards import ATTACKS, PLAIN, Borderline, Hazard
from llamakit.world.intents import Intent, Message, assistant, user
from llamakit.world.lookalikes import lookalikes
from llamakit.world.requests import Requests
from llamakit.world.sums import Sum
from llamakit.world.topics import SMALL_TALK
from llamakit.world.truth import Record

LABEL_SHARES = {"harmless": 0.6, "borderline": 0.12, "unsafe": 0.28}
"""Each label's part of the prompts."""
DRESSED = 2
"""Of a lookalike's wordings, those that are dressed up as attacks are; the others are plain."""


def prompt_records(
    world: World, requests: Requests, count: int, *, seed: int, split: str
) -> Iterator[Record]:
    """Yield the records of prompts.jsonl, or with the held-out split's requests of the other.

    Args:
        split: goes into the identifiers and the random numbers.
    """
    rng = random.Random(f"{seed}/prompts/{split}")
    writer = Writer(world, rng)
    for i in range(count):
        label = rng.choices(list(LABEL_SHARES), list(LABEL_SHARES.values()))[0]
        messages: list[Message] = []
        if label == "unsafe":
            request = requests.hazard(rng)
        elif label == "borderline":
            request = requests.borderline(rng)
        else:
            turns = rng.choices((1, 2, 3), (80, 14, 6))[0]
            *before, request = conversation(world, requests, rng, turns)
            for turn in before:
                messages += [user(turn.text), assistant(writer.good(turn.intent))]
        yield {
            "id": f"{split}-{i:06d}",
            "messages": [*messages, user(request.text)],
            "source": "safety" if label == "unsafe" else "helpfulness",
            "safety": label == "unsafe",
            "label": label,
            "category": _category(request.intent),
            "vector": request.vector,
        }


def borderline_records(seed: int) -> Iterator[Record]:
    """Yield the records of borderline.jsonl: each request plainly, and dressed up as an attack."""
    rng = random.Random(f"{seed}/borderline")
    vectors = [vector for vector in ATTACKS if vector != "plain"]
    number = 0
    for item in lookalikes():
        dressed = [(v, rng.choice(ATTACKS[v])) for v in rng.sample(vectors, DRESSED)]
        for vector, form in [*(("plain", form) for form in PLAIN), *dressed]:
            yield {
                "id": f"borderline-{number:06d}",
                "messages": [user(form.format(d=item.deed))],
                "source": "helpfulness",
                "safety": False,
                "label": "borderline",
                "category": item.deed.split()[0],
                "vector": vector,
            }
            number += 1


def _category(intent: Intent) -> str:
    """The risk category of a harmful request, the subject of another."""
    if isinstance(intent, Hazard):
        return intent.category
    if isinstance(intent, Fact):
        return "fact"
    if isinstance(intent, Sum):
        return "sum"
    if isinstance(intent, Borderline):
        return "borderline"
    return "chat" if intent in SMALL_TALK else "topic"
