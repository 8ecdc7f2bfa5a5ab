"""The page's part on contents: sources, lengths, toxicity, personal data and sites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.corpus.profiling import paper
from llamakit.corpus.profiling.lengths import density
from llamakit.corpus.profiling.tables import PAPER, Profiles, Row, beside, drawn, per_cent, plain
from llamakit.corpus.profiling.toxicity import BINS

_SOURCES = 20
_BINS_A_DECADE = 6
_SITES = 12


def add_sources(page: Page, profiles: Profiles) -> None:
    """Sizes by source, and how many bytes a token of the vocabulary covers there."""
    tokens = all("tokens" in profile for profile in profiles.values())
    page.section(
        "Sources",
        "Documents as often as they are read, and their share of the bytes."
        + (" More bytes a token: the vocabulary fits the source better." if tokens else ""),
    )
    names = _union(profiles, "sources", "bytes")
    some = names[:_SOURCES]
    if len(some) > 1:
        series = {
            corpus: [drawn(_of(profile, "sources", name, "share")) for name in some[:12]]
            for corpus, profile in profiles.items()
        }
        page.chart(chart.bars(some[:12], series, y_label="% of bytes"))
    rows: list[Row] = []
    for corpus, profile in profiles.items():
        for name in some:
            row = profile["sources"].get(name)
            if row is None:
                continue
            label = name if len(profiles) == 1 else f"{name} · {corpus}"
            sizes = [row["reads"], row["bytes"] / 1e6, per_cent(row["share"])]
            sizes += [row["words"] / 1e6]
            sizes += [row["tokens"] / 1e6, row["bytes_per_token"]] if tokens else []
            rows.append([label, *sizes])
    rows.sort(key=lambda row: some.index(str(row[0]).split(" · ")[0]))
    head = ["source", "documents", "MB", "% of bytes", "M words"]
    page.table([*head, *(["M tokens", "bytes a token"] if tokens else [])], rows)
    if len(names) > len(some):
        page.text(f"{len(names) - len(some)} smaller sources are in report.json.")


def add_lengths(page: Page, profiles: Profiles) -> None:
    """The distribution of document lengths, over bins of equal width in logarithm."""
    page.section(
        "Lengths",
        "Of a document, in characters, words (between blanks) and tokens. Quantiles are to three"
        " digits.",
    )
    sizes = [s for s in ("characters", "words", "tokens") if _all_have(profiles, s)]
    unit = sizes[0]
    found = [int(v) for p in profiles.values() for v in p["lengths"][unit]["buckets"] if v != "0"]
    low, high = (int(np.log10(v) * _BINS_A_DECADE) for v in (min(found), max(found)))
    # One empty bin at either end, so that the lines come down.
    edges = 10 ** (np.arange(low - 1, high + 3) / _BINS_A_DECADE)
    middles = np.sqrt(edges[1:] * edges[:-1]).tolist()
    series = {
        name: (middles, [100 * s for s in density(p["lengths"][unit]["buckets"], edges.tolist())])
        for name, p in profiles.items()
    }
    page.chart(
        chart.lines(series, x_label=f"{unit} a document", y_label="% of documents", log_x=True)
    )
    rows: list[Row] = []
    for name, profile in profiles.items():
        for size in sizes:
            found = profile["lengths"][size]
            label = size if len(profiles) == 1 else f"{size} · {name}"
            rows.append([label, found["mean"], *found["quantiles"].values()])
    quantiles = next(iter(profiles.values()))["lengths"][unit]["quantiles"]
    head = [f"{100 * float(q):g}%" for q in quantiles]
    page.table(["length", "mean", *("median" if h == "50%" else h for h in head)], rows)


def add_toxicity(page: Page, profiles: Profiles, settings: Mapping[str, Any]) -> None:
    """Scores of the sampled documents: histogram and share above the threshold."""
    page.section(
        "Toxicity",
        f"Every line scored by {settings['toxicity']}, a document their mean, on"
        f" {settings['toxicity_sample']:.0%} of the documents; toxic from"
        f" {settings['toxicity_threshold']:g}. The paper used another classifier: its figure tells"
        " where to look, not what to expect. It left toxic text in on purpose.",
    )
    found = {name: profile["toxicity"] for name, profile in profiles.items()}
    middles = [(n + 0.5) / BINS for n in range(BINS)]
    series = {
        name: (middles, [100 * n / max(sum(one["histogram"]), 1) for n in one["histogram"]])
        for name, one in found.items()
    }
    page.chart(chart.lines(series, x_label="score", y_label="% of documents"))
    rows: list[Row] = [
        ["documents scored", *(one["sampled"] for one in found.values()), None],
        beside("documents, % toxic", [one["share"] for one in found.values()], paper.TOXIC),
        beside("lines, % toxic", [one["line_share"] for one in found.values()]),
        ["mean score", *(one["mean"] for one in found.values()), None],
    ]
    page.table(["", *profiles, PAPER], rows)


def add_sites(page: Page, profiles: Profiles, settings: Mapping[str, Any]) -> None:
    """Personal data by kind and by site, and the largest sites."""
    page.section(
        "Personal data",
        f"Found in {settings['pii_sample']:.0%} of the documents as llamakit pii finds it,"
        " and the sites where it stands densest (of those with five searched documents).",
    )
    columns = [profile["pii"] for profile in profiles.values()]
    kinds = sorted({kind for one in columns for kind in one["kinds"]})
    rows: list[Row] = [
        ["documents searched", *(one["sampled"] for one in columns)],
        beside("% with any", [one["share"] for one in columns], last=False),
        ["finds in 1,000 characters", *(one["density"] for one in columns)],
        *([plain(kind), *(one["kinds"].get(kind, 0) for one in columns)] for kind in kinds),
    ]
    page.table(["", *profiles], rows)
    for name, profile in profiles.items():
        rows = [
            [site["site"], site["sampled"], site["hits"], site["spans"], site["density"]]
            for site in profile["pii"]["sites"][:_SITES]
        ]
        if rows:
            head = ["site", "searched", "with any", "finds", "in 1,000 characters"]
            page.table(head, rows, caption=f"{name}: sites by density of personal data")
    page.section("Sites", "Hosts of the documents' addresses, without www.")
    for name, profile in profiles.items():
        sites = profile["sites"]
        if not sites["known"]:
            page.text(f"{name}: no document has an address.")
            continue
        reads = profile["reads"]
        rows = [
            [site["site"], n := site["documents"], per_cent(n / reads), site["characters"]]
            for site in sites["top"][:_SITES]
        ]
        caption = (
            f"{name}: {sites['known']:,} sites, {sites['documents']:,} of {reads:,} documents have"
            " an address"
        )
        page.table(["site", "documents", "% of documents", "characters"], rows, caption=caption)


def _union(profiles: Profiles, table: str, size: str) -> list[str]:
    """The keys of a table in all corpora, largest first."""
    sums: dict[str, int] = {}
    for profile in profiles.values():
        for name, row in profile[table].items():
            sums[name] = sums.get(name, 0) + row[size]
    return sorted(sums, key=lambda name: (-sums[name], name))


def _of(profile: Mapping[str, Any], table: str, name: str, key: str) -> float | None:
    row = profile[table].get(name)
    return row[key] if row else None


def _all_have(profiles: Profiles, size: str) -> bool:
    return all(size in profile["lengths"] for profile in profiles.values())
