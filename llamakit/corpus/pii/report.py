"""The page that tells what was found: kinds, sites with their bounds, masked samples."""

from __future__ import annotations

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page
from llamakit.corpus.pii.redaction import Redacted
from llamakit.corpus.pii.sites import SiteCount, SiteRule
from llamakit.corpus.pii.spans import KINDS

_SITES_SHOWN = 60
_SAMPLES_SHOWN = 6


def report(found: Redacted, rule: SiteRule, subtitle: str) -> str:
    """The page as HTML."""
    page = Page("Personal data", subtitle)
    page.figures(
        {
            "documents": found.documents,
            "finds": found.spans.total(),
            "sites seen": len(found.sites),
            "sites dropped": len(found.dropped),
            "documents dropped": found.reasons.total(),
        }
    )
    _kinds(page, found)
    _sites(page, found, rule)
    _samples(page, found)
    return page.html()


def _kinds(page: Page, found: Redacted) -> None:
    page.section("Kinds", "What was found, and in how many documents.")
    kinds = [kind for kind in KINDS if found.spans[kind]]
    if not kinds:
        page.text("Nothing was found.")
        return
    rows: list[list[str | int | float]] = [
        [kind, found.spans[kind], found.pages[kind], found.pages[kind] / max(found.documents, 1)]
        for kind in kinds
    ]
    page.table(["kind", "finds", "documents", "share of documents"], rows)
    counts = {"finds": [float(found.spans[kind]) for kind in kinds]}
    page.chart(chart.bars(kinds, counts, y_label="finds", title="Finds by kind"))


def _sites(page: Page, found: Redacted, rule: SiteRule) -> None:
    conditions = [
        f"{name} above {limit:g}"
        for name, limit in (
            ("finds per 1,000 characters", rule.max_density),
            ("share of pages with finds", rule.max_share),
        )
        if limit
    ]
    said = " or ".join(conditions) or "no threshold is set"
    page.section(
        "Sites",
        f"A site of at least {rule.min_pages} pages goes when the lower bound "
        f"({rule.confidence:.0%} sure) passes a threshold: {said}. Densest first.",
    )
    ranked = ranked_sites(found.sites, rule)[:_SITES_SHOWN]
    if not ranked:
        page.text("No document with personal data tells its site.")
        return
    rows = [
        [
            Cell(name, strong=name in found.dropped),
            site.pages,
            site.hits,
            site.spans,
            Cell(round(site.density, 2), f"≥ {site.density_low(rule.confidence):.2f}"),
            Cell(round(site.share, 3), f"≥ {site.share_low(rule.confidence):.3f}"),
            "dropped" if name in found.dropped else "kept",
        ]
        for name, site in ranked
    ]
    columns = ["site", "pages", "with finds", "finds", "per 1,000 characters", "share of pages", ""]
    with_finds = sum(site.spans > 0 for site in found.sites.values())
    page.table(columns, rows, f"{len(rows):,} of {with_finds:,} sites with finds.")


def _samples(page: Page, found: Redacted) -> None:
    page.section(
        "Samples",
        "The shape of some finds (x a letter, 9 a digit) between what stands around them.",
    )
    rows = [
        [kind, f"…{before}⟦{shape}⟧{after}…"]
        for kind in KINDS
        for before, shape, after in found.samples.get(kind, [])[:_SAMPLES_SHOWN]
    ]
    if rows:
        page.table(["kind", "find"], rows)


def ranked_sites(sites: dict[str, SiteCount], rule: SiteRule) -> list[tuple[str, SiteCount]]:
    """Sites with finds, by the lower bound of their density, then by name."""
    with_finds = [(name, site) for name, site in sites.items() if site.spans]
    return sorted(
        with_finds, key=lambda item: (-round(item[1].density_low(rule.confidence), 9), item[0])
    )
