"""Bars that fit the terminal they are drawn on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from llamakit.cli.console import _Bars

FIGURES = "loss 2.345  lr 3.00e-04  grad 0.9374  tok/s 12.6k  MFU 47%"


def drawn(width: int, **tasks: str) -> list[str]:
    """What stands on a terminal of that width, by line."""
    console = Console(width=width, force_terminal=True, file=io.StringIO(), color_system=None)
    bars = _Bars(console)
    for label, figures in tasks.items():
        bars.add_task(label, total=500_000, completed=123_456, unit="steps", figures=figures)
    with console.capture() as caught:
        for part in bars.get_renderables():
            console.print(part)
    return [line.rstrip() for line in caught.get().splitlines()]


@pytest.mark.parametrize("width", [70, 80, 129])
def test_figures_stand_below_the_bar_of_a_narrow_terminal(width: int) -> None:
    bar, below = drawn(width, training=FIGURES)
    assert "123456/500000" in bar
    assert "…" not in bar
    assert below.strip() == FIGURES


def test_a_wide_terminal_has_one_line() -> None:
    (line,) = drawn(140, training=FIGURES)
    assert "123456/500000" in line
    assert line.endswith(FIGURES)


def test_of_several_bars_the_figures_are_named() -> None:
    lines = drawn(80, base=FIGURES, other="loss 1.0", third="")
    assert lines[3:] == [f"  base: {FIGURES}", "  other: loss 1.0"]
