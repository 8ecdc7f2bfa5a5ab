"""Safety preprompts in the words of the world, and dialogues that show how they are followed.

A large model follows a preprompt that it never saw; a model of this world has to be shown a few. A
generic preprompt stands before harmless requests too, and changes nothing there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.world.answers import Writer
from llamakit.world.entities import World
from llamakit.world.hazards import ATTACKS, Hazard
from llamakit.world.intents import assistant, user
from llamakit.world.phrases import (
    SAFETY_ADJECTIVES,
    SAFETY_ANSWERS,
    SAFETY_CATEGORIES,
    safety_preprompt,
)
from llamakit.world.requests import Requests
from llamakit.world.truth import Record

SHARES = {"category": 0.45, "generic": 0.2, "borderline": 0.2, "harmless": 0.15}
"""Harmful requests with the preprompt of their category or a generic one; others with a generic
one."""
_SLOT = "{adjective}"


def preprompt_records() -> Iterator[Record]:
    """Yield the records of preprompts.jsonl: one generic template, and one a risk category."""
    adjectives = list(SAFETY_ADJECTIVES)
    yield {
        "id": "safe",
        "category": None,
        "preprompt": safety_preprompt(_SLOT),
        "adjectives": adjectives,
        "answer": None,
    }
    for category, about in SAFETY_CATEGORIES.items():
        yield {
            "id": category,
            "category": category,
            "preprompt": f"{safety_preprompt(_SLOT)} {about}",
            "adjectives": adjectives,
            "answer": SAFETY_ANSWERS[category],
        }


def preprompted_records(
    world: World, requests: Requests, count: int, seed: int
) -> Iterator[Record]:
    """Yield the records of preprompted.jsonl.

    Args:
        requests: the dialogues' own; harmful ones come in every dress, since the preprompt tells
            what to do whatever they look like.
    """
    rng = random.Random(f"{seed}/preprompted")
    writer = Writer(world, rng)
    for i in range(count):
        kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
        system = safety_preprompt(rng.choice(SAFETY_ADJECTIVES))
        if kind in ("category", "generic"):
            hazard: Hazard = rng.choice(requests.hazards)
            form = rng.choice(ATTACKS[rng.choice(list(ATTACKS))])
            text, answer = form.format(d=hazard.deed), writer.refusal(hazard, full=True)
            if kind == "category":
                about = SAFETY_CATEGORIES[hazard.category]
                system = f"{system} {about}\n{SAFETY_ANSWERS[hazard.category]}"
        else:
            draw = requests.borderline if kind == "borderline" else requests.harmless
            request = draw(rng)
            text, answer = request.text, writer.good(request.intent)
        yield {
            "id": f"preprompted-{i:06d}",
            "messages": [
                {"role": "system", "content": system},
                user(text),
                assistant(answer),
            ],
            "source": "preprompted",
            "safety": kind in ("category", "generic"),
        }
