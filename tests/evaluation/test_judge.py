"""A win needs both orders; close scores tie; only shared prompts are compared."""

from __future__ import annotations

from collections.abc import Callable

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.judge import answers, compare, reward_verdict
from llamakit.evaluation.results import PartResult, Row
from llamakit.model.generation import Sampling
from llamakit.text.dialogue import Message


def scored(name: str, scores: dict[str, float]) -> PartResult:
    rows = [Row(key, "prompt", values={"judge": value}) for key, value in scores.items()]
    return PartResult("answers", name, "answers", "judge", True, {}, rows=rows)


def test_wins_ties_and_losses() -> None:
    first = scored("a", {"1": 2.0, "2": 0.0, "3": 0.1, "4": 5.0})
    second = scored("b", {"1": 1.0, "2": 1.0, "3": 0.0, "5": 0.0})
    match = compare(first, second, reward_verdict("judge"))
    assert (match.wins, match.ties, match.losses, match.flips) == (1, 1, 1, 0)
    assert match.win_share.value == 0.5
    mirrored = compare(second, first, reward_verdict("judge"))
    assert (mirrored.wins, mirrored.losses) == (match.losses, match.wins)


def test_a_judge_that_prefers_the_first_place_decides_nothing() -> None:
    first, second = scored("a", {"1": 0.0, "2": 0.0}), scored("b", {"1": 0.0, "2": 0.0})
    match = compare(first, second, lambda _first, _second: 0.9)
    assert (match.wins, match.ties, match.losses, match.flips) == (0, 2, 0, 2)


def test_a_judge_that_wavers_in_one_order_ties_without_a_flip() -> None:
    first, second = scored("a", {"1": 1.0}), scored("b", {"1": 0.0})

    def verdict(one: Row, _other: Row) -> float:
        return 0.9 if one.values["judge"] == 1.0 else 0.5

    match = compare(first, second, verdict)
    assert (match.wins, match.ties, match.losses, match.flips) == (0, 1, 0, 0)


def test_answers_are_scored_and_long_prompts_left_out(
    make_candidate: Callable[..., Candidate],
) -> None:
    def user(text: str) -> list[Message]:
        return [{"role": "user", "content": text}]

    prompts = [("a", user("lake?")), ("b", user("river " * 90)), ("c", user("help"))]
    found = answers(
        make_candidate(form="chat", window=96),
        prompts,
        Sampling(4),
        {"help": lambda dialogues: [float(len(dialogue)) for dialogue in dialogues]},
        seed=0,
    )
    assert [row.id for row in found.rows] == ["a", "c"]
    assert all(row.values["help"] == 2.0 for row in found.rows)
    assert found.main == "help"
    assert "1 prompts are longer than the context" in found.notes[0]
