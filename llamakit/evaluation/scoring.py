"""Tasks scored: multiple choice by log-likelihood, questions by exact match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from llamakit.evaluation.answers import TOO_LONG, answer, greedy
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.exact_match import contains_answer, is_exact, number_in, short_answer
from llamakit.evaluation.likelihood import choice_logprobs, fitted
from llamakit.evaluation.prompts import (
    ChoiceRows,
    choice_rows,
    question_ids,
    question_stops,
)
from llamakit.evaluation.results import PartResult, Row, by_group, values_of
from llamakit.evaluation.tasks import Item, Task
from llamakit.events import SILENT, Events
from llamakit.model.generation import Sampling
from llamakit.text.statistics import Estimate, wilson

_ANSWER_TOKENS = {"text": 32, "number": 32, "solution": 256}
_CUE = "Answer:"


def score_task(
    candidate: Candidate, task: Task, sampling: Sampling, events: Events = SILENT
) -> PartResult:
    """Score one model on one task, by the protocol of the task's kind."""
    with events.task(
        f"{task.name} · {candidate.name}", total=len(task.items), unit="questions"
    ) as progress:
        if task.kind == "choice":
            rows, notes = _choose(candidate, task, progress.advance)
            main = "accuracy"
        else:
            rows, notes = _generate(candidate, task, sampling, progress.advance)
            main = "exact_match"
    names = dict.fromkeys(name for row in rows for name in row.values)
    notes += _broken_lines(task)
    return PartResult(
        part=task.name,
        model=candidate.name,
        kind="task",
        main=main,
        higher_is_better=True,
        measures={name: _rate(rows, name) for name in names} or {main: wilson(0, 0)},
        groups={name: _rate(members, main) for name, members in by_group(rows).items()},
        notes=notes,
        rows=rows,
    )


def _choose(
    candidate: Candidate, task: Task, advance: Callable[[int], None]
) -> tuple[list[Row], list[str]]:
    conditional, cut = _conditional(candidate, task, advance)
    nothing: list[list[float] | None] = [None] * len(conditional)
    unconditional = _unconditional(candidate, task) or nothing
    rows = [
        _choice_row(task, item, logprobs, bare)
        for item, logprobs, bare in zip(task.items, conditional, unconditional, strict=True)
    ]
    notes = [f"{cut} questions lost the beginning of their context to fit it."] if cut else []
    return rows, notes


def _conditional(
    candidate: Candidate, task: Task, advance: Callable[[int], None]
) -> tuple[list[list[float]], int]:
    """log P(choice | context) of every item, and how many contexts were cut."""
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    questions: list[ChoiceRows] = []
    for index, item in enumerate(task.items):
        rows, cut = fitted(
            choice_rows(task, item, candidate.vocabulary, candidate.form), candidate.window
        )
        questions.append(rows)
        # A context that lost its beginning shares no prefix with the others.
        groups[item.subject if task.by_subject else "", cut].append(index)
    found: list[list[float]] = [[] for _ in questions]
    for members in groups.values():
        scored = choice_logprobs(
            candidate.model,
            [questions[index] for index in members],
            candidate.vocabulary.pad,
            advance,
        )
        for index, logprobs in zip(members, scored, strict=True):
            found[index] = logprobs
    cut_total = sum(len(members) for (_, cut), members in groups.items() if cut)
    return found, cut_total


def _unconditional(candidate: Candidate, task: Task) -> list[list[float]] | None:
    """log P(choice | "Answer:") of every item, each distinct choice computed once.

    None where no protocol asks for it: choices that are letters, contexts without an "Answer:".
    """
    cued = all(item.context.endswith(_CUE) for item in task.items)
    if task.normalization == "raw" or not (cued or task.normalization == "unconditional"):
        return None
    distinct = sorted({choice for item in task.items for choice in item.choices})
    rows = [
        choice_rows(
            task,
            Item("", "", "", (choice,)),
            candidate.vocabulary,
            candidate.form,
            without_question=True,
        )
        for choice in distinct
    ]
    scores = choice_logprobs(
        candidate.model,
        [fitted(row, candidate.window)[0] for row in rows],
        candidate.vocabulary.pad,
    )
    known = {choice: logprobs[0] for choice, logprobs in zip(distinct, scores, strict=True)}
    return [[known[choice] for choice in item.choices] for item in task.items]


def _choice_row(task: Task, item: Item, logprobs: list[float], bare: list[float] | None) -> Row:
    """Which choice each normalisation picks; equal scores go to the first."""
    scores = {
        "raw": logprobs,
        "per_character": [
            score / len(choice) for score, choice in zip(logprobs, item.choices, strict=True)
        ],
    }
    if bare is not None:
        scores["unconditional"] = [one - other for one, other in zip(logprobs, bare, strict=True)]
    picked = {name: values.index(max(values)) for name, values in scores.items()}
    values = {"accuracy": float(picked[task.normalization] == item.gold)}
    values |= {f"accuracy_{name}": float(pick == item.gold) for name, pick in picked.items()}
    chosen = item.choices[picked[task.normalization]]
    return Row(item.id, item.question, chosen, item.choices[item.gold], item.subject, values)


def _generate(
    candidate: Candidate, task: Task, sampling: Sampling, advance: Callable[[int], None]
) -> tuple[list[Row], list[str]]:
    room = _ANSWER_TOKENS[task.kind]
    if candidate.form == "chat":
        # A chat model explains before it answers.
        room = max(room, sampling.max_new_tokens)
    prompts = [
        question_ids(task, item, candidate.vocabulary, candidate.form) for item in task.items
    ]
    found = answer(
        candidate,
        prompts,
        greedy(sampling, room, question_stops(task, candidate.form)),
        [(index,) for index in range(len(prompts))],
        advance,
    )
    rows = [
        _answer_row(task, item, "" if one is None else one.text)
        for item, one in zip(task.items, found, strict=True)
    ]
    missing = sum(one is None for one in found)
    notes = [f"{missing} questions are {TOO_LONG}: counted as wrong."] if missing else []
    return rows, notes


def _answer_row(task: Task, item: Item, text: str) -> Row:
    if task.kind == "text":
        values = {
            "exact_match": float(is_exact(short_answer(text), item.answers)),
            "contains": float(contains_answer(text, item.answers)),
        }
    else:
        first = text.strip().split("\n", 1)[0]
        given = number_in(text if task.kind == "solution" else first)
        values = {"exact_match": float(given is not None and given in item.answers)}
    expected = " | ".join(item.answers)
    return Row(item.id, item.question, text.strip(), expected, item.subject, values)


def _rate(rows: Sequence[Row], name: str) -> Estimate:
    values = values_of(rows, name)
    return wilson(sum(values), len(values))


def _broken_lines(task: Task) -> list[str]:
    if not task.broken:
        return []
    shown = "; ".join(task.broken[:3])
    more = f" and {len(task.broken) - 3} more" if len(task.broken) > 3 else ""
    return [f"{len(task.broken)} lines were left out: {shown}{more}."]
