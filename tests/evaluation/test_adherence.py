"""Adherence is measured by turn, with the instruction on the first turn only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamakit.errors import InputError
from llamakit.evaluation.adherence import Session, adherence, read_sessions
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.results import PartResult
from llamakit.model.generation import Sampling

CHECK = {"kind": "starts_with", "value": "the"}
SAMPLING = Sampling(8, temperature=0.1)


def sessions(n: int, turns: int) -> list[Session]:
    users = tuple("lake?" for _ in range(turns))
    return [Session(str(i), "Say the.", CHECK, users) for i in range(n)]


def forgetful(monkeypatch: pytest.MonkeyPatch, until: int) -> list[list[str]]:
    """A model that obeys up to turn `until` of dialogues in which it was told to."""
    seen: list[list[str]] = []

    def generate(_model, vocabulary, prompts, _sampling, _seeds):  # type: ignore[no-untyped-def]
        texts = [vocabulary.decode(ids) for ids in prompts]
        seen.append(texts)
        return [
            SimpleNamespace(
                text=" the" if "Say the." in t and t.count("[INST]") <= until else " a lake",
                finished=True,
            )
            for t in texts
        ]

    monkeypatch.setattr("llamakit.evaluation.answers.generate", generate)
    return seen


def test_by_turn(make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = forgetful(monkeypatch, until=4)
    candidate = make_candidate(form="chat", window=2048)
    found = adherence(candidate, "adherence", sessions(3, 8), SAMPLING, seed=0)
    told = found.curves["instruction given once"]
    assert told.xs == [1, 2, 4, 6, 8]
    assert [point.value for point in told.points] == [1, 1, 1, 0, 0]
    assert all(point.n == 3 for point in told.points)
    assert [p.value for p in found.curves["no instruction"].points] == [0] * 5
    assert found.measures["adherence"].value == 0.5
    assert found.measures["turn_4"].value == 1
    last_told = seen[7][0]
    assert last_told.count("Say the.") == 1
    assert last_told.count("[INST]") == 8


def test_at_every_turn_the_instruction_stands_before_every_message(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = forgetful(monkeypatch, until=2)
    found = adherence(
        make_candidate(form="chat", window=2048), "adherence", sessions(1, 4), SAMPLING, seed=0
    )
    lasts = [texts[0] for texts in seen if texts[0].count("[INST]") == 4]
    assert [text.count("Say the.") for text in lasts] == [1, 4, 0]
    assert [p.value for p in found.curves["instruction at every turn"].points] == [1, 1, 0]
    assert found.measures["at_every_turn"].value == 0.5


def test_the_leak_is_any_instruction_obeyed_where_none_was_given(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(_model, _vocabulary, prompts, _sampling, _seeds):  # type: ignore[no-untyped-def]
        return [SimpleNamespace(text=" a lake", finished=True) for _ in prompts]

    monkeypatch.setattr("llamakit.evaluation.answers.generate", generate)
    other = Session("o", "End.", {"kind": "ends_with", "value": "lake"}, ("lake?", "lake?"))
    talks = [*sessions(3, 2), other]
    candidate = make_candidate(form="chat", window=2048)
    found = adherence(candidate, "adherence", talks, SAMPLING, seed=0)
    assert [p.value for p in found.curves["no instruction"].points] == [0.25, 0.25]
    assert [p.value for p in found.curves["leak"].points] == [1, 1]
    assert found.measures["leak"].value == 1
    assert found.measures["without_instruction"].value == 0.25


def test_held_out_instructions_are_told_apart(
    make_candidate: Callable[..., Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    forgetful(monkeypatch, until=2)
    never = {"kind": "starts_with", "value": "never"}
    talks = [
        replace(one, split="heldout" if i else "training", check=never if i else CHECK)
        for i, one in enumerate(sessions(3, 4))
    ]
    candidate = make_candidate(form="chat", window=2048)
    found = adherence(candidate, "adherence", talks, SAMPLING, seed=0)
    own = {split: one.value for split, one in found.groups.items()}
    assert own == {"heldout": 0, "training": 0.5}
    by_turn = found.curves["instruction given once, training"].points
    assert [(point.value, point.n) for point in by_turn] == [(1, 1), (1, 1), (0, 1)]
    assert [p.n for p in found.curves["instruction given once, heldout"].points] == [2, 2, 2]
    assert PartResult.from_json(found.to_json()) == found


def test_dialogues_end_where_the_context_ends(make_candidate: Callable[..., Candidate]) -> None:
    candidate = make_candidate(form="chat", window=128)
    found = adherence(candidate, "adherence", sessions(2, 20), SAMPLING, seed=0)
    counts = [point.n for point in found.curves["instruction given once"].points]
    assert counts[0] == 2
    assert counts[-1] == 0
    assert counts == sorted(counts, reverse=True)
    assert "0 of 2 dialogues still fit" in found.notes[0]


def test_same_seed_same_answers(make_candidate: Callable[..., Candidate]) -> None:
    candidate = make_candidate(form="chat")
    warm = Sampling(6, temperature=1.0)
    runs = [adherence(candidate, "a", sessions(2, 3), warm, seed=s).rows for s in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_reading(jsonl: Callable[..., Path]) -> None:
    whole = {"id": "a", "instruction": "Say the.", "check": CHECK, "turns": ["one", "two"]}
    path = jsonl(
        "adherence.jsonl",
        whole,
        {**whole, "turns": []},
        {**whole, "check": {"kind": "rhymes"}},
        {**whole, "split": 3},
        {"id": "b"},
        "broken",
        {**whole, "turns": ["one", "two [/INST] three"]},
        {**whole, "instruction": "<<SYS>> Say the."},
    )
    found, broken = read_sessions(path)
    assert [session.id for session in found] == ["a"]
    assert [line.split(" ")[0] for line in broken] == [f"adherence.jsonl:{n}:" for n in range(2, 9)]
    with pytest.raises(InputError, match="no whole line"):
        read_sessions(jsonl("none.jsonl", "broken"))
