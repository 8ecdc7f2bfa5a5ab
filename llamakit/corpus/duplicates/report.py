"""The report of a deduplication: what went, how alike it was, and samples to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from llamakit.artifacts.page import Page
from llamakit.corpus.duplicates.deduplication import Deduplicated, lost_sources
from llamakit.corpus.duplicates.verdicts import names_of

_SAMPLES = 8
_CHAINS = 100
_EXCERPT = 700


def report(found: Deduplicated, parts: Sequence[Path], similarity: float) -> str:
    """One HTML page."""
    removed = len(found.verdicts)
    exact = int(found.verdicts["exact"].sum())
    page = Page(
        "Deduplication", f"{found.documents:,} documents, duplicates from {similarity:g} up"
    )
    page.figures(
        {
            "documents kept": found.documents - removed,
            "removed, exact": exact,
            "removed, near": removed - exact,
            "clusters": len(found.sizes),
            "largest cluster": int(found.sizes.max(initial=1)),
        }
    )
    _sources(page, found)
    if removed:
        _clusters(page, found)
        _similarities(page, found, similarity)
        _chains(page, found, parts, similarity)
        _samples(page, found, parts)
    return page.html()


def _sources(page: Page, found: Deduplicated) -> None:
    lost = {source for source, _, _ in lost_sources(found.sources)}
    page.section("Sources", "A source that loses most of its documents is more often an error.")
    rows = sorted(found.sources.items(), key=lambda item: (-item[1][1], item[0]))
    page.table(
        ["source", "kept", "removed", "share removed", ""],
        [
            [source, kept, gone, gone / max(kept + gone, 1), "loses most" if source in lost else ""]
            for source, (kept, gone) in rows[:50]
        ],
        caption=f"The first 50 of {len(rows):,}." if len(rows) > 50 else "",
    )


def _clusters(page: Page, found: Deduplicated) -> None:
    page.section("Clusters", "Documents joined by pairs at or above the threshold.")
    limits = [2, 3, 4, 5, 6, 8, 11, 21, 51, 101, 1001, 2**62]
    labels, counts = [], []
    for low, high in pairwise(limits):
        name = str(low) if high == low + 1 else f"{low:,}-{high - 1:,}"
        labels.append(name if high < 2**62 else f"{low:,} and more")
        counts.append(int(np.sum((found.sizes >= low) & (found.sizes < high))))
    last = max(index for index, count in enumerate(counts) if count) + 1
    page.chart(columns(labels[:last], counts[:last], "clusters by size"))


def _similarities(page: Page, found: Deduplicated, similarity: float) -> None:
    page.section(
        "Similarities",
        "True Jaccard similarities of all candidate pairs that the bands brought up; those left of "
        f"{similarity:g} were compared and kept apart. Exact copies are not among them.",
    )
    counts, _ = np.histogram(found.similarities, np.linspace(0, 1, 21))
    labels = [f".{n * 5:02d}" for n in range(20)]
    page.chart(columns(labels, counts.tolist(), "candidate pairs by similarity, from"))


def _chains(page: Page, found: Deduplicated, parts: Sequence[Path], similarity: float) -> None:
    chained = found.verdicts.filter(pl.col("match").is_not_null()).sort("similarity")
    page.section(
        "Chains",
        f"{len(chained):,} documents are less alike than {similarity:g} to the one kept in their "
        "place: a third document joins them.",
    )
    if not len(chained):
        return
    shown = chained.head(_CHAINS)
    names = _named(shown, parts, found.begins)
    page.table(
        ["removed", "kept", "similarity", "joined by", "similarity to it"],
        [
            [
                names[row["document"]],
                names[row["survivor"]],
                row["similarity"],
                names[row["match"]],
                row["match_similarity"],
            ]
            for row in shown.iter_rows(named=True)
        ],
        caption=f"The {_CHAINS} least alike; the others stand in rejected/ with theirs."
        if len(chained) > _CHAINS
        else "",
    )


def _samples(page: Page, found: Deduplicated, parts: Sequence[Path]) -> None:
    near = found.verdicts.filter(~pl.col("exact")).sort("similarity", "document")
    if not len(near):
        return
    page.section("Samples", "Near duplicates from the least to the most alike.")
    places = np.unique(np.linspace(0, len(near) - 1, _SAMPLES).astype(int))
    shown = near[places]
    names = _named(shown, parts, found.begins)
    numbers = np.unique(pl.concat([shown["document"], shown["survivor"]]).to_numpy())
    texts = dict(zip(numbers.tolist(), names_of(numbers, parts, found.begins, "text"), strict=True))
    page.samples(
        [
            (
                f"{row['similarity']:.3f}",
                {
                    f"kept: {names[row['survivor']]}": _excerpt(texts[row["survivor"]]),
                    f"removed: {names[row['document']]}": _excerpt(texts[row["document"]]),
                },
            )
            for row in shown.iter_rows(named=True)
        ]
    )


def _named(rows: pl.DataFrame, parts: Sequence[Path], begins: Sequence[int]) -> dict[int, str]:
    listed = [rows["document"], rows["survivor"], rows["match"].drop_nulls()]
    numbers = np.unique(pl.concat(listed).to_numpy())
    return dict(zip(numbers.tolist(), names_of(numbers, parts, begins).to_list(), strict=True))


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]} …"


def columns(labels: Sequence[str], values: Sequence[int], title: str) -> str:
    """A bar chart as SVG, drawn by hand: a run takes a second, and to import matplotlib another."""
    width, height, base = 680, 190, 150
    step = (width - 20) / len(values)
    top = max(*values, 1)
    pieces = [f'<svg role="img" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">']
    pieces.append(f"<title>{escape(title)}</title>")
    style = "font: 10px system-ui, sans-serif; fill: currentColor"
    for index, (label, value) in enumerate(zip(labels, values, strict=True)):
        left = 10 + index * step
        middle = left + step / 2
        bar = max(round((base - 25) * value / top, 1), 1.0 if value else 0.0)
        pieces.append(
            f'<rect x="{left + step * 0.1:.1f}" y="{base - bar:.1f}" width="{step * 0.8:.1f}" '
            f'height="{bar:.1f}" fill="var(--series-1, #2f6fdb)"/>'
        )
        place = f'x="{middle:.1f}" text-anchor="middle" style="{style}"'
        pieces.append(f'<text {place} y="{base + 14}">{escape(label)}</text>')
        if value:
            pieces.append(f'<text {place} y="{base - bar - 4:.1f}">{value:,}</text>')
    name = f'x="{width / 2:.0f}" y="{height - 8}" text-anchor="middle" style="{style}"'
    pieces.append(f"<text {name}>{escape(title)}</text></svg>")
    return "".join(pieces)
