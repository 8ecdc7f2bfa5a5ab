"""The audit's page: faults with examples, lengths, languages, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page, Value
from llamakit.corpus.auditing.audit import Audit, last_exchange
from llamakit.corpus.auditing.faults import KINDS
from llamakit.corpus.profiling.lengths import QUANTILES, density
from llamakit.corpus.profiling.tables import per_cent, plain

_EXAMPLES, _SHOWN_CHARACTERS = 3, 320
_LANGUAGES, _SOURCES, _BINS_A_DECADE = 12, 30, 6
_HEADINGS = {
    "error": ("Errors", "They keep a dialogue out of training: sft leaves it out and counts it."),
    "doubt": ("Doubts", "Likely mistakes. Read the examples; more are in samples.parquet."),
    "remark": ("Remarks", "No mistakes by themselves; a large share is worth knowing."),
}
Row = list[Value | Cell]


def audit_page(title: str, found: Audit, report: Mapping[str, Any]) -> Page:
    """Build the page from an audit and its numbers (`audit.report`)."""
    page = Page("Audit of dialogues", title)
    total = report["dialogues"]
    page.figures(
        {
            "dialogues": total,
            "messages": report["messages"],
            "without error or doubt": Cell(f"{report['clean'] / total:.1%}"),
            "with an error": report["with"]["error"],
            "with a doubt": report["with"]["doubt"],
            "refuse": Cell(f"{report['faults']['refusal']['share']:.1%}"),
        }
    )
    page.text(
        "Rules find what can be counted. The paper's own finding is that fewer and better dialogues"
        " beat many mixed ones (§3.1): read a sample before training on any."
    )
    for weight, (heading, text) in _HEADINGS.items():
        page.section(heading, text)
        rows: list[Row] = [
            [plain(name), one["dialogues"], per_cent(one["share"]), one["meaning"]]
            for name, one in report["faults"].items()
            if one["weight"] == weight
        ]
        page.table(["", "dialogues", "% of them", "what it is"], rows)
        page.samples(list(_examples(found, weight)))
    _lengths(page, report["lengths"])
    _languages(page, report["languages"])
    _sources(page, report["sources"])
    return page


def _examples(found: Audit, weight: str) -> list[tuple[str, dict[str, str]]]:
    shown: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for row, own in zip(found.rows, found.faults, strict=True):
        for name, first in own:
            held = shown.setdefault(name, [])
            if KINDS[name].weight != weight or len(held) == _EXAMPLES:
                continue
            asked, answered = last_exchange(row["messages"])
            texts = {"request": _short(asked), "answer": _short(answered)}
            if first is not None:
                earlier = last_exchange(found.rows[first]["messages"])
                texts[f"{found.rows[first]['id']} says"] = _short(earlier[1])
            held.append((f"{plain(name)} · {row['source']} · {row['id']}", texts))
    return [example for name in KINDS for example in shown.get(name, [])]


def _short(text: str) -> str:
    """The beginning and, since answers are cut off there, the end."""
    text = " ".join(text.split())
    if len(text) <= _SHOWN_CHARACTERS:
        return text or "(nothing)"
    half = _SHOWN_CHARACTERS // 2
    return f"{text[:half].rstrip()} … {text[-half:].lstrip()}"


def _lengths(page: Page, lengths: Mapping[str, Mapping[str, Any]]) -> None:
    page.section("Lengths", "Quantiles are to three digits.")
    words = {
        name.removeprefix("words of ").capitalize(): one
        for name, one in lengths.items()
        if name.startswith("words of ") and one["n"]
    }
    found = [int(v) for one in words.values() for v in one["buckets"] if v != "0"]
    if found:
        low, high = (int(np.log10(v) * _BINS_A_DECADE) for v in (min(found), max(found)))
        # One empty bin at either end, so that the lines come down.
        edges = 10 ** (np.arange(low - 1, high + 3) / _BINS_A_DECADE)
        middles = np.sqrt(edges[1:] * edges[:-1]).tolist()
        series = {
            name: (middles, [100 * share for share in density(one["buckets"], edges.tolist())])
            for name, one in words.items()
        }
        page.chart(chart.lines(series, x_label="words", y_label="% of its kind", log_x=True))
    rows: list[Row] = [
        [name, one["n"], one["mean"], *(one["quantiles"][str(q)] for q in QUANTILES)]
        for name, one in lengths.items()
    ]
    page.table(["", "n", "mean", *(f"{q:.0%}" for q in QUANTILES)], rows)


def _languages(page: Page, languages: Mapping[str, int]) -> None:
    page.section(
        "Languages", "Of a dialogue's answers together; unknown where there is no telling."
    )
    total = max(1, sum(languages.values()))
    some = list(languages.items())[:_LANGUAGES]
    rows: list[Row] = [[name, count, per_cent(count / total)] for name, count in some]
    page.table(["language", "dialogues", "% of them"], rows)
    if len(languages) > len(some):
        page.text(f"{len(languages) - len(some)} more languages are in report.json.")


def _sources(page: Page, sources: Mapping[str, Mapping[str, int]]) -> None:
    page.section("Sources")
    some = sorted(sources, key=lambda name: (-sources[name]["dialogues"], name))[:_SOURCES]
    weights = ("error", "doubt", "remark")
    page.table(
        ["source", "dialogues", *(f"% with a {weight}" for weight in weights), "% refuse"],
        [_source(name, sources[name], [*(f"with_{w}" for w in weights), "refusal"])
         for name in some],
    )  # fmt: skip
    kinds = [name for name in KINDS if any(name in own for own in sources.values())]
    if len(some) > 1 and kinds:
        values: Sequence[Sequence[float | None]] = [
            [100 * sources[source].get(name, 0) / sources[source]["dialogues"] for name in kinds]
            for source in some
        ]
        grid = chart.heatmap(values, some, [plain(name) for name in kinds], number=".1f",
                             title="% of each source's dialogues")  # fmt: skip
        page.chart(grid, "% of each source's dialogues with a fault")


def _source(name: str, own: Mapping[str, int], keys: Sequence[str]) -> Row:
    shares = [per_cent(own.get(key, 0) / own["dialogues"]) for key in keys]
    return [name, own["dialogues"], *shares]
