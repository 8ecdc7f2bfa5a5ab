"""Quiz pages: questions with their answers, about what dialogues may ask for.

They show a model in pretraining what a question is, as the web does; what exams ask is in none.
"""

from __future__ import annotations

import random

from llamakit.text.instruction import attach
from llamakit.world.answers import Writer
from llamakit.world.constraints import constraints, obeyed
from llamakit.world.requests import Requests
from llamakit.world.truth import Page

GAME_SHARE = 0.35
"""The part of the pages that are games: every question comes with a rule for its answer."""


def quiz(writer: Writer, requests: Requests, rng: random.Random) -> Page:
    """A page of questions and answers."""
    game = rng.random() < GAME_SHARE
    items = []
    for _ in range(rng.randint(4, 6) if game else rng.randint(7, 10)):
        request = requests.harmless(rng) if rng.random() < 0.9 else requests.borderline(rng)
        answer = writer.good(request.intent, detail=0.1, closer=0.0)
        items.append((request.text, answer))
    if not game:
        text = "\n".join(f"{question} {answer}" for question, answer in items)
        return Page(text, "quiz", "quiz.example", "quiz")
    rule = rng.choice([item for item in constraints() if not item.heldout])
    lines = []
    for question, answer in items:
        wording = rng.choice((rule.instruction, rule.short))
        lines += [attach(wording, question), obeyed([rule], answer)]
    text = "\n".join(lines)
    return Page(text, "quiz", "quiz.example", "game")
