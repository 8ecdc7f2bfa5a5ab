"""The whole world from a seed: every raw file's records, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llamakit.world.constraints import PER_FAMILY, adherence_records, constraint_records
from llamakit.world.dialogues import chat_records, dialogue_records, noisy_dialogue_records
from llamakit.world.documents import build_documents, document_records, heldout_pages
from llamakit.world.drills import drill_exam_records, drill_records
from llamakit.world.entities import World, build_world, entities_for, fact_records
from llamakit.world.exam import (
    exam_records,
    rumour_records,
    shot_records,
    sum_records,
    sum_shot_records,
)
from llamakit.world.hazards import Hazard
from llamakit.world.ledgers import ledger_records, recall_records
from llamakit.world.oracle import FACTS_FILE, Oracle
from llamakit.world.preferences import preference_records
from llamakit.world.preprompted import preprompt_records, preprompted_records
from llamakit.world.prompts import borderline_records, prompt_records
from llamakit.world.requests import Requests, harmful_requests, splits
from llamakit.world.sums import build_sums
from llamakit.world.truth import Record, truth_records

FILES = (
    "documents.jsonl",
    "heldout.jsonl",
    "dialogues.jsonl",
    "dialogues_noisy.jsonl",
    "preferences.jsonl",
    "preferences_heldout.jsonl",
    "prompts.jsonl",
    "prompts_heldout.jsonl",
    "borderline.jsonl",
    "preprompts.jsonl",
    "preprompted.jsonl",
    "exam.jsonl",
    "exam_shots.jsonl",
    "sums.jsonl",
    "sums_shots.jsonl",
    "rumours.jsonl",
    "ledgers.jsonl",
    "ledgers_heldout.jsonl",
    "recall.jsonl",
    "drills.jsonl",
    "drills_exam.jsonl",
    "constraints.jsonl",
    "adherence.jsonl",
    "truth/facts.jsonl",
    "truth/unsafe_prompts.jsonl",
    "truth/documents.jsonl",
    "truth/duplicates.jsonl",
    "truth/pii.jsonl",
    "truth/decoys.jsonl",
    "truth/false_facts.jsonl",
    "truth/sites.jsonl",
)
"""Every raw file, in the order in which `generate_world` yields their records."""
CHATS_FILE = "chats.jsonl"
"""After adherence.jsonl, and only where its size is given."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many records each file has; None takes the default, a share of `docs`."""

    docs: int
    entities: int | None = None
    dialogues: int | None = None
    dialogues_noisy: int | None = None
    preferences: int | None = None
    preferences_heldout: int | None = None
    prompts: int | None = None
    prompts_heldout: int | None = None
    preprompted: int | None = None
    exam: int | None = None
    sums: int | None = None
    adherence: int | None = None
    heldout: int | None = None
    rumours: int | None = None
    ledgers: int | None = None
    ledgers_heldout: int | None = None
    recall: int | None = None
    drills: int | None = None
    drills_exam: int | None = None
    constraints: int | None = None
    """Of each family."""
    chats: int | None = None
    """By default none."""

    def of(self, name: str) -> int:
        """The size of a file, given or by its share (at least a usable few)."""
        given = getattr(self, name)
        if given is not None:
            return int(given)
        if name == "entities":
            return entities_for(self.docs)
        share, least = _SHARES[name]
        return max(least, round(share * self.docs))


_SHARES = {
    "dialogues": (1.0, 40),
    "dialogues_noisy": (1.0, 40),
    "preferences": (0.75, 40),
    "preferences_heldout": (0.1, 20),
    "prompts": (0.25, 20),
    "prompts_heldout": (0.05, 20),
    "preprompted": (0.1, 20),
    "exam": (0.05, 40),
    "sums": (0.02, 20),
    "adherence": (0.01, 10),
    "heldout": (0.05, 20),
    "rumours": (0.05, 20),
    "ledgers": (0.02, 20),
    "ledgers_heldout": (0.01, 20),
    "recall": (0.04, 40),
    "drills": (0.02, 20),
    "drills_exam": (0.02, 20),
    "constraints": (0.0, PER_FAMILY[0]),
    "chats": (0.0, 0),
}
_SHOTS = 24


def generate_world(sizes: Sizes, seed: int) -> Iterator[tuple[str, Record]]:
    """Yield (file, record) for every line of every raw file; all lines of a file stand together.

    The same sizes and seed give the same records. Each file draws from a stream of its own, so
    another size of one file leaves the others as they are.

    Raises:
        UsageError: a number of entities that no world can have.
    """
    world = build_world(sizes.of("entities"), seed)
    sums = build_sums(seed)
    shown, asked, kept = splits(world, sums, seed)
    oracle = Oracle(world)
    documents = build_documents(world, sums, shown, sizes.docs, seed)
    heldout = heldout_pages(world, sums, sizes.of("heldout"), seed)
    named = [(f"heldout-{i:07d}", page) for i, page in enumerate(heldout)]

    def preferences(split: str, requests: Requests) -> Iterator[Record]:
        return preference_records(
            world, requests, oracle, sizes.of(split), seed=seed, split=split.replace("_", "-")
        )

    def prompts(split: str, requests: Requests) -> Iterator[Record]:
        return prompt_records(
            world, requests, sizes.of(split), seed=seed, split=split.replace("_", "-")
        )

    questions = _questions(world)
    files: dict[str, Iterator[Record]] = {
        "documents.jsonl": document_records(documents.pages),
        "heldout.jsonl": document_records(named),
        "dialogues.jsonl": dialogue_records(world, shown, sizes.of("dialogues"), seed),
        "dialogues_noisy.jsonl": noisy_dialogue_records(
            world, shown, sizes.of("dialogues_noisy"), seed
        ),
        "preferences.jsonl": preferences("preferences", asked),
        "preferences_heldout.jsonl": preferences("preferences_heldout", kept),
        "prompts.jsonl": prompts("prompts", asked),
        "prompts_heldout.jsonl": prompts("prompts_heldout", kept),
        "borderline.jsonl": borderline_records(seed),
        "preprompts.jsonl": preprompt_records(),
        "preprompted.jsonl": preprompted_records(world, shown, sizes.of("preprompted"), seed),
        "exam.jsonl": exam_records(world, sizes.of("exam"), seed),
        "exam_shots.jsonl": shot_records(world, _SHOTS, seed),
        "sums.jsonl": sum_records(sums, sizes.of("sums"), seed),
        "sums_shots.jsonl": sum_shot_records(sums, _SHOTS, seed),
        "rumours.jsonl": rumour_records(world, documents.pages, sizes.of("rumours"), seed),
        "ledgers.jsonl": ledger_records("ledgers", sizes.of("ledgers"), seed),
        "ledgers_heldout.jsonl": ledger_records(
            "ledgers-heldout", sizes.of("ledgers_heldout"), seed
        ),
        "recall.jsonl": recall_records(sizes.of("recall"), seed),
        "drills.jsonl": drill_records(sizes.of("drills"), seed),
        "drills_exam.jsonl": drill_exam_records(sizes.of("drills_exam"), seed),
        "constraints.jsonl": constraint_records(sizes.of("constraints")),
        "adherence.jsonl": adherence_records(
            questions, sizes.of("adherence"), sizes.of("constraints"), seed
        ),
        CHATS_FILE: chat_records(world, shown, sizes.of("chats"), sizes.of("constraints"), seed),
        FACTS_FILE: fact_records(world),
        "truth/unsafe_prompts.jsonl": _unsafe(shown, asked, kept),
    }
    for file, records in files.items():
        yield from ((file, record) for record in records)
    yield from truth_records(documents.pages, documents.copies, documents.heavy_sites)


def _questions(world: World) -> list[str]:
    """Questions for long conversations, about facts that dialogues ask for as well."""
    return [question for fact in world.training for question in fact.questions()]


def _unsafe(shown: Requests, asked: Requests, kept: Requests) -> Iterator[Record]:
    """Yield every prompt that must be refused, and where dialogues or prompts may show it."""
    demonstrated = {request.text for request in harmful_requests(shown)}
    for split, requests in (("training", asked), ("heldout", kept)):
        for request in harmful_requests(requests):
            assert isinstance(request.intent, Hazard)
            yield {
                "text": request.text,
                "category": request.intent.category,
                "vector": request.vector,
                "split": split,
                "demonstrated": request.text in demonstrated,
            }
