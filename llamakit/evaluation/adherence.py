"""How long a model keeps to an instruction that was given once (paper §3.3 and A.3.5).

Each dialogue is held three times, for up to twenty turns with the model's own answers, and every
answer is checked. The instruction stands

once        before the first user message only: what is to be measured;
every turn  before every user message: whether the model can obey at all;
never       nowhere: how often the check holds by itself. Answers that obey any instruction of the
            file, though none was given, are the leak: training may make a model do what nobody
            asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from llamakit.evaluation.answers import answer
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import as_message, dialogue_ids, dialogue_stops
from llamakit.evaluation.results import Curve, PartResult, Row, by_group, values_of
from llamakit.evaluation.task_files import read_whole_lines
from llamakit.events import SILENT, Events
from llamakit.model.generation import Sampling
from llamakit.text.checks import Check, holds
from llamakit.text.dialogue import Message, check_messages
from llamakit.text.instruction import attach
from llamakit.text.statistics import Estimate, bootstrap_mean, wilson

TURNS = tuple(range(2, 21, 2))
"""Turns reported besides the first; the paper's table has 2, 4, 6 and 20."""

Telling = Literal["once", "every turn", "never"]
CURVES: Mapping[Telling, str] = {
    "once": "instruction given once",
    "every turn": "instruction at every turn",
    "never": "no instruction",
}
LEAK = "leak"
"""The curve of answers that obey any instruction where none was given."""

# An answer's longest share of the context: twenty turns must fit, questions included.
_SHARE_OF_CONTEXT = 16
_STREAM = 31  # stream of random numbers
_TOLD: Mapping[Telling, int] = {"once": 1, "every turn": 2, "never": 0}  # seeds of the tellings


@dataclass(frozen=True)
class Session:
    """One dialogue to hold: an instruction, how to check it, and the user's turns."""

    id: str
    instruction: str
    check: Check
    turns: tuple[str, ...]
    split: str = ""
    """What adherence is also reported by: whether training showed the instruction."""


def read_sessions(path: Path) -> tuple[list[Session], list[str]]:
    """Read a JSONL file of `{id, instruction, check, turns}`, maybe with a `split`; also the broken
    lines, named.

    Raises:
        InputError: no line is whole.
    """
    return read_whole_lines(
        path, _session, '{"id", "instruction", "check": {"kind", "value"}, "turns": [texts]}'
    )


def adherence(
    candidate: Candidate,
    part: str,
    sessions: Sequence[Session],
    sampling: Sampling,
    *,
    seed: int,
    events: Events = SILENT,
) -> PartResult:
    """Hold every dialogue in the three tellings, and report adherence by turn.

    A dialogue ends early when it no longer fits the context; `n` of each point counts the rest.
    """
    longest = max(len(session.turns) for session in sessions)
    label = f"{part} · {candidate.name}"
    with events.task(label, total=len(CURVES) * longest, unit="turns") as task:
        answers = {
            telling: _hold(candidate, sessions, sampling, seed, telling, task.advance)
            for telling in CURVES
        }
    turns = [turn for turn in (1, *TURNS) if turn <= longest]
    checks = list({json.dumps(s.check, sort_keys=True): s.check for s in sessions}.values())
    kept = {
        CURVES[telling]: [
            [holds(session.check, text) for text in given]
            for session, given in zip(sessions, answers[telling], strict=True)
        ]
        for telling in CURVES
    }
    kept[LEAK] = [
        [any(holds(check, text) for check in checks) for text in given]
        for given in answers["never"]
    ]
    once = kept[CURVES["once"]]
    curves = {name: _curve(found, turns) for name, found in kept.items()}
    for split in sorted({session.split for session in sessions}):
        own = [found for s, found in zip(sessions, once, strict=True) if s.split == split]
        if split and len(own) < len(sessions):
            curves[f"{CURVES['once']}, {split}"] = _curve(own, turns)
    rows = [
        _row(session, answers["once"][i], {name: found[i] for name, found in kept.items()}, turns)
        for i, session in enumerate(sessions)
    ]
    given_once = curves[CURVES["once"]]
    measures = {name: bootstrap_mean(values_of(rows, name), seed) for name in _MEASURES}
    measures |= {
        f"turn_{turn}": point for turn, point in zip(turns, given_once.points, strict=True)
    }
    return PartResult(
        part=part,
        model=candidate.name,
        kind="adherence",
        main="adherence",
        higher_is_better=True,
        measures=measures,
        groups=_by_split(rows, seed),
        curves=curves,
        notes=_notes(curves, len(sessions), candidate.window),
        rows=rows,
    )


_MEASURES: Mapping[str, tuple[str, int]] = {
    "adherence": (CURVES["once"], 2),
    "at_every_turn": (CURVES["every turn"], 2),
    "without_instruction": (CURVES["never"], 2),
    "leak": (LEAK, 1),
}
"""Measure -> its curve, and the first turn that counts."""


def _hold(
    candidate: Candidate,
    sessions: Sequence[Session],
    sampling: Sampling,
    seed: int,
    telling: Telling,
    advance: Callable[[], None],
) -> list[list[str]]:
    """Each session's answers, turn by turn over all sessions at once; shorter where it ended."""
    room = min(sampling.max_new_tokens, max(1, candidate.window // _SHARE_OF_CONTEXT))
    sampling = replace(sampling, stop=dialogue_stops(candidate.form), max_new_tokens=room)
    dialogues: list[list[Message]] = [[] for _ in sessions]
    answers: list[list[str]] = [[] for _ in sessions]
    for turn in range(max(len(session.turns) for session in sessions)):
        # Only dialogues that were answered at every turn so far go on.
        going = [
            index
            for index, session in enumerate(sessions)
            if turn < len(session.turns) and len(answers[index]) == turn
        ]
        for index in going:
            user = sessions[index].turns[turn]
            if telling == "every turn" or (telling == "once" and turn == 0):
                user = attach(sessions[index].instruction, user)
            dialogues[index].append({"role": "user", "content": user})
        prompts = [
            dialogue_ids(dialogues[index], candidate.vocabulary, candidate.form) for index in going
        ]
        keys = [(seed, _STREAM, _TOLD[telling], index, turn) for index in going]
        found = answer(candidate, prompts, sampling, keys)
        for index, one in zip(going, found, strict=True):
            if one is not None:
                message = as_message(one.text)
                dialogues[index].append(message)
                answers[index].append(message["content"])
        advance()
    return answers


def _curve(kept: Sequence[Sequence[bool]], turns: Sequence[int]) -> Curve:
    """The share that obeys at each turn, of the dialogues that reached it."""
    points = []
    for turn in turns:
        reached = [found[turn - 1] for found in kept if len(found) >= turn]
        points.append(wilson(sum(reached), len(reached)))
    return Curve("turn", list(turns), points)


def _row(
    session: Session, answers: Sequence[str], kept: Mapping[str, list[bool]], turns: Sequence[int]
) -> Row:
    """The session as one row; its values are shares of the reported turns it reached."""
    values = {}
    for name, (curve, first) in _MEASURES.items():
        reached = [turn for turn in turns if first <= turn <= len(kept[curve])]
        if reached:
            values[name] = sum(kept[curve][turn - 1] for turn in reached) / len(reached)
    transcript = "\n".join(f"{turn}. {text}" for turn, text in enumerate(answers, start=1))
    check = json.dumps(session.check, ensure_ascii=False, sort_keys=True)
    return Row(session.id, session.instruction, transcript, check, session.split, values)


def _by_split(rows: Sequence[Row], seed: int) -> dict[str, Estimate]:
    return {
        split: bootstrap_mean(values_of(own, "adherence"), seed)
        for split, own in by_group(rows).items()
    }


def _notes(curves: Mapping[str, Curve], n_sessions: int, window: int) -> list[str]:
    """For each telling, how many dialogues were cut short by the context."""
    lasts = {name: curves[name].points[-1].n for name in CURVES.values()}
    turn = curves[CURVES["once"]].xs[-1]
    return [
        f"{name}: {n} of {n_sessions} dialogues still fit the context of {window} tokens at turn"
        f" {turn}."
        for name, n in lasts.items()
        if n < n_sessions
    ]


def _session(line: Mapping[str, Any], number: str) -> Session:
    turns, check, instruction = line["turns"], line["check"], line["instruction"]
    split = line.get("split", "")
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
        raise ValueError("turns is not a list of texts")
    if not isinstance(instruction, str) or not isinstance(check, dict):
        raise ValueError("instruction must be a text and check an object")
    if not isinstance(split, str):
        raise ValueError("split is not a text")
    holds(check, "a probe: refuses a check of unknown kind or value")
    for text in (instruction, *turns):
        check_messages([{"role": "user", "content": text}])
    return Session(str(line.get("id", number)), instruction, check, tuple(turns), split)
