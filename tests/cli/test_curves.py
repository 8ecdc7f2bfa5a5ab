"""Curves of dots."""

from __future__ import annotations

import math

import pytest

from llamakit.cli.curves import chart


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The dots of a drawn chart, as column and row from the upper left."""
    bits = {0x01: (0, 0), 0x02: (0, 1), 0x04: (0, 2), 0x40: (0, 3)}
    bits |= {0x08: (1, 0), 0x10: (1, 1), 0x20: (1, 2), 0x80: (1, 3)}
    return {
        (2 * column + across, 4 * row + down)
        for row, line in enumerate(lines)
        for column, cell in enumerate(line.partition("│")[2])
        for bit, (across, down) in bits.items()
        if "\u2800" < cell <= "\u28ff" and (ord(cell) - 0x2800) & bit
    }


def drawn(series: dict[str, tuple[list[float], list[float]]], width: int = 61) -> list[str]:
    return [line.plain for line in chart("loss", "step", series, width)]


def test_a_falling_line_goes_from_corner_to_corner() -> None:
    lines = drawn({"a": ([0, 1000], [3.0, 1.0])})
    assert lines[0].startswith("loss")
    assert "━━ a" in lines[0]
    assert [lines[row].split("│")[0].strip() for row in (1, 7, 12)] == ["3", "2", "1"]
    found = dots(lines[1:13])
    assert {(0, 0), (99, 47)} <= found
    assert {across for across, _ in found} == set(range(100))
    assert all(abs(down - across * 47 / 99) <= 1 for across, down in found)
    assert lines[14].split() == ["0", "1,000", "step"]


def test_the_second_is_dotted_and_shares_the_axes() -> None:
    lines = drawn({"a": ([0, 10], [1.0, 1.0]), "b": ([0, 10], [0.0, 0.0])})
    assert "┅┅ b" in lines[0]
    found = dots(lines[1:13])
    assert sum(down == 0 for _, down in found) == 100
    assert {across for across, down in found if down == 47} == {x for x in range(100) if x % 3}


@pytest.mark.parametrize(
    "series",
    [{}, {"a": ([], [])}, {"a": ([1], [math.nan])}],
)
def test_nothing_to_draw(series: dict[str, tuple[list[float], list[float]]]) -> None:
    assert drawn(series) == []


def test_one_point_a_level_line_and_a_narrow_terminal() -> None:
    assert len(dots(drawn({"a": ([5], [2.0])})[1:13])) == 1
    assert len(dots(drawn({"a": ([0, 1, 2], [2.0, math.inf, 2.0])})[1:13])) == 100
    assert max(map(len, drawn({"a": ([0, 1], [0.0, 1.0])}, width=40))) <= 40
