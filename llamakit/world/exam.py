"""Exam questions with known answers; no dialogue, preference or prompt asks for any of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from llamakit.world.entities import Fact, World
from llamakit.world.sums import Sums
from llamakit.world.truth import Page, Record

CHOICES = 4


def exam_records(world: World, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of exam.jsonl: at most `count` questions, every fact once before any twice.

    `wording` is `seen` when dialogues ask other facts in these words, `unseen` otherwise.
    """
    rng = random.Random(f"{seed}/exam")
    rounds: list[list[tuple[str, Fact, str]]] = []
    for fact in world.exam:
        asked = [(text, fact, "seen") for text in fact.questions()]
        asked.append((fact.unseen_question(), fact, "unseen"))
        rounds.append(rng.sample(asked, len(asked)))
    order = [item for turn in zip(*rounds, strict=True) for item in turn]
    for i, (question, fact, wording) in enumerate(order[:count]):
        yield {"id": f"exam-{i:05d}", **_asked(question, fact, rng), "wording": wording}


def shot_records(world: World, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of exam_shots.jsonl: solved examples about facts that dialogues ask for."""
    rng = random.Random(f"{seed}/shots")
    for i, fact in enumerate(rng.sample(world.training, min(count, len(world.training)))):
        question = rng.choice(fact.questions())
        yield {"id": f"shot-{i:05d}", **_asked(question, fact, rng), "wording": "seen"}


def sum_records(sums: Sums, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of sums.jsonl: at most `count` sums that no document works out."""
    rng = random.Random(f"{seed}/exam sums")
    for i, item in enumerate(sums.exam[:count]):
        yield {
            "id": f"sum-{i:05d}",
            "question": rng.choice(item.questions()),
            "answer": str(item.result),
        }


def sum_shot_records(sums: Sums, count: int, seed: int) -> Iterator[Record]:
    """Yield the records of sums_shots.jsonl: solved sums of the kind that documents work out."""
    rng = random.Random(f"{seed}/sum shots")
    for i, item in enumerate(rng.sample(sums.training, count)):
        yield {
            "id": f"sum-shot-{i:05d}",
            "question": rng.choice(item.questions()),
            "answer": str(item.result),
        }


def rumour_records(
    world: World, pages: Iterable[tuple[str, Page]], count: int, seed: int
) -> Iterator[Record]:
    """Yield the records of rumours.jsonl: what some document says wrongly, asked with the truth
    and the lie as the only choices. Each lie is asked once; at most `count` are.
    """
    rng = random.Random(f"{seed}/rumours")
    facts = {fact.key: fact for fact in world.all_facts()}
    told = sorted(
        {(lie.entity, lie.attribute, lie.value) for _, page in pages for lie in page.lies}
    )
    for i, (entity, attribute, wrong) in enumerate(rng.sample(told, min(count, len(told)))):
        fact = facts[entity, attribute]
        choices = [fact.value, wrong]
        rng.shuffle(choices)
        yield {
            "id": f"rumour-{i:05d}",
            "question": rng.choice(fact.questions()),
            "choices": choices,
            "gold": choices.index(fact.value),
            "subject": fact.entity.kind.name,
        }


def _asked(question: str, fact: Fact, rng: random.Random) -> Record:
    wrong = [value for value in fact.choices if value != fact.value]
    choices = [fact.value, *rng.sample(wrong, CHOICES - 1)]
    rng.shuffle(choices)
    return {
        "question": question,
        "choices": choices,
        "gold": choices.index(fact.value),
        "answer": fact.value,
        "subject": fact.entity.kind.name,
        "entity": fact.entity.name,
        "attribute": fact.attribute.name,
    }
