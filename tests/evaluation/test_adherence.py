"""Adherence is measured by turn, with the instruction on the first turn only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from llamakit.errors import InputError
from llamakit.evaluation.adherence import Session, adherence, read_sessions
from llamakit.evaluation.candidate import Candidate
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
        {"id": "b"},
        "broken",
    )
    found, broken = read_sessions(path)
    assert [session.id for session in found] == ["a"]
    assert [line.split(" ")[0] for line in broken] == [
        f"adherence.jsonl:{n}:" for n in (2, 3, 4, 5)
    ]
    with pytest.raises(InputError, match="no whole line"):
        read_sessions(jsonl("none.jsonl", "broken"))
