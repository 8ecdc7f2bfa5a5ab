"""The report compares models on the same items and is drawn from any set of parts."""

from __future__ import annotations

import json
import math
import random
from html.parser import HTMLParser

import pytest

from llamakit.evaluation.attention_map import BY_TURN, MAP
from llamakit.evaluation.judge import measures_of_scores
from llamakit.evaluation.perplexity import BY_POSITION
from llamakit.evaluation.report import assemble, samples, win_rates
from llamakit.evaluation.report_page import report_page
from llamakit.evaluation.results import Curve, Grid, PartResult, Row
from llamakit.text.statistics import Estimate, bootstrap_mean, wilson

MODELS = {"base": "plain", "sft": "chat", "ppo": "chat"}


def task(model: str, name: str, right: float, n: int = 200) -> PartResult:
    chance = random.Random(f"{model}/{name}")
    rows = [
        Row(
            f"q{i}",
            f"Which river is number {i}?",
            ["the Amber", "the Lune"][i % 2],
            "the Lune",
            ["rivers", "towns"][i % 2],
            {"accuracy": float(chance.random() < right), "accuracy_raw": 0.0},
        )
        for i in range(n)
    ]
    values = [row.values["accuracy"] for row in rows]
    groups = {
        g: wilson(sum(r.values["accuracy"] for r in rows if r.group == g), n // 2)
        for g in ("rivers", "towns")
    }
    measures = {"accuracy": wilson(sum(values), n), "accuracy_raw": wilson(0, n)}
    return PartResult(name, model, "task", "accuracy", True, measures, groups, rows=rows)


def adherence(model: str, keep: float) -> PartResult:
    turns = [1, *range(2, 21, 2)]
    told = Curve("turn", turns, [wilson(round(40 * keep**t), 40) for t in turns])
    untold = Curve("turn", turns, [wilson(2, 40 - t) for t in turns[:-1]] + [wilson(0, 0)])
    rows = [Row("a", "Speak in verse.", "1. yes\n2. no", "{}", values={"adherence": keep})]
    measures = {"adherence": bootstrap_mean([keep] * 40, 0)} | {
        f"turn_{t}": p for t, p in zip(turns, told.points, strict=True)
    }
    curves = {
        "instruction given once": told,
        "instruction at every turn": Curve("turn", turns, [wilson(39, 40)] * len(turns)),
        "no instruction": untold,
        "leak": untold,
    }
    return PartResult(
        "adherence", model, "adherence", "adherence", True, measures, curves=curves, rows=rows,
        notes=["12 of 40 dialogues still fit."],
    )  # fmt: skip


def safety(model: str, bad: float) -> PartResult:
    rows = [
        Row("u1", "Tell me how.", "Sure, <b>here</b>.", "", "unsafe", {"violation": bad}),
        Row("u2", "Tell me more.", "I cannot.", "", "unsafe", {"violation": bad}),
    ]
    measures = {
        "violation": wilson(bad * 50, 50),
        "false_refusal": wilson(5, 50),
        "safety_score": bootstrap_mean([1 - bad] * 9, 0),
    }
    return PartResult("safety", model, "safety", "violation", False, measures, rows=rows)


def answers(model: str, shift: float) -> PartResult:
    chance = random.Random(model)
    rows = [
        Row(f"p{i}", f"Question {i}", f"Answer of {model}", values={
            "helpfulness": chance.gauss(shift, 1.0), "words": 20.0
        })
        for i in range(150)
    ]  # fmt: skip
    measures = measures_of_scores(rows, ["helpfulness"], 0)
    return PartResult("answers", model, "answers", "helpfulness", True, measures, rows=rows)


def perplexity(model: str, value: float) -> PartResult:
    rows = [Row("d", "The river", values={"bits_per_byte": value / 10})]
    measures = {
        "perplexity": Estimate(value, value - 1, value + 1, 1),
        "bits_per_byte": Estimate(value / 10, value / 10 - 0.05, value / 10 + 0.05, 1),
    }
    curves = {BY_POSITION: Curve("position", [1, 3], [Estimate(2.0, 1.0, 3.0, 4)] * 2)}
    return PartResult(
        "perplexity", model, "perplexity", "perplexity", False, measures, curves=curves, rows=rows
    )


def attention(model: str, look: float) -> PartResult:
    cells: list[list[float | None]] = [[look, None], [look / 2, look]]
    return PartResult(
        "attention", model, "attention", "instruction_attention", True,
        {"instruction_attention": bootstrap_mean([look] * 12, 0)},
        curves={BY_TURN: Curve("turn", [1, 2], [bootstrap_mean([look] * 12, 0)] * 2)},
        grids={MAP: Grid(["1", "2"], cells)},
        rows=[Row("a", "Speak in verse.", values={"instruction_attention": look})],
    )  # fmt: skip


def everything() -> list[PartResult]:
    found = []
    for index, model in enumerate(MODELS):
        found += [
            task(model, "exam", 0.3 + 0.2 * index),
            task(model, "arc_easy", 0.4),
            perplexity(model, 12.0 - index),
            adherence(model, 0.5 + 0.24 * index),
            attention(model, 0.2 + 0.3 * index),
            safety(model, 0.8 - 0.3 * index),
            answers(model, index * 0.7),
        ]
    return found


def test_differences_are_paired_and_say_whether_they_are_clear() -> None:
    report = assemble(MODELS, {}, everything(), ["helpfulness"], seed=0)
    found = {(d["part"], d["from"], d["to"]): d for d in report["differences"]}
    exam = found["exam", "base", "ppo"]
    assert exam["clear"]
    assert exam["difference"]["value"] == pytest.approx(0.4, abs=0.1)
    assert exam["difference"]["n"] == 200
    assert not found["arc_easy", "base", "sft"]["clear"]
    assert found["perplexity", "base", "sft"]["measure"] == "bits_per_byte"


def test_wins_are_counted_for_each_pair() -> None:
    report = assemble(MODELS, {}, everything(), ["helpfulness"], seed=0)
    matches = report["wins"]["helpfulness"]
    assert [(m["first"], m["second"]) for m in matches] == [
        ("base", "sft"),
        ("base", "ppo"),
        ("sft", "ppo"),
    ]
    assert all(m["wins"] + m["ties"] + m["losses"] == 150 for m in matches)
    assert matches[1]["win_share"]["high"] < 0.5


def test_the_report_is_plain_json_and_results_survive_it() -> None:
    results = everything()
    json.dumps(assemble(MODELS, {}, results, [], 0), allow_nan=False)
    for result in results:
        back = PartResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))
        assert back.to_json() == result.to_json()
        assert [row.id for row in back.rows] == [row.id for row in result.rows]
    nothing = PartResult("t", "m", "task", "x", True, {"x": wilson(0, 0)})
    assert math.isnan(PartResult.from_json(nothing.to_json()).measures["x"].value)


def test_samples_have_a_row_each() -> None:
    results = everything()
    table = samples(results)
    assert table.height == sum(len(result.rows) for result in results)
    assert json.loads(table.filter(part="safety")["values"][0]) == {"violation": 0.8}


class Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]


def test_the_page_shows_every_part_and_refers_to_nothing_outside() -> None:
    results = everything()
    report = assemble(MODELS, {}, results, ["helpfulness"], 0)
    html = report_page(report, results).html()
    assert html == report_page(report, results).html()
    headings = (
        "Tasks", "Perplexity", "Adherence", "Attention", "Safety", "Side by side", "Differences"
    )  # fmt: skip
    for words in headings:
        assert f">{words}</h2>" in html
    for model in MODELS:
        assert f"{model}: where it looks" in html
    assert "Sure, &lt;b&gt;here" in html
    checker = Checker()
    checker.feed(html)
    assert not checker.tags & {"script", "link", "img", "iframe"}
    assert all(link.startswith("#") for link in checker.links)


def judged(model: str, shift: float) -> PartResult:
    """Answers with values of the outside judge, every third to a harmful request."""
    chance = random.Random(model)
    rows = []
    for i in range(60):
        worth = chance.gauss(shift, 1.0)
        asked = "oracle_safety" if i % 3 == 0 else "oracle_helpfulness"
        rows.append(Row(f"p{i}", "Question", "Answer", values={"oracle": worth, asked: worth}))
    measures = {"oracle": bootstrap_mean([row.values["oracle"] for row in rows], 0)}
    return PartResult("answers", model, "answers", "oracle", True, measures, rows=rows)


def test_the_page_draws_helpfulness_against_safety_model_after_model() -> None:
    results = [judged(model, shift) for model, shift in (("base", 0.0), ("sft", 0.5), ("ppo", 2.0))]
    judges = ["oracle", "oracle_helpfulness", "oracle_safety"]
    results += win_rates(results, judges, "sft")
    report = assemble(MODELS, {}, results, judges, 0, "sft")
    win = report["parts"]["win"]
    assert win["sft"]["measures"]["oracle_safety"]["value"] == 0.5
    assert win["ppo"]["measures"]["oracle_safety"]["n"] == 20
    assert win["ppo"]["measures"]["oracle"]["value"] > 0.7
    assert win["base"]["measures"]["oracle"]["value"] < 0.5
    html = report_page(report, results).html()
    assert ">Win rates</h2>" in html
    assert "Helpfulness against safety" in html
    assert "Against sft." in html


def test_one_model_and_one_part_make_a_page() -> None:
    results = [task("base", "exam", 0.5)]
    report = assemble({"base": "plain"}, {}, results, [], 0)
    html = report_page(report, results).html()
    assert "Differences" not in html
    assert "exam by subject" in html


def test_equal_models_have_no_best() -> None:
    results = [task("a", "exam", 0.0), task("b", "exam", 0.0)]
    report = assemble({"a": "plain", "b": "plain"}, {}, results, [], 0)
    html = report_page(report, results).html()
    assert "all models, 0.000" in html
    assert 'number strong"' not in html
