"""Ghost attention: dialogues that keep an instruction given once (paper §3.3).

1. Take the user turns of a dialogue and an instruction.
2. Attach the instruction to every user turn, and
3. sample the answers one after the other.
4. Keep the instruction on the first user turn only, half the time in its short form.
5. Train on the last answer alone (`train_on: last`): earlier ones were given with the instruction
   in sight, and the model must not learn to answer so without it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.constraints import Constraint, Instruction, combine, read_constraints
from llamakit.alignment.rollout import rollout
from llamakit.alignment.served import Server
from llamakit.alignment.tables import write_dialogues
from llamakit.artifacts.frames import read_table
from llamakit.errors import InputError
from llamakit.model.transformer import Transformer
from llamakit.text.checks import holds
from llamakit.text.dialogue import Message, render_prompt
from llamakit.text.instruction import attach
from llamakit.text.vocabulary import Vocabulary

_STREAM = 21  # stream of random numbers
SAMPLES_PER_SHARD = 2

Filter = Literal["none", "last", "all"]
Cut = Literal["end", "every"]
Remind = Literal["every", "first"]


@dataclass(frozen=True)
class Synthesis:
    """What a shard needs to write its dialogues; small and picklable."""

    answerer: Answerer
    constraints: tuple[Path, ...]
    min_turns: int
    max_turns: int
    max_constraints: int
    shorten_prob: float
    plain_share: float
    """Share of dialogues written without any instruction, against obeying one that nobody gave."""
    remind: Remind
    """The user turns that hold the instruction while answers are sampled. `first` is no ghost
    attention: it is the control, whose teacher was told once as its student is."""
    keep: Filter
    cut: Cut
    temperature: float


@dataclass(frozen=True)
class Shard:
    """Some dialogues, where they stand among all, and the table the results go to."""

    dialogues: Path
    first: int
    answers: Path
    synthesis: Synthesis


@dataclass
class Session:
    """One dialogue while it is being answered."""

    id: str
    source: str
    safety: bool
    system: list[Message]
    users: list[str]
    """User turns to answer, without the instruction."""
    instruction: Instruction | None
    place: int
    """Its place among all dialogues: seeds its answers."""
    answers: list[str] = field(default_factory=list)
    ended: str = ""
    """Why no further turn was answered; empty while turns are left or all are done."""

    def sampling_prompt(self, remind: Remind = "every") -> list[Message]:
        """The dialogue so far and the next question, the instruction on every user turn or on the
        first."""
        told = len(self.users) if remind == "every" else 1
        instructed = [self._instructed(user, short=False) for user in self.users[:told]]
        return self._messages([*instructed, *self.users[told:]], len(self.answers) + 1)

    def training_dialogue(self, turns: int, *, short: bool) -> list[Message]:
        """The first `turns` exchanges, the instruction on the first user turn only."""
        first = self._instructed(self.users[0], short=short)
        return self._messages([first, *self.users[1:]], turns, with_last_answer=True)

    def obeyed(self, turn: int) -> list[tuple[str, bool]]:
        """(family, whether its check holds) for the answer of `turn` (0 is the first)."""
        if self.instruction is None:
            return []
        return [
            (one.family, holds(one.check, self.answers[turn]))
            for one in self.instruction.constraints
            if one.check is not None
        ]

    def _instructed(self, user: str, *, short: bool) -> str:
        if self.instruction is None:
            return user
        return attach(self.instruction.short if short else self.instruction.text, user)

    def _messages(
        self, users: Sequence[str], turns: int, *, with_last_answer: bool = False
    ) -> list[Message]:
        messages = list(self.system)
        for turn in range(turns):
            messages.append({"role": "user", "content": users[turn]})
            if turn < turns - 1 or with_last_answer:
                messages.append({"role": "assistant", "content": self.answers[turn]})
        return messages


def synthesise_shard(shard: Shard) -> dict[str, Any]:
    """Answer and write the dialogues of one shard.

    Returns:
        counts, and how often the teacher obeyed, as [obeyed, checked] by turn and by family.
    """
    synthesis = shard.synthesis
    model, vocabulary = synthesis.answerer.opened()
    constraints = read_constraints(synthesis.constraints)
    counts: Counter[str] = Counter()
    sessions = []
    for index, row in enumerate(read_table(shard.dialogues).to_dicts()):
        session = begin(row, shard.first + index, constraints, synthesis)
        counts["read"] += 1
        counts["dropped_too_few_turns"] += session is None
        if session is not None:
            sessions.append(session)
    answer(sessions, model, vocabulary, synthesis)
    rows: list[dict[str, Any]] = []
    samples: list[list[Message]] = []
    by_turn: dict[str, list[int]] = {}
    by_family: dict[str, list[int]] = {}
    for session in sessions:
        counts[f"ended_early_{session.ended}"] += bool(session.ended)
        for turn in range(len(session.answers)):
            for family, kept in session.obeyed(turn):
                _tally(by_turn, str(turn + 1), kept)
                _tally(by_family, family, kept)
        if len(session.answers) < synthesis.min_turns:
            counts["dropped_ended_too_early"] += 1
            continue
        made = training_rows(session, synthesis)
        counts["dropped_instruction_not_obeyed"] += not made
        counts["without_instruction"] += len(made) * (session.instruction is None)
        counts["shortened_instruction"] += sum(row["shortened"] for row in made)
        rows.extend(made)
        if made and len(samples) < SAMPLES_PER_SHARD:
            samples.append(made[-1]["messages"])
    write_dialogues(shard.answers, rows)
    return {
        "counts": {**{n: count for n, count in counts.items() if count}, "dialogues": len(rows)},
        "by_turn": by_turn,
        "by_family": by_family,
        "samples": samples,
    }


def begin(
    row: Mapping[str, Any], place: int, constraints: Sequence[Constraint], synthesis: Synthesis
) -> Session | None:
    """The user turns of a dialogue with a drawn instruction; None when it has too few turns."""
    messages = row["messages"]
    users = [one["content"] for one in messages if one["role"] == "user"][: synthesis.max_turns]
    if len(users) < synthesis.min_turns:
        return None
    chance = random.Random(f"{synthesis.answerer.seed}/instruction/{place}")
    plain = chance.random() < synthesis.plain_share
    return Session(
        id=row["id"],
        source=row["source"],
        safety=bool(row["safety"]),
        system=[one for one in messages[:1] if one["role"] == "system"],
        users=users,
        instruction=None if plain else combine(constraints, synthesis.max_constraints, chance),
        place=place,
    )


def answer(
    sessions: Sequence[Session],
    model: Transformer | Server,
    vocabulary: Vocabulary,
    synthesis: Synthesis,
) -> None:
    """Answer all sessions turn by turn, a turn of all of them at once.

    A session ends early when its next prompt leaves no room for an answer, or when an answer does
    not end by itself, is empty or holds a chat tag: what follows a broken answer is no dialogue.
    """
    answerer = synthesis.answerer
    sampling = answerer.sampling(synthesis.temperature)
    for turn in range(synthesis.max_turns):
        open_ones: list[Session] = []
        prompts: list[list[int]] = []
        for session in sessions:
            if session.ended or len(session.users) <= turn:
                continue
            try:
                ids = render_prompt(session.sampling_prompt(synthesis.remind), vocabulary)
            except InputError:
                session.ended = "not_renderable"
                continue
            if len(ids) > answerer.max_prompt_tokens:
                session.ended = "no_room_left"
                continue
            open_ones.append(session)
            prompts.append(ids)
        if not open_ones:
            return
        keys = [(answerer.seed, _STREAM, session.place, turn) for session in open_ones]
        rollouts = rollout(model, vocabulary, prompts, 1, sampling, keys=keys)
        usable = rollouts.usable()
        for session, text, fits in zip(open_ones, rollouts.texts, usable, strict=True):
            if fits:
                session.answers.append(text.strip())
            else:
                session.ended = "unusable_answer"


def training_rows(session: Session, synthesis: Synthesis) -> list[dict[str, Any]]:
    """The dialogues that a session gives: its whole, or with `cut` every one of its beginnings.

    `keep` drops those whose last answer (or any answer) breaks the instruction.
    """
    turns = len(session.answers)
    lengths = [turns] if synthesis.cut == "end" else range(synthesis.min_turns, turns + 1)
    rows = []
    for length in lengths:
        looked_at = {"none": [], "last": [length - 1], "all": range(length)}[synthesis.keep]
        if not all(kept for turn in looked_at for _, kept in session.obeyed(turn)):
            continue
        chance = random.Random(f"{synthesis.answerer.seed}/short/{session.place}/{length}")
        short = session.instruction is not None and chance.random() < synthesis.shorten_prob
        rows.append(
            {
                "id": f"{session.id}/gatt-{length}",
                "messages": session.training_dialogue(length, short=short),
                "train_on": "last",
                "source": session.source,
                "safety": session.safety,
                "shortened": short,
            }
        )
    return rows


def _tally(counts: dict[str, list[int]], key: str, kept: bool) -> None:
    obeyed, checked = counts.get(key, [0, 0])
    counts[key] = [obeyed + kept, checked + 1]
