"""A training run's page: what its metrics log shows, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.files import atomic_file
from llamakit.artifacts.page import Page
from llamakit.training.metrics import METRICS_FILE, SAMPLES_FILE, read_metrics

Row = Mapping[str, Any]

# One chart each: title, the y-axis, and the columns drawn where a log has them.
_CHARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Loss", "loss (nats per target)", ("loss", "validation_loss")),
    ("Learning rate", "learning rate", ("lr",)),
    ("Gradient norm", "norm before clipping", ("grad_norm",)),
    ("Throughput", "tokens per second", ("tokens_per_s",)),
    ("", "share of the peak (MFU)", ("mfu",)),  # under the heading before
)
_DRAWN = {"step", "tokens", "wait_share", *(name for _, _, names in _CHARTS for name in names)}


# Sources drawn by name; the rest are drawn as one.
_SOURCES = 15
# Evaluations whose texts are shown; the log has all.
_EVALUATIONS = 12


def write_training_page(
    log: Path,
    title: str,
    figures: Mapping[str, str | int | float],
    *,
    sources: Mapping[str, int] | None = None,
    usage: Mapping[str, float | str | None] | None = None,
) -> Path:
    """Write `log/report.html` from `log/metrics.jsonl`, and `log/samples.jsonl` where it is.

    Args:
        figures: headline numbers shown at the top.
        sources: tokens read of each source.
        usage: what the run took (`meter.Meter.usage`).

    Returns:
        The page's path. Figures of an objective (an accuracy) get a chart each after the common
        ones.
    """
    rows = read_metrics(log / METRICS_FILE)
    page = Page(title).figures({**figures, **_headline(usage or {})})
    for heading, label, names in _CHARTS:
        _add(page, rows, heading, label, names)
    for name in sorted({name for row in rows for name in row} - _DRAWN):
        _add(page, rows, name.replace("_", " ").capitalize(), name, (name,))
    samples = log / SAMPLES_FILE
    if samples.exists():
        _add_samples(page, read_metrics(samples))
    if sources:
        _add_sources(page, sources)
    if usage:
        _add_usage(page, usage)
    path = log / "report.html"
    with atomic_file(path) as temporary:
        temporary.write_text(page.html(), encoding="utf-8")
    return path


def _headline(usage: Mapping[str, float | str | None]) -> dict[str, str | float]:
    """Time and utilisation, for the tiles."""
    found: dict[str, str | float] = {}
    if isinstance(seconds := usage.get("training_seconds"), float):
        found["time in steps"] = _duration(seconds)
    if isinstance(mfu := usage.get("mfu"), float):
        found["MFU"] = f"{mfu:.0%}"
    return found


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _add(page: Page, rows: Sequence[Row], heading: str, label: str, names: tuple[str, ...]) -> None:
    series = {}
    for name in names:
        known = [(row["step"], row[name]) for row in rows if name in row]
        if known:
            series[name.replace("_", " ")] = ([x for x, _ in known], [y for _, y in known])
    if series:
        if heading:
            page.section(heading)
        page.chart(chart.lines(series, x_label="step", y_label=label))


def _add_samples(page: Page, rows: Sequence[Row]) -> None:
    """A table a beginning: what the model made of it at each evaluation."""
    by_prompt: dict[str, list[Row]] = {}
    for row in rows:
        by_prompt.setdefault(row["prompt"], []).append(row)
    if not by_prompt:
        return
    page.section(
        "Samples",
        "Beginnings of held-out documents, continued at each evaluation: once by the likeliest"
        " tokens, once sampled at temperature 0.8 from the same seed.",
    )
    for prompt, told in by_prompt.items():
        page.table(
            ["step", "greedy", "sampled"],
            [[row["step"], row["greedy"], row["sampled"]] for row in _thinned(told)],
            caption=f"“{prompt}” … and the document goes on: “{told[-1]['truth'].strip()}”",
        )


def _thinned(rows: Sequence[Row]) -> list[Row]:
    """At most `_EVALUATIONS` of them, evenly spaced, the first and the last among them."""
    if len(rows) <= _EVALUATIONS:
        return list(rows)
    places = (index * (len(rows) - 1) / (_EVALUATIONS - 1) for index in range(_EVALUATIONS))
    return [rows[round(place)] for place in places]


def _add_sources(page: Page, sources: Mapping[str, int]) -> None:
    whole = sum(sources.values())
    shown = dict(list(sources.items())[:_SOURCES])
    if rest := whole - sum(shown.values()):
        shown[f"{len(sources) - _SOURCES:,} others"] = rest
    names = [name or "(no name)" for name in shown]
    shares = [tokens / whole for tokens in shown.values()]
    page.section("Data", "Tokens that the run read of each source, as documents were drawn.")
    page.chart(chart.bars(names, {"share": shares}, y_label="share of tokens read"))
    page.table(
        ["source", "tokens", "share, %"],
        [[n, t, 100 * s] for n, t, s in zip(names, shown.values(), shares, strict=True)],
    )


# Labels, and what a figure is multiplied with to be in the label's unit.
_USAGE: tuple[tuple[str, str, float], ...] = (
    ("device", "device", 1),
    ("devices", "devices", 1),
    ("peak_flops", "peak of one, TFLOP/s", 1e-12),
    ("peak_source", "peak as", 1),
    ("flops", "arithmetic, TFLOP", 1e-12),
    ("training_seconds", "time in steps, s", 1),
    ("device_hours", "device-hours", 1),
    ("mfu", "share of the peak (MFU)", 1),
    ("watts", "power of one, W", 1),
    ("kwh", "energy, kWh", 1),
    ("tco2eq", "tCO2eq", 1),
)


def _add_usage(page: Page, usage: Mapping[str, float | str | None]) -> None:
    known = [(label, usage.get(key), scale) for key, label, scale in _USAGE]
    page.section(
        "What it took",
        "Time is that of the steps alone. Energy is device-hours times a device's power times the"
        f" computing centre's PUE ({usage['pue']}), carbon {usage['carbon']} kg a kWh; neither is"
        " reckoned where the power is not known.",
    )
    page.table(
        ["", "value"],
        [
            [label, value * scale if isinstance(value, float) else value]
            for label, value, scale in known
            if value is not None
        ],
    )
