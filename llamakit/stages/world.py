"""A seed becomes the raw files of a small world."""

import json
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Raw
from llamakit.stages.fields import Identity
from llamakit.stages.stage import Outcome, Stage
from llamakit.wording import counted

Count = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True)
class World(Stage):
    """Make the embedded data: texts, dialogues, preferences, prompts and exams of a small world.

    Everything is drawn from the seed: an encyclopedia of made-up entities, forum and news pages
    that repeat and contradict it, stories, sums, spam, other languages, synthetic personal data and
    planted copies. What is true of each page is written to `truth/`, which only judges read. Small
    models learn this world in minutes, so that every step of the recipe can be measured."""

    docs: Identity[Count] = 4000
    """Number of documents; every other size is a share of it unless given."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the world; the same seed and sizes give the same bytes."""
    entities: Identity[Annotated[int, Interval(ge=30, le=240)] | None] = None
    """People, towns, rivers, animals, instruments and plants (default: by the root of docs)."""
    dialogues: Identity[Count | None] = None
    """Demonstrations for supervised fine-tuning (default: as many as docs)."""
    dialogues_noisy: Identity[Count | None] = None
    """Demonstrations of which half of the answers have a fault (default: as many as docs)."""
    preferences: Identity[Count | None] = None
    """Graded pairs to train reward models on (default: 0.75 of docs)."""
    preferences_heldout: Identity[Count | None] = None
    """Graded pairs about other facts and deeds (default: 0.1 of docs)."""
    prompts: Identity[Count | None] = None
    """Prompts for rejection sampling, PPO and ghost attention (default: 0.25 of docs)."""
    prompts_heldout: Identity[Count | None] = None
    """Prompts about other facts and deeds (default: 0.05 of docs)."""
    preprompted: Identity[Count | None] = None
    """Dialogues that follow a safety preprompt (default: 0.1 of docs)."""
    exam: Identity[Count | None] = None
    """Multiple-choice questions about facts that only documents tell (default: 0.05 of docs)."""
    sums: Identity[Count | None] = None
    """Exam sums that no document works out (default: 0.02 of docs, at most 42)."""
    adherence: Identity[Count | None] = None
    """Instructions with twenty user turns each (default: 0.01 of docs)."""
    heldout: Identity[Count | None] = None
    """Documents to measure perplexity on (default: 0.05 of docs)."""
    rumours: Identity[Count | None] = None
    """Questions about what documents say wrongly (default: 0.05 of docs, at most all lies)."""
    ledgers: Identity[Count | None] = None
    """Long pages that need a name given at their top (default: 0.02 of docs)."""
    ledgers_heldout: Identity[Count | None] = None
    """Such pages to measure loss by position on (default: 0.01 of docs)."""
    recall: Identity[Count | None] = None
    """Questions for a name that stands many lines before (default: 0.04 of docs)."""
    drills: Identity[Count | None] = None
    """Pages of sums of one- and two-digit numbers (default: 0.02 of docs)."""
    drills_exam: Identity[Count | None] = None
    """Two-digit sums that no drill holds (default: 0.02 of docs)."""
    constraints: Identity[Annotated[int, Interval(ge=5, le=30)] | None] = None
    """Instructions of each of five families for chats and adherence (default: 5); a fifth of them
    is held out. Dialogues show the first four only."""
    chats: Identity[Count | None] = None
    """Chats of 2 to 20 turns, half of them with instructions, to study ghost attention with
    (default: none, and no file)."""
    makes: ClassVar = Raw
    revision: ClassVar = 7
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Raw]) -> Outcome:
        """Write each file of the world as JSON lines."""
        from llamakit.world.generate import CHATS_FILE, FILES, Sizes, generate_world

        config = self.config()
        seed = config.pop("seed")
        counts = dict.fromkeys((*FILES, CHATS_FILE) if self.chats else FILES, 0)
        with draft.events.task("world", total=len(counts), unit="files") as task:
            for name, lines in groupby(generate_world(Sizes(**config), seed), key=itemgetter(0)):
                with draft.writing(name) as path, path.open("w", encoding="utf-8") as stream:
                    for _, record in lines:
                        stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                        counts[name] += 1
                task.advance()
            for name in FILES:
                if counts[name] == 0:
                    # A small world may lie nowhere; an empty file says so, a missing one does not.
                    with draft.writing(name) as path:
                        path.touch()
        documents, dialogues = counts["documents.jsonl"], counts["dialogues.jsonl"]
        return Outcome(
            counts, headline=f"{counted(documents, 'document')}, {counted(dialogues, 'dialogue')}"
        )
