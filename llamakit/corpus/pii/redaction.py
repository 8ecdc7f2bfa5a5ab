"""Personal data removed from shards of documents: scan, weigh the sites, write.

scan each shard    spans to spans/, counts by site
weigh              the sites that hold too much
write each shard   redacted documents to data/, dropped ones to rejected/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    Schema,
    part_name,
    read_table,
    write_table,
)
from llamakit.corpus.pii.detection import KINDS, SUSPICIOUS, Span, find_pii, redact
from llamakit.corpus.pii.sites import SiteCount, SiteRule, site_of, total
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

SPANS: Schema = {"id": pl.String(), "start": pl.Int64(), "end": pl.Int64(), "kind": pl.String()}
"""Where personal data stood: character offsets in the text as it came in. The data itself is not
kept."""


@dataclass(frozen=True)
class Redacted:
    """What was found: spans by kind, dropped documents by reason, dropped sites."""

    documents: int
    kept: int
    spans: Counter[str]
    reasons: Counter[str]
    sites: dict[str, SiteCount]


@dataclass(frozen=True)
class Scan:
    """Find the personal data of part `index`."""

    part: Path
    target: Path
    index: int
    kinds: tuple[str, ...]
    regions: tuple[str, ...]

    @property
    def spans(self) -> Path:
        """Where the spans are written."""
        return self.target / "spans" / part_name(self.index)


def scan(shard: Scan) -> dict[str, Any]:
    """Write the shard's spans; returns its counts by kind and by site."""
    frame = read_table(shard.part, ["id", "text", "url"])
    suspicious = frame["text"].str.contains(SUSPICIOUS).to_list()
    rows: list[tuple[str, int, int, str]] = []
    sites: dict[str, SiteCount] = {}
    kinds: Counter[str] = Counter()
    for (name, text, url), worth in zip(frame.iter_rows(), suspicious, strict=True):
        spans = find_pii(text, shard.kinds, shard.regions) if worth else []
        rows += [(name, *span) for span in spans]
        kinds.update(span.kind for span in spans)
        site = site_of(url)
        if site is not None:
            page = SiteCount(1, len(text), len(spans), bool(spans))
            sites.setdefault(site, SiteCount()).add(page)
    write_table(shard.spans, pl.DataFrame(rows, schema=dict(SPANS), orient="row"), SPANS)
    return {"kinds": kinds, "sites": {name: site.to_json() for name, site in sites.items()}}


@dataclass(frozen=True)
class Rewrite:
    """Write part `index` of `target` without the personal data that `scan` found."""

    scan: Scan
    dropped_sites: frozenset[str]
    action: Literal["replace", "drop"]


def rewrite(shard: Rewrite) -> dict[str, Any]:
    """Documents of dropped sites go, as do those with personal data when the action is drop."""
    frame = read_table(shard.scan.part)
    spans: dict[str, list[Span]] = {}
    for name, start, end, kind in read_table(shard.scan.spans).iter_rows():
        spans.setdefault(name, []).append(Span(start, end, kind))
    texts: list[str] = []
    reasons: list[str | None] = []
    for name, text, url in frame.select("id", "text", "url").iter_rows():
        found = spans.get(name, [])
        reason = None
        if site_of(url) in shard.dropped_sites:
            reason = "site_full_of_pii"
        elif found and shard.action == "drop":
            reason = f"holds_{found[0].kind}"
        reasons.append(reason)
        texts.append(redact(text, found) if found else text)
    # Rejected documents are redacted too: nothing downstream of this stage holds what it found.
    frame = frame.with_columns(
        pl.Series("text", texts, dtype=pl.String), pl.Series("reason", reasons, dtype=pl.String)
    )
    kept = frame.filter(pl.col("reason").is_null())
    dropped = frame.filter(pl.col("reason").is_not_null())
    write_table(shard.scan.target / "data" / part_name(shard.scan.index), kept, DOCUMENTS)
    if len(dropped):
        path = shard.scan.target / "rejected" / part_name(shard.scan.index)
        write_table(path, dropped, REJECTED)
    return {"kept": len(kept), "reasons": Counter(reason for reason in reasons if reason)}


def remove_pii(
    parts: Sequence[Path],
    target: Path,
    work: Path,
    *,
    kinds: Sequence[str],
    regions: Sequence[str],
    action: Literal["replace", "drop"],
    rule: SiteRule,
    engine: Engine,
    events: Events,
) -> Redacted:
    """Write `data/`, `rejected/` and `spans/` below `target`."""
    wanted = tuple(kind for kind in KINDS if kind in kinds)
    scans = [Scan(part, target, i, wanted, tuple(regions)) for i, part in enumerate(parts)]
    found = map_shards(
        scan, scans, done=work / "scanned", engine=engine, events=events, label="scanning"
    )
    sites = total(shard["sites"] for shard in found)
    dropped = {name: site for name, site in sites.items() if rule.drops(site)}
    rewrites = [Rewrite(item, frozenset(dropped), action) for item in scans]
    written = map_shards(
        rewrite, rewrites, done=work / "written", engine=engine, events=events, label="writing"
    )
    spans: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for shard in found:
        spans.update(shard["kinds"])
    for shard in written:
        reasons.update(shard["reasons"])
    kept = sum(shard["kept"] for shard in written)
    return Redacted(kept + reasons.total(), kept, spans, reasons, dropped)
