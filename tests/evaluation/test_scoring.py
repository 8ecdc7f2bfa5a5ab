"""Tasks are scored by their protocol, whatever the model says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import choice_rows
from llamakit.evaluation.scoring import score_task
from llamakit.evaluation.tasks import Item, Normalization, Task
from llamakit.model.generation import Sampling

SAMPLING = Sampling(16)


def choices(n: int, normalization: Normalization = "per_character") -> Task:
    items = tuple(
        Item(
            str(i),
            f"Question: Which river is number {i}?\nAnswer:",
            f"Which river is number {i}?",
            ("the north", "a lake", "the bridge of the red hills"),
            i % 3,
            subject="ab"[i % 2],
        )
        for i in range(n)
    )
    return Task("exam", "choice", items, normalization=normalization)


@torch.no_grad()
def logprob(candidate: Candidate, context: list[int], choice: list[int]) -> float:
    ids = context + choice
    hidden = candidate.model(torch.tensor([ids]))
    logprobs = candidate.model.logits(hidden).double().log_softmax(-1)[0]
    return sum(float(logprobs[i - 1, ids[i]]) for i in range(len(context), len(ids)))


@pytest.mark.parametrize("form", ["plain", "chat"])
@pytest.mark.parametrize("normalization", ["raw", "per_character", "unconditional"])
def test_every_normalisation_equals_a_slow_loop(
    make_candidate: Callable[..., Candidate], form: str, normalization: Normalization
) -> None:
    candidate = make_candidate(form=form)
    task = choices(6, normalization)
    found = score_task(candidate, task, SAMPLING)
    for item, row in zip(task.items, found.rows, strict=True):
        rows = choice_rows(task, item, candidate.vocabulary, form)
        scores = [logprob(candidate, rows.context, choice) for choice in rows.choices]
        if normalization == "per_character":
            scores = [s / len(c) for s, c in zip(scores, item.choices, strict=True)]
        if normalization == "unconditional":
            bare = choice_rows(task, item, candidate.vocabulary, form, without_question=True)
            scores = [
                s - logprob(candidate, bare.context, choice)
                for s, choice in zip(scores, bare.choices, strict=True)
            ]
        picked = scores.index(max(scores))
        assert row.output == item.choices[picked]
        assert row.values["accuracy"] == float(picked == item.gold)
        assert row.values["accuracy"] == row.values[f"accuracy_{normalization}"]


def test_accuracy_has_an_interval_and_subjects(make_candidate: Callable[..., Candidate]) -> None:
    found = score_task(make_candidate(), choices(9), SAMPLING)
    accuracy = found.measures[found.main]
    assert accuracy.n == 9
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert {name: e.n for name, e in found.groups.items()} == {"a": 5, "b": 4}


def test_contexts_that_are_too_long_are_cut_and_told(
    make_candidate: Callable[..., Candidate],
) -> None:
    found = score_task(make_candidate(window=20), choices(4), SAMPLING)
    assert len(found.rows) == 4
    assert any("lost the beginning" in note for note in found.notes)


def saying(monkeypatch: pytest.MonkeyPatch, texts: Sequence[str]) -> list[Sampling]:
    """Make the model say `texts` in the order of prompts; returns the settings it is asked with."""
    asked: list[Sampling] = []

    def generate(_model, _vocabulary, prompts, sampling, _seeds):  # type: ignore[no-untyped-def]
        asked.append(sampling)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        assert order == list(range(len(prompts)))
        return [SimpleNamespace(text=text, finished=True) for text in texts]

    monkeypatch.setattr("llamakit.evaluation.answers.generate", generate)
    return asked


def open_task(kind: str, answers: tuple[str, ...], n: int) -> Task:
    items = tuple(
        Item(str(i), f"Q: {'x' * i}\nA:", "x" * (i + 1), answers=answers) for i in range(n)
    )
    return Task("t", kind, items, broken=("t.jsonl:3: not JSON",))  # type: ignore[arg-type]


def test_short_answers(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = saying(monkeypatch, [" The Paris.", "It is Paris, I think", "Rome", ""])
    found = score_task(make_candidate(), open_task("text", ("Paris", "Lutetia"), 4), SAMPLING)
    assert found.measures["exact_match"].value == 0.25
    assert found.measures["contains"].value == 0.5
    assert asked[0].temperature == 0
    assert asked[0].stop == ["\n"]
    assert "1 lines were left out: t.jsonl:3: not JSON." in found.notes


@pytest.mark.parametrize(
    ("kind", "texts", "right"),
    [
        ("number", [" 19", "12 + 7 = 19.", "19 apples of 20", "nineteen"], 0.5),
        ("solution", ["so\n#### 19", "it is 19.", "#### 1\nthen 19", "no"], 0.5),
    ],
)
def test_numbers(
    make_candidate: Callable[..., Candidate],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    texts: list[str],
    right: float,
) -> None:
    saying(monkeypatch, texts)
    found = score_task(make_candidate(), open_task(kind, ("19",), 4), SAMPLING)
    assert found.measures["exact_match"].value == right


def test_a_question_longer_than_the_context_is_wrong(
    make_candidate: Callable[..., Candidate],
) -> None:
    item = Item("1", f"Q: {'river ' * 80}\nA:", "x", answers=("y",))
    found = score_task(make_candidate(window=64), Task("t", "text", (item,)), SAMPLING)
    assert found.measures["exact_match"].value == 0
    assert "counted as wrong" in found.notes[0]
