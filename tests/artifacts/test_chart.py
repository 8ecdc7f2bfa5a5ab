"""Charts are small, repeatable SVG that takes its colours from the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from llamakit.artifacts import chart


def lines() -> str:
    xs = list(range(10))
    return chart.lines(
        {"sft": (xs, [x / 10 for x in xs]), "ppo": (xs, [0.5] * 10)},
        x_label="turn",
        y_label="adherence",
        bands={"sft": ([x / 10 - 0.1 for x in xs], [x / 10 + 0.1 for x in xs])},
        y_limits=(0, 1),
    )


def bars() -> str:
    return chart.bars(
        ["exam", "sums"],
        {"base": [0.2, 0.3], "ppo": [0.5, 0.4]},
        y_label="accuracy",
        intervals={"base": [(0.1, 0.3), (0.2, 0.4)]},
    )


def histogram() -> str:
    return chart.histogram({"a": [0.1, 0.2, 0.2, 0.9], "b": [0.4]}, x_label="score", bins=10)


def heatmap() -> str:
    return chart.heatmap(
        [[None, 0.25], [0.75, None]], ["base", "ppo"], ["base", "ppo"], x_label="against"
    )


def trail() -> str:
    return chart.trail(
        {"oracle": ([0.5, 0.6], [0.5, 0.8]), "reward models": ([0.5, 0.7], [0.5, 0.9])},
        ["sft", "v1"],
        x_label="helpfulness",
        y_label="safety",
        spans={"oracle": ([(0.5, 0.5), (0.55, 0.66)], [(0.5, 0.5), (0.7, 0.9)])},
    )


ALL = [lines, bars, histogram, heatmap, trail]


@pytest.mark.parametrize("draw", ALL)
def test_a_chart_is_repeatable_small_and_well_formed(draw: Callable[[], str]) -> None:
    svg = draw()
    assert svg == draw()
    assert len(svg) < 40_000
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root[0].tag.endswith("title")
    assert root[0].text


@pytest.mark.parametrize("draw", ALL)
def test_text_and_lines_follow_the_page(draw: Callable[[], str]) -> None:
    svg = draw()
    assert "currentColor" in svg
    assert "var(--series-1," in svg
    assert not re.search(r"#0[0-9]0[0-9]0[0-9]\b", svg)
    for style in re.findall(r'<text style="([^"]*)"', svg):
        assert "fill:" in style


@pytest.mark.parametrize("draw", ALL)
def test_references_stay_inside_and_resolve(draw: Callable[[], str]) -> None:
    svg = draw()
    known = set(re.findall(r'\bid="([^"]+)"', svg))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    assert {first or second for first, second in used} <= known
    assert set(re.findall(r"https?://[^\s\"]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_labels_and_legend_are_there() -> None:
    svg = lines()
    for word in ("turn", "adherence", "sft", "ppo"):
        assert f">{word}</text>" in svg


def test_one_series_needs_no_legend() -> None:
    svg = chart.lines({"loss": ([0, 1], [2.0, 1.0])}, x_label="step", y_label="nats")
    assert ">loss</text>" not in svg


def test_names_with_markup_stay_text() -> None:
    svg = chart.bars(["a_$1$ <b>"], {"_x": [1.0], "y & z": [2.0]}, y_label="n")
    ElementTree.fromstring(svg)
    assert "a_$1$ &lt;b&gt;" in svg
    assert "y &amp; z" in svg


def test_empty_data_draw_an_empty_chart() -> None:
    for svg in (
        chart.lines({}, x_label="x", y_label="y"),
        chart.histogram({"a": []}, x_label="x"),
        chart.heatmap([], [], []),
        chart.bars([], {}, y_label="y"),
    ):
        ElementTree.fromstring(svg)


def test_gaps_stay_gaps() -> None:
    svg = chart.lines({"a": ([0, 1, 2], [1.0, float("nan"), 2.0])}, x_label="x", y_label="y")
    assert "nan" not in svg.lower()
