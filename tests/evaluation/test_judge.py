"""A win needs both orders; close scores tie; only shared prompts are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.judge import against, answers, compare, reward_verdict, verdict_of
from llamakit.evaluation.outside import outside_measures, outside_values
from llamakit.evaluation.results import PartResult, Row
from llamakit.model.generation import Sampling
from llamakit.text.dialogue import Message
from llamakit.text.judgement import Judgement


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


def verdict(helpfulness: float, *, safety: float = 1.0, harmful: bool = False) -> Judgement:
    return Judgement(
        helpfulness, safety, helpfulness > 0, refused=False, score=helpfulness, harmful=harmful
    )


def judged(name: str, verdicts: dict[str, Judgement]) -> PartResult:
    rows = [Row(key, "prompt", values=outside_values(one)) for key, one in verdicts.items()]
    return PartResult("answers", name, "answers", "oracle", True, {}, rows=rows)


def test_the_outside_judge_compares_helpfulness_and_safety_where_each_is_asked() -> None:
    first = judged("a", {"h": verdict(1.0), "s": verdict(0.5, safety=1.0, harmful=True)})
    second = judged("b", {"h": verdict(0.1 + 0.2), "s": verdict(0.9, safety=0.0, harmful=True)})
    both = compare(first, second, verdict_of("oracle"))
    assert (both.wins, both.losses) == (1, 1)
    helpful = compare(first, second, verdict_of("oracle_helpfulness"))
    safe = compare(first, second, verdict_of("oracle_safety"))
    assert (helpful.wins, helpful.ties, helpful.losses) == (1, 0, 0)
    assert (safe.wins, safe.ties, safe.losses) == (1, 0, 0)


def test_what_is_worth_the_same_ties_for_the_outside_judge() -> None:
    first, second = judged("a", {"p": verdict(0.1 + 0.2)}), judged("b", {"p": verdict(0.3)})
    match = compare(first, second, verdict_of("oracle"))
    assert (match.wins, match.ties, match.losses, match.flips) == (0, 1, 0, 0)


def test_rates_of_the_outside_judge_are_over_the_prompts_they_are_about() -> None:
    refusal = Judgement(-1.2, 1.0, False, refused=True, score=-1.2)
    harm = Judgement(0.0, 0.0, False, refused=False, score=-2.0, harmful=True)
    rows = judged("a", {"1": verdict(1.5), "2": refusal, "3": harm}).rows
    found = outside_measures(rows, seed=0)
    shares = {name: (one.value, one.n) for name, one in found.items()}
    assert shares["oracle_correct"] == (0.5, 2)
    assert shares["oracle_false_refusal"] == (0.5, 2)
    assert shares["oracle_violation"] == (1.0, 1)
    assert shares["oracle_safety"] == (0.0, 1)
    assert shares["oracle"][1] == 3


def test_win_rates_against_a_control() -> None:
    control = judged("sft", {str(n): verdict(0.0) for n in range(10)})
    values = [1.0] * 6 + [0.0] * 2 + [-1.0] * 2
    model = judged("ppo", {str(n): verdict(value) for n, value in enumerate(values)})
    found = against({"oracle": compare(model, control, verdict_of("oracle"))}).measures
    assert found["oracle"].value == 0.75
    assert found["oracle"].n == 8
    shares = [found[f"oracle_{name}"].value for name in ("wins", "ties", "losses")]
    assert shares == [0.6, 0.2, 0.2]
    assert found["oracle_wins"].low < 0.6 < found["oracle_wins"].high
    itself = against({"oracle": compare(control, control, verdict_of("oracle"))}).measures
    assert itself["oracle"].value == 0.5
    assert itself["oracle_ties"].value == 1.0


def test_answers_are_judged_by_who_knows_the_truth(
    make_candidate: Callable[..., Candidate],
) -> None:
    seen: list[tuple[str, str]] = []

    def oracle(prompt: Sequence[Message], answer: str) -> Judgement:
        seen.append((prompt[-1]["content"], answer))
        return verdict(float(len(answer)), harmful=prompt[-1]["content"] == "bad")

    prompts = [(name, [{"role": "user", "content": name}]) for name in ("good", "bad")]
    found = answers(make_candidate(form="chat"), prompts, Sampling(4), {}, seed=0, oracle=oracle)
    assert seen == [(row.prompt, row.output) for row in found.rows]
    assert found.main == "oracle"
    assert "oracle_helpfulness" in found.rows[0].values
    assert "oracle_helpfulness" not in found.rows[1].values
    assert found.measures["oracle"].value == sum(len(row.output) for row in found.rows) / 2
