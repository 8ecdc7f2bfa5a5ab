"""Graded pairs of answers, drawn with the oracle as an annotator who errs on close calls."""

from __future__ import annotations

import random
from collections.abc import Iterator

from llamakit.text.judgement import Judgement, grade_of, mistake_chance
from llamakit.world.answers import Writer
from llamakit.world.dialogues import conversation
from llamakit.world.entities import World
from llamakit.world.hazards import Hazard
from llamakit.world.intents import Message, Request, assistant, user
from llamakit.world.oracle import Oracle
from llamakit.world.requests import Requests
from llamakit.world.truth import Record

GRADES = {"significantly": 2.1, "better": 1.1, "slightly": 0.35, "negligible": 0.0}
"""The gap between two answers' scores from which on each grade is given."""
GRADE_SHARES = {"significantly": 0.15, "better": 0.30, "slightly": 0.30, "negligible": 0.25}
SAFETY_SHARES = {"chosen_safe": 0.18, "both_safe": 0.47, "both_unsafe": 0.35}
"""Paper, section 3.2.1; pairs whose chosen answer alone is unsafe are left out there too."""
SAFETY_PART = 0.4
"""The part of the pairs that come from the safety task."""
BATCHES = 4
NOISE = 0.45
"""The share of mistakes between answers of equal worth."""
_BORDERLINE = 0.15
_ATTEMPTS = 60

_FAULTS = {
    "none": 45.0, "wrong": 14.0, "off-topic": 3.0,
    "mistaken": 6.0, "ignorant": 4.0, "refusal": 3.0,
    "repeated": 8.0, "truncated": 8.0, "bare": 5.0, "polite": 4.0, "garbled": 2.0,
    "rude": 4.0, "careless": 4.0,
}  # fmt: skip
_BORDERLINE_FAULTS = {**_FAULTS, "refusal": 40.0}
_REFUSAL_FAULTS = {
    "none": 60.0, "repeated": 12.0, "truncated": 8.0, "polite": 6.0, "rude": 10.0,
}  # fmt: skip


def preference_records(
    world: World, requests: Requests, oracle: Oracle, count: int, *, seed: int, split: str
) -> Iterator[Record]:
    """Yield the records of preferences.jsonl, or with the held-out split's requests of the other.

    Args:
        split: goes into the identifiers and the random numbers.
    """
    rng = random.Random(f"{seed}/preferences/{split}")
    annotator = _Annotator(world, requests, oracle, rng)
    for i in range(count):
        safety = rng.random() < SAFETY_PART
        yield {
            "id": f"{split}-{i:06d}",
            **(annotator.safety_pair() if safety else annotator.helpfulness_pair()),
            "source": "safety" if safety else "helpfulness",
            "batch": i * BATCHES // count,
        }


class _Annotator:
    def __init__(
        self, world: World, requests: Requests, oracle: Oracle, rng: random.Random
    ) -> None:
        self._world = world
        self._requests = requests
        self._oracle = oracle
        self._rng = rng
        self._writer = Writer(world, rng)

    def helpfulness_pair(self) -> Record:
        """Two answers to a harmless prompt, of a grade drawn by its share."""
        rng = self._rng
        wanted = rng.choices(list(GRADE_SHARES), list(GRADE_SHARES.values()))[0]
        for _ in range(_ATTEMPTS):
            if rng.random() < _BORDERLINE:
                request = self._requests.borderline(rng)
                prompt, faults = [user(request.text)], _BORDERLINE_FAULTS
            else:
                prompt, request = self._prompt()
                faults = _FAULTS
            texts = [self._writer.drawn(request.intent, faults) for _ in range(2)]
            verdicts = [self._oracle.judge(prompt, text) for text in texts]
            if texts[0] != texts[1] and _grade(verdicts) == wanted:
                break
        return self._labelled(prompt, texts, verdicts, may_flip=True, safety=None)

    def safety_pair(self) -> Record:
        """Two answers to an adversarial prompt (a few to a borderline one), by safety bin."""
        rng = self._rng
        wanted = rng.choices(list(SAFETY_SHARES), list(SAFETY_SHARES.values()))[0]
        while True:
            if wanted == "both_safe" and rng.random() < _BORDERLINE:
                request = self._requests.borderline(rng)
                texts = [self._writer.drawn(request.intent, _BORDERLINE_FAULTS) for _ in range(2)]
            else:
                request = self._requests.hazard(rng)
                assert isinstance(request.intent, Hazard)
                safe = {"chosen_safe": (True, False), "both_safe": (True, True)}.get(
                    wanted, (False, False)
                )
                texts = [self._reply(request.intent, one) for one in safe]
            prompt = [user(request.text)]
            verdicts = [self._oracle.judge(prompt, text) for text in texts]
            n_safe = sum(verdict.safe for verdict in verdicts)
            expected = {"chosen_safe": 1, "both_safe": 2, "both_unsafe": 0}[wanted]
            if texts[0] != texts[1] and n_safe == expected:
                break
        return self._labelled(
            prompt, texts, verdicts, may_flip=wanted != "chosen_safe", safety=wanted
        )

    def _prompt(self) -> tuple[list[Message], Request]:
        """A harmless prompt: one question, or the last of a chat that went well so far."""
        rng = self._rng
        turns = rng.choices((1, 2, 3), (70, 20, 10))[0]
        *before, last = conversation(self._world, self._requests, rng, turns)
        prompt = []
        for turn in before:
            prompt += [user(turn.text), assistant(self._writer.good(turn.intent))]
        return [*prompt, user(last.text)], last

    def _reply(self, hazard: Hazard, safe: bool) -> str:
        if safe:
            return self._writer.drawn(hazard, _REFUSAL_FAULTS)
        return self._writer.harmful(hazard)

    def _labelled(
        self,
        prompt: list[Message],
        texts: list[str],
        verdicts: list[Judgement],
        *,
        may_flip: bool,
        safety: str | None,
    ) -> Record:
        """The pair as the annotator sees it: the closer the call, the likelier the wrong choice."""
        gap = abs(verdicts[0].score - verdicts[1].score)
        best = int(verdicts[1].score > verdicts[0].score)
        if may_flip and self._rng.random() < mistake_chance(gap, NOISE):
            best = 1 - best
        return {
            "prompt": prompt,
            "chosen": [assistant(texts[best])],
            "rejected": [assistant(texts[1 - best])],
            "grade": _grade(verdicts),
            "safety": safety,
        }


def _grade(verdicts: list[Judgement]) -> str:
    gap = abs(verdicts[0].score - verdicts[1].score)
    return grade_of(gap, GRADES)
