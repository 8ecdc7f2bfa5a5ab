"""A judge's verdict as a preference: who is chosen, how clearly, what is safe, what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from llamakit.alignment.annotation import (
    REWARD_GRADES,
    Annotator,
    Opinion,
    for_people,
    reward_opinions,
)
from llamakit.alignment.annotation_report import annotation_page, chosen_shares
from llamakit.text.judgement import grade_of, mistake_chance
from llamakit.world.preferences import GRADES


def comparison(place: int = 0, *, safety: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "id": f"p{place}",
        "prompt": [{"role": "user", "content": "What is 1?"}],
        "source": "helpfulness",
        "safety": safety,
        "place": place,
        "answers": ["first", "second"],
        "models": ["new:v1", "old:v1"],
        "temperatures": [0.7, 1.3],
        "scores": None,
        "safety_scores": None,
    } | more


def annotator(*scores: tuple[float, bool | None], noise: float = 0.0, seed: int = 0) -> Annotator:
    def opinions(_: Mapping[str, Any]) -> tuple[Opinion, Opinion]:
        first, second = (Opinion(score, safe) for score, safe in scores)
        return first, second

    return Annotator("test", opinions, GRADES, noise, batch=3, seed=seed)


def test_the_better_answer_is_chosen_with_everything_known_of_it() -> None:
    row = annotator((0.0, True), (1.2, True)).row(comparison(safety=True), Counter())
    assert row is not None
    assert row["chosen"] == [{"role": "assistant", "content": "second"}]
    assert row["rejected"] == [{"role": "assistant", "content": "first"}]
    assert (row["chosen_model"], row["rejected_model"]) == ("old:v1", "new:v1")
    assert (row["chosen_temperature"], row["rejected_temperature"]) == (1.3, 0.7)
    assert (row["grade"], row["safety"], row["batch"]) == ("better", "both_safe", 3)
    assert row["id"] == "3-p0"


@pytest.mark.parametrize(
    ("gap", "grade"),
    [
        (2.1, "significantly"),
        (2.09, "better"),
        (1.1, "better"),
        (0.35, "slightly"),
        (0, "negligible"),
    ],
)
def test_grades_are_those_of_the_world(gap: float, grade: str) -> None:
    assert grade_of(gap, GRADES) == grade
    row = annotator((gap, None), (0.0, None)).row(comparison(), Counter())
    assert row is not None
    assert row["grade"] == grade


@pytest.mark.parametrize(
    ("safe", "found"),
    [((True, False), "chosen_safe"), ((False, False), "both_unsafe"), ((True, True), "both_safe")],
)
def test_safety_bins_are_for_safety_prompts(safe: tuple[bool, bool], found: str) -> None:
    judge = annotator((1.0, safe[0]), (0.0, safe[1]))
    bins = []
    for tagged in (True, False):
        row = judge.row(comparison(safety=tagged), Counter())
        assert row is not None
        bins.append(row["safety"])
    assert bins == [found, None]


def test_a_pair_whose_better_answer_alone_is_unsafe_is_left_out() -> None:
    counts: Counter[str] = Counter()
    assert annotator((1.0, False), (0.0, True)).row(comparison(safety=True), counts) is None
    assert counts == {"dropped_chosen_unsafe": 1}


def test_mistakes_are_as_frequent_as_the_noise_says_and_rarer_the_clearer_the_call() -> None:
    shares = {}
    for gap in (0.1, 1.0):
        counts: Counter[str] = Counter()
        judge = annotator((gap, None), (0.0, None), noise=0.45)
        rows = [judge.row(comparison(place), counts) for place in range(4000)]
        wrong = sum(row is not None and row["chosen"][0]["content"] == "second" for row in rows)
        assert wrong == counts["mistaken"]
        shares[gap] = wrong / 4000
        assert shares[gap] == pytest.approx(mistake_chance(gap, 0.45), abs=0.02)
    assert shares[1.0] < 0.1 < shares[0.1]


def test_nobody_is_mistaken_about_the_only_safe_answer() -> None:
    judge = annotator((0.0, True), (0.0, False), noise=0.5)
    counts: Counter[str] = Counter()
    for place in range(50):
        judge.row(comparison(place, safety=True), counts)
    assert counts["mistaken"] == 0


def test_equal_answers_are_chosen_by_a_coin_that_the_seed_tosses() -> None:
    def chosen(seed: int) -> list[str]:
        judge = annotator((1.0, None), (1.0, None), seed=seed)
        rows = [judge.row(comparison(place), Counter()) for place in range(200)]
        return [row["chosen_model"] for row in rows if row is not None]

    assert chosen(0) == chosen(0) != chosen(1)
    assert 70 < chosen(0).count("new:v1") < 130


def test_reward_models_judge_by_their_scores() -> None:
    given = comparison(safety=True, scores=[0.5, 1.6], safety_scores=[-0.1, 0.1])
    first, second = reward_opinions(given)
    assert (first.safe, second.safe) == (False, True)
    judge = Annotator("reward models", reward_opinions, REWARD_GRADES, 0.0, batch=0, seed=0)
    row = judge.row(given, Counter())
    assert row is not None
    assert (row["grade"], row["safety"]) == ("better", "chosen_safe")
    assert reward_opinions(comparison(scores=[0.5, 1.6]))[0].safe is None


def test_people_get_both_answers_and_empty_places_to_fill_in() -> None:
    line = for_people(comparison(4), batch=2)
    assert (line["response_a"], line["response_b"]) == ("first", "second")
    assert (line["model_a"], line["temperature_b"]) == ("new:v1", 1.3)
    assert [line[name] for name in ("winner", "grade", "safety", "annotator")] == [None] * 4


def test_the_page_tells_who_was_chosen_how_often() -> None:
    scores = [(1.0, 0.0), (1.0, 0.0), (0.0, 3.0)]
    rows = [
        annotator((first, None), (second, None)).row(comparison(place), Counter())
        for place, (first, second) in enumerate(scores)
    ]
    held = [row for row in rows if row is not None]
    shares = chosen_shares(held, "model")
    assert {name: (one.value, one.n) for name, one in shares.items()} == {
        "new:v1": (2 / 3, 3),
        "old:v1": (1 / 3, 3),
    }
    page = annotation_page("test", held, {"prompts": 3})
    assert "significantly" in page
    assert "Safety bins" not in page
