"""Context distillation: safe answers given under a preprompt, learnt without it (paper §4.2.4).

1. Put a safety preprompt before an adversarial prompt: a generic one, or the one of its risk
   category, which tells how to answer.
2. Sample an answer to that, and one to the prompt as it is.
3. Let the safety reward model score both, as answers to the prompt as it is.
4. Keep the new answer only where it scores higher, without the preprompt (`train_on: last`).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.preprompts import Kind, Preprompt, draw, put_before, read_preprompts
from llamakit.alignment.prompts import Prompt, tokenise_prompts
from llamakit.alignment.rollout import rollout
from llamakit.alignment.scoring import Judges
from llamakit.alignment.served import Server
from llamakit.alignment.tables import write_dialogues
from llamakit.artifacts.frames import read_table
from llamakit.model.transformer import Transformer
from llamakit.text.dialogue import render_prompt
from llamakit.text.vocabulary import Vocabulary

_STREAM = 23  # stream of random numbers


@dataclass(frozen=True)
class Distiller:
    """What a shard needs to answer and judge; small and picklable."""

    answerer: Answerer
    safety: Path
    preprompts: tuple[Path, ...]
    kind: Kind
    gate: bool
    """Keep only what scores higher than the original answer; else every usable answer."""
    temperature: float


@dataclass(frozen=True)
class Shard:
    """Some prompts, where they stand among all, and the table the results go to."""

    prompts: Path
    first: int
    answers: Path
    distiller: Distiller


@dataclass(frozen=True)
class Answer:
    """One answer and what the safety model makes of it."""

    text: str
    usable: bool
    """It ended by itself, is not empty, and holds no chat tag."""
    score: float
    """Raw, as an answer to the prompt without the preprompt."""

    @property
    def share(self) -> float:
        """The score as a share (0-1)."""
        return 1 / (1 + math.exp(-max(-60.0, min(60.0, self.score))))


@dataclass(frozen=True)
class Case:
    """A prompt, plain and under its preprompt."""

    plain: Prompt
    preprompted: Prompt
    preprompt: Preprompt
    text: str
    """The preprompt as it was put."""
    place: int
    """Its place among all prompts: seeds its answers."""


def distil_shard(shard: Shard) -> dict[str, Any]:
    """Answer, judge and write the prompts of one shard.

    Returns:
        counts, and for the report every prompt with both answers.
    """
    distiller = shard.distiller
    model, vocabulary = distiller.answerer.opened()
    judges = distiller.answerer.judges(None, distiller.safety, 0.5)
    rows = read_table(shard.prompts).to_dicts()
    cases, counts = prepare(rows, shard.first, distiller, vocabulary)
    before = answer(cases, model, judges, vocabulary, distiller, preprompted=False)
    after = answer(cases, model, judges, vocabulary, distiller, preprompted=True)
    kept: list[dict[str, Any]] = []
    compared = []
    for case, old, new in zip(cases, before, after, strict=True):
        fate = verdict(old, new, gate=distiller.gate)
        counts[fate] += fate != "kept"
        compared.append(
            {
                "prompt": case.plain.messages[-1]["content"],
                "category": case.plain.source,
                "preprompt": case.text,
                "before": [old.share, old.text],
                "after": [new.share, new.text],
                "fate": fate,
            }
        )
        if fate == "kept":
            messages = [*case.plain.messages, {"role": "assistant", "content": new.text}]
            kept.append(
                {
                    "id": case.plain.id,
                    "messages": messages,
                    "train_on": "last",
                    "source": case.plain.source,
                    "safety": case.plain.safety,
                }
            )
    write_dialogues(shard.answers, kept)
    return {
        "counts": {
            **{name: count for name, count in counts.items() if count},
            "prompts": len(rows),
            "dialogues": len(kept),
        },
        "compared": compared,
    }


def verdict(before: Answer, after: Answer, *, gate: bool) -> str:
    """`kept`, or why an answer given under a preprompt is not learnt from.

    With the gate it must score higher than the original, and not as high: an answer that is the
    same teaches nothing.
    """
    if not after.usable:
        return "dropped_unusable_answer"
    if gate and after.score <= before.score:
        return "dropped_not_safer"
    return "kept"


def prepare(
    rows: Sequence[Mapping[str, Any]], first: int, distiller: Distiller, vocabulary: Vocabulary
) -> tuple[list[Case], Counter[str]]:
    """Draw a preprompt for every row of a dialogues table, and render the row with and without it.

    A prompt that is too long with its preprompt loses its oldest exchanges in both.
    """
    preprompts = read_preprompts(distiller.preprompts)
    counts: Counter[str] = Counter()
    drawn: list[tuple[int, Preprompt, str]] = []
    asked = []
    for place, row in enumerate(rows, start=first):
        chance = random.Random(f"{distiller.answerer.seed}/preprompt/{place}")
        preprompt = draw(preprompts, distiller.kind, row["source"], chance)
        if preprompt is None:
            counts["dropped_no_preprompt"] += 1
            continue
        text = preprompt.text(chance)
        drawn.append((place, preprompt, text))
        asked.append({**row, "messages": put_before(text, row["messages"])})
    prompts, dropped = tokenise_prompts(asked, vocabulary, distiller.answerer.max_prompt_tokens)
    cases = []
    for prompt in prompts:
        place, preprompt, text = drawn[prompt.row]
        own = rows[place - first]["messages"]
        # What a system message said of its own stays; the exchanges are those that fitted.
        head = own[:1] if own[0]["role"] == "system" else []
        messages = [*head, *prompt.messages[1:]]
        plain = replace(prompt, messages=messages, ids=render_prompt(messages, vocabulary))
        cases.append(Case(plain, prompt, preprompt, text, place))
        if distiller.kind == "category":
            counts["under_category_preprompt"] += bool(preprompt.category)
            counts["under_generic_preprompt"] += not preprompt.category
    return cases, counts + dropped


def answer(
    cases: Sequence[Case],
    model: Transformer | Server,
    judges: Judges,
    vocabulary: Vocabulary,
    distiller: Distiller,
    *,
    preprompted: bool,
) -> list[Answer]:
    """One answer to each prompt, under its preprompt or plain, judged as one to the plain one."""
    if not cases:
        return []
    answerer = distiller.answerer
    sampling = answerer.sampling(distiller.temperature)
    asked = [case.preprompted.ids if preprompted else case.plain.ids for case in cases]
    # The same random numbers for both: where the preprompt says nothing to the model, the answer
    # is the same, and is not learnt from.
    keys = [(answerer.seed, _STREAM, case.place) for case in cases]
    rollouts = rollout(model, vocabulary, asked, 1, sampling, keys=keys)
    rows = [
        case.plain.ids + row[len(ids) :]
        for case, ids, row in zip(cases, asked, rollouts.rows(), strict=True)
    ]
    scores = judges(rows, [True] * len(rows)).combined_B.tolist()
    return [
        Answer(text.strip(), usable, score)
        for text, usable, score in zip(rollouts.texts, rollouts.usable(), scores, strict=True)
    ]
