"""Arms over runs: means, Student's intervals, paired differences, and the page."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llamakit.errors import InputError, UsageError
from llamakit.evaluation.study import compared, models_of, numbers, runs_table
from llamakit.evaluation.study_charts import Axis, chosen, drawings
from llamakit.evaluation.study_page import markdown, study_page
from llamakit.stages.study import Study
from llamakit.text.statistics import mean_of_runs

ARMS = ["mha", "gqa"]
SIZES = {"mha": {"parameters": 1200}, "gqa": {"parameters": 1200}}


def _report(seed: int, **accuracies: float) -> dict[str, Any]:
    def estimate(value: float | None) -> dict[str, Any]:
        return {"value": value, "low": value, "high": value, "n": 10}

    def result(value: float) -> dict[str, Any]:
        return {
            "main": "accuracy",
            "measures": {"accuracy": estimate(value)},
            "groups": {"8": estimate(value / 2), "16": estimate(value / 4)},
            "breakdowns": {"by dress": {"plain": estimate(value), "": estimate(value)}},
            "curves": {"c, given": {"x_label": "x", "xs": [1, 3], "points": [estimate(value)] * 2}},
        }

    models = {f"{arm}-{seed}": value for arm, value in accuracies.items()}
    return {
        "models": list(models),
        "parts": {"exam": {name: result(value) for name, value in models.items()}},
    }


REPORTS = [_report(0, mha=0.5, gqa=0.6), _report(1, mha=0.7, gqa=0.8), _report(2, mha=0.3, gqa=0.4)]


@pytest.mark.parametrize(
    ("n", "t"), [(2, 12.7062), (3, 4.3027), (4, 3.1824), (10, 2.2622), (31, 2.0423)]
)
def test_students_interval(n: int, t: float) -> None:
    values = [float(i) for i in range(n)]
    spread = math.sqrt(sum((v - (n - 1) / 2) ** 2 for v in values) / (n - 1))
    found = mean_of_runs(values)
    assert found.value == pytest.approx((n - 1) / 2)
    assert found.high - found.value == pytest.approx(t * spread / math.sqrt(n), rel=1e-4)


def test_one_run_has_no_interval() -> None:
    found = mean_of_runs([0.5])
    assert found.value == 0.5
    assert math.isnan(found.low)


def test_differences_are_paired_by_run() -> None:
    first = compared(numbers(REPORTS, ARMS), ARMS)[0]
    assert (first.part, first.measure) == ("exam", "accuracy")
    assert first.arms["gqa"].value == pytest.approx(0.6)
    # The runs differ widely, the arms by .1 in each.
    assert first.arms["gqa"].low < 0.2
    assert first.differences["gqa"].value == pytest.approx(0.1)
    assert first.clear("gqa")
    assert set(first.differences) == {"gqa"}


def test_groups_and_curves_are_compared_too() -> None:
    found = {(one.kind, one.measure, one.x) for one in compared(numbers(REPORTS, ARMS), ARMS)}
    assert found == {
        ("main", "accuracy", None),
        ("group", "8", None),
        ("group", "16", None),
        ("breakdown", "by dress: plain", None),
        ("breakdown", "by dress: (none)", None),
        ("curve", "c, given", 1),
        ("curve", "c, given", 3),
    }


def test_what_one_run_lacks_is_left_out() -> None:
    lame = _report(3, mha=0.5, gqa=0.5)
    del lame["parts"]["exam"]["gqa-3"]["groups"]["16"]
    found = {one.measure for one in compared(numbers([*REPORTS, lame], ARMS), ARMS)}
    assert found == {"accuracy", "8", "by dress: plain", "by dress: (none)", "c, given"}


def test_an_arm_is_one_model() -> None:
    assert models_of({"models": ["a:v1", "a2-0"]}, ["a", "a2"]) == {"a": "a:v1", "a2": "a2-0"}
    with pytest.raises(InputError, match="report 1 has 2 models of the arm 'mha'"):
        numbers([{"models": ["mha-0", "mha-1"], "parts": {}}], ["mha"])
    with pytest.raises(InputError, match="has 0 models of the arm 'mqa'"):
        numbers(REPORTS, ["mqa"])


def test_page_table_and_runs() -> None:
    found = numbers(REPORTS, ARMS)
    results = compared(found, ARMS)
    drawn = drawings(ARMS, results)
    assert [one.name for one in drawn] == ["exam", "exam-by-group", "exam-c-given"]
    page = study_page("Heads", ARMS, 3, SIZES, results, drawn).html()
    assert page.count("<svg") == 3
    assert "exam · accuracy" in page
    table = markdown(ARMS, SIZES, results)
    assert "| parameters | 1,200 | 1,200 |" in table
    assert "| exam · accuracy | 0.500 (0.003–0.997) | **0.600 (0.103–1.097)** |" in table
    assert len(runs_table(found)) == 3 * 2 * 7


def test_win_rates_are_drawn_as_helpfulness_against_safety() -> None:
    def report(ends: tuple[float, float]) -> dict[str, Any]:
        def result(value: float) -> dict[str, Any]:
            measures = {
                name: {"value": value, "low": value, "high": value, "n": 10}
                for name in ("oracle", "oracle_helpfulness", "oracle_safety")
            }
            return {"main": "oracle", "measures": measures, "groups": {}, "curves": {}}

        own = {name: result(value) for name, value in zip(("sft", "v1"), ends, strict=True)}
        return {"models": ["sft", "v1"], "parts": {"win": own}}

    arms = ["sft", "v1"]
    results = compared(numbers([report((0.5, 0.6)), report((0.5, 0.8))], arms), arms)
    drawn = {drawing.name: drawing for drawing in drawings(arms, results)}
    assert "helpfulness: win share" in drawn["win-evolution"].svg
    assert "v1" in drawn["win-evolution"].svg
    only = [one for one in results if one.measure != "oracle_safety"]
    assert "win-evolution" not in {drawing.name for drawing in drawings(arms, only)}


def test_arms_along_an_axis_and_measures_drawn_together() -> None:
    results = compared(numbers(REPORTS, ARMS), ARMS)
    axis = Axis("key-value heads", ["8", "2"])
    together = chosen(ARMS, results, ["exam.accuracy + exam.accuracy", "exam.accuracy"], axis)
    assert [(one.part, one.name, one.caption) for one in together] == [
        ("", "chart-1", "exam.accuracy"),
        ("", "chart-2", "exam.accuracy"),
    ]
    drawn = [*together, *drawings(ARMS, results, axis)]
    main = next(one for one in drawn if one.name == "exam")
    bars = next(one for one in drawings(ARMS, results) if one.name == "exam")
    for svg in (together[0].svg, main.svg):
        assert "key-value heads" in svg
        assert "key-value heads" not in bars.svg
    page = study_page("Heads", ARMS, 3, SIZES, results, drawn).html()
    assert page.count("<svg") == 5
    with pytest.raises(InputError, match=r"no measure 'exam\.speed'") as error:
        chosen(ARMS, results, ["exam.speed"])
    assert "exam.accuracy" in str(error.value.fix)


def test_an_axis_needs_an_amount_for_each_arm() -> None:
    for wrong in ({"axis": "share"}, {"at": ["1", "2"]}, {"axis": "share", "at": ["1"]}):
        with pytest.raises(UsageError, match="at has"):
            Study(reports=("report",), arms=ARMS, **wrong)  # type: ignore[arg-type]
