"""Personal data removed from shards of documents: scan, weigh the sites, write.

scan each shard    spans to spans/, counts by site, masked samples
weigh              the sites that hold too much
write each shard   redacted documents to data/, dropped ones to rejected/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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
from llamakit.corpus.pii.detection import find_all
from llamakit.corpus.pii.pseudonyms import Style, masked, writer
from llamakit.corpus.pii.sites import SiteCount, SiteRule, site_of, total
from llamakit.corpus.pii.spans import KINDS, Span, placeholder, replaced
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

SPANS: Schema = {"id": pl.String(), "start": pl.Int64(), "end": pl.Int64(), "kind": pl.String()}
"""Where personal data stood: character offsets in the text as it came in. The data itself is not
kept."""

_SAMPLES_A_SHARD = 6
_AROUND = 40


@dataclass(frozen=True)
class Redacted:
    """What was found: spans by kind, dropped documents by reason, all sites and the dropped."""

    documents: int
    kept: int
    spans: Counter[str]
    pages: Counter[str]
    """Documents with at least one find, by kind."""
    reasons: Counter[str]
    sites: dict[str, SiteCount]
    dropped: dict[str, SiteCount]
    samples: dict[str, list[tuple[str, str, str]]]
    """By kind: what stood before, the find's shape, what stood after."""


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
    """Write the shard's spans; returns its counts by kind and by site, and samples."""
    frame = read_table(shard.part, ["id", "text", "url"])
    texts = frame["text"]
    found = find_all(texts, shard.kinds, shard.regions)
    names = frame["id"]
    rows = [(names[row], *span) for row, spans in found.items() for span in spans]
    write_table(shard.spans, pl.DataFrame(rows, schema=dict(SPANS), orient="row"), SPANS)
    sites: dict[str, SiteCount] = {}
    for row, (url, size) in enumerate(zip(frame["url"], texts.str.len_chars(), strict=True)):
        site = site_of(url)
        if site is not None:
            page = SiteCount.page(size, len(found.get(row, ())))
            sites.setdefault(site, SiteCount()).add(page)
    samples: dict[str, list[tuple[str, str, str]]] = {}
    for row, spans in found.items():
        if any(len(samples.get(span.kind, ())) < _SAMPLES_A_SHARD for span in spans):
            _sample(texts[row], spans, samples)
    return {
        "kinds": Counter(span.kind for spans in found.values() for span in spans),
        "pages": Counter(kind for spans in found.values() for kind in {s.kind for s in spans}),
        "sites": {name: site.to_json() for name, site in sites.items()},
        "samples": samples,
    }


def _sample(
    text: str, spans: Sequence[Span], samples: dict[str, list[tuple[str, str, str]]]
) -> None:
    """Add one masked find of each kind, between what stands around it in the redacted text."""
    for index, span in enumerate(spans):
        kept = samples.setdefault(span.kind, [])
        if len(kept) >= _SAMPLES_A_SHARD or span.kind in (other.kind for other in spans[:index]):
            continue
        low = max([span.start - _AROUND, 0, *(s.end for s in spans[:index][-1:])])
        after = [other.start for other in spans[index + 1 : index + 2]]
        high = min([span.end + _AROUND, len(text), *after])
        kept.append(
            (text[low : span.start], masked(text[span.start : span.end]), text[span.end : high])
        )


@dataclass(frozen=True)
class Rewrite:
    """Write part `index` of `target` without the personal data that `scan` found."""

    scan: Scan
    dropped_sites: frozenset[str]
    action: Literal["replace", "drop"]
    style: Style
    key: bytes = field(repr=False)


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
        if shard.dropped_sites and site_of(url) in shard.dropped_sites:
            reason = "site_full_of_pii"
        elif found and shard.action == "drop":
            reason = f"holds_{found[0].kind}"
        reasons.append(reason)
        put = writer(shard.style, shard.key, name, text) if found else placeholder
        texts.append(replaced(text, found, put) if found else text)
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
    style: Style,
    key: bytes,
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
    rewrites = [Rewrite(item, frozenset(dropped), action, style, key) for item in scans]
    written = map_shards(
        rewrite, rewrites, done=work / "written", engine=engine, events=events, label="writing"
    )
    spans: Counter[str] = Counter()
    pages: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    samples: dict[str, list[tuple[str, str, str]]] = {}
    for shard in found:
        spans.update(shard["kinds"])
        pages.update(shard["pages"])
        for kind, shapes in shard["samples"].items():
            samples.setdefault(kind, []).extend((a, b, c) for a, b, c in shapes)
    for shard in written:
        reasons.update(shard["reasons"])
    kept = sum(shard["kept"] for shard in written)
    return Redacted(kept + reasons.total(), kept, spans, pages, reasons, sites, dropped, samples)
