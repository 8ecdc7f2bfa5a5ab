"""The evaluation page's sections on instructions given once: what is obeyed, what is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.evaluation.adherence import CURVES, LEAK
from llamakit.evaluation.attention_map import BY_TURN, MAP
from llamakit.evaluation.report_cells import (
    Cells,
    Own,
    add_curve,
    add_groups,
    cell_of,
    cells_of,
    title_of,
)


def add_adherence(page: Page, name: str, own: Own, models: Sequence[str]) -> None:
    """Adherence by turn: told once, told at every turn, never told; and by split."""
    page.section(
        title_of(name),
        "Share of answers that obey an instruction given before the first message only, by turn."
        " The same dialogues with it before every message show whether a model can obey at all;"
        " without it, how often the check holds by itself. The leak is the share of answers that"
        " obey any of the instructions though none was given.",
    )
    curves = next(iter(own.values())).curves
    for curve in curves:
        add_curve(page, own, models, curve, "turn", "obeys", y_limits=(-0.02, 1.02))
    for curve in [name for name in curves if name not in (CURVES["never"], LEAK)]:
        rows: list[Cells] = []
        for index, turn in enumerate(curves[curve].xs):
            points = [own[model].curves[curve].points[index] for model in models]
            cells = [cell_of(point, counted=True) for point in points]
            rows.append([turn, *cells])
        page.table(["turn", *models], rows, f"{curve.capitalize()}; n dialogues reached the turn")
    add_groups(page, "Adherence from the second turn on, by split", own, models)
    measures = [m for m in next(iter(own.values())).measures if not m.startswith("turn_")]
    means: list[Cells] = [
        [m.replace("_", " "), *cells_of(own, m, models, marked=m == "adherence")] for m in measures
    ]
    page.table(["mean over turns", *models], means)


def add_attention(page: Page, name: str, own: Own, models: Sequence[str]) -> None:
    """Attention to the instruction by turn, and each model's map of the same dialogue."""
    page.section(
        title_of(name),
        "All models read the same dialogues, which begin with an instruction. A place's attention"
        " to another is the largest of all layers and heads. The number is the mean, over the"
        " places that predict an answer's tokens, of the largest attention to a token of the"
        " instruction.",
    )
    add_curve(page, own, models, BY_TURN, "turn", "attention")
    page.table(
        ["", *models],
        [["mean from the second turn on", *cells_of(own, "instruction_attention", models)]],
    )
    for model in models:
        grid = own[model].grids.get(MAP)
        if grid is not None:
            svg = chart.heatmap(
                grid.values,
                grid.labels,
                grid.labels,
                x_label="read, by turn",
                y_label="written, by turn",
                limits=(0, 1),
            )
            page.chart(svg, f"{model}: where it looks. The instruction is near the left edge")
