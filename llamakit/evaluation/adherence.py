"""How long a model keeps to an instruction that was given once (paper §3.3 and A.3.5).

The instruction stands before the first user message only; the dialogue goes on for up to twenty
turns, with the model's own answers, and every answer is checked. The same dialogues without the
instruction tell how often the check holds by itself, and whether training made the model obey
instructions nobody gave.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llamakit.evaluation.answers import answer
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import as_message, dialogue_ids, dialogue_stops
from llamakit.evaluation.results import Curve, PartResult, Row
from llamakit.evaluation.task_files import read_whole_lines
from llamakit.events import SILENT, Events
from llamakit.model.generation import Sampling
from llamakit.text.checks import holds
from llamakit.text.dialogue import Message
from llamakit.text.instruction import attach
from llamakit.text.statistics import bootstrap_mean, wilson

TURNS = tuple(range(2, 21, 2))
"""Turns reported besides the first; the paper's table has 2, 4, 6 and 20."""

# An answer's longest share of the context: twenty turns must fit, questions included.
_SHARE_OF_CONTEXT = 16
_STREAM = 31  # stream of random numbers


@dataclass(frozen=True)
class Session:
    """One dialogue to hold: an instruction, how to check it, and the user's turns."""

    id: str
    instruction: str
    check: Mapping[str, object]
    turns: tuple[str, ...]


def read_sessions(path: Path) -> tuple[list[Session], list[str]]:
    """Read a JSONL file of `{id, instruction, check, turns}`; also the broken lines, named.

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
    """Hold every dialogue with and without its instruction, and report adherence by turn.

    A dialogue ends early when it no longer fits the context; `n` of each point counts the rest.
    """
    longest = max(len(session.turns) for session in sessions)
    label = f"{part} · {candidate.name}"
    with events.task(label, total=2 * longest, unit="turns") as task:
        told = _hold(candidate, sessions, sampling, seed, told=True, advance=task.advance)
        untold = _hold(candidate, sessions, sampling, seed, told=False, advance=task.advance)
    measured = [turn for turn in (1, *TURNS) if turn <= longest]
    later = [turn for turn in measured if turn > 1]
    rows = [
        _row(session, answers, controls, later)
        for session, answers, controls in zip(sessions, told, untold, strict=True)
    ]
    with_instruction = _curve(sessions, told, measured)
    without = _curve(sessions, untold, measured)
    measures = {
        "adherence": bootstrap_mean([r.values["adherence"] for r in rows if r.values], seed),
        "without_instruction": bootstrap_mean(
            [r.values["without_instruction"] for r in rows if r.values], seed
        ),
    }
    measures |= {
        f"turn_{turn}": point for turn, point in zip(measured, with_instruction.points, strict=True)
    }
    notes = []
    if with_instruction.points[-1].n < len(sessions):
        notes.append(
            f"{with_instruction.points[-1].n} of {len(sessions)} dialogues still fit the context of"
            f" {candidate.window} tokens at turn {measured[-1]}."
        )
    return PartResult(
        part=part,
        model=candidate.name,
        kind="adherence",
        main="adherence",
        higher_is_better=True,
        measures=measures,
        curves={"instruction given once": with_instruction, "no instruction": without},
        notes=notes,
        rows=rows,
    )


def _hold(
    candidate: Candidate,
    sessions: Sequence[Session],
    sampling: Sampling,
    seed: int,
    *,
    told: bool,
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
            if turn == 0 and told:
                user = attach(sessions[index].instruction, user)
            dialogues[index].append({"role": "user", "content": user})
        prompts = [
            dialogue_ids(dialogues[index], candidate.vocabulary, candidate.form) for index in going
        ]
        keys = [(seed, _STREAM, int(told), index, turn) for index in going]
        found = answer(candidate, prompts, sampling, keys)
        for index, one in zip(going, found, strict=True):
            if one is not None:
                message = as_message(one.text)
                dialogues[index].append(message)
                answers[index].append(message["content"])
        advance()
    return answers


def _curve(sessions: Sequence[Session], answers: list[list[str]], turns: Sequence[int]) -> Curve:
    points = []
    for turn in turns:
        obeyed = [
            holds(session.check, given[turn - 1])
            for session, given in zip(sessions, answers, strict=True)
            if len(given) >= turn
        ]
        points.append(wilson(sum(obeyed), len(obeyed)))
    return Curve("turn", list(turns), points)


def _row(session: Session, answers: list[str], controls: list[str], turns: Sequence[int]) -> Row:
    """The session as one row; its values are shares of the measured turns it reached."""

    def share(given: list[str]) -> float | None:
        reached = [turn for turn in turns if turn <= len(given)]
        kept = sum(holds(session.check, given[turn - 1]) for turn in reached)
        return kept / len(reached) if reached else None

    kept, control = share(answers), share(controls)
    values = {}
    if kept is not None and control is not None:
        values = {"adherence": kept, "without_instruction": control}
    transcript = "\n".join(f"{turn}. {text}" for turn, text in enumerate(answers, start=1))
    check = json.dumps(session.check, ensure_ascii=False, sort_keys=True)
    return Row(session.id, session.instruction, transcript, check, values=values)


def _session(line: Mapping[str, Any], number: str) -> Session:
    turns, check, instruction = line["turns"], line["check"], line["instruction"]
    if not isinstance(turns, list) or not turns or not all(isinstance(t, str) for t in turns):
        raise ValueError("turns is not a list of texts")
    if not isinstance(instruction, str) or not isinstance(check, dict):
        raise ValueError("instruction must be a text and check an object")
    holds(check, "a probe: refuses a check of unknown kind or value")
    return Session(str(line.get("id", number)), instruction, check, tuple(turns))
