"""The profile of one corpus, from its shards' counts: shares, tables and distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llamakit.artifacts.mixture import DocumentShard
from llamakit.corpus.profiling.copies import Copies, count_copies
from llamakit.corpus.profiling.lengths import summary
from llamakit.corpus.profiling.scan import Counts, Scan, Settings, add, scan
from llamakit.corpus.profiling.terms import GENDER_SETS, PERSONS
from llamakit.corpus.profiling.toxicity import BINS
from llamakit.corpus.profiling.websites import densest, largest, load_sites
from llamakit.engine.shards import Engine, map_shards
from llamakit.errors import InputError
from llamakit.events import Events

MIN_PAGES = 5
"""Fewest searched documents of a site that is named for its personal data."""


@dataclass(frozen=True)
class Scanned:
    """A corpus whose shards are counted: their totals, and the shards with what they wrote."""

    totals: Counts
    shards: list[Scan]


def scan_corpus(
    name: str,
    documents: Sequence[DocumentShard],
    work: Path,
    settings: Settings,
    *,
    engine: Engine,
    events: Events,
) -> Scanned:
    """Count every shard.

    Raises:
        InputError: there are no documents.
    """
    shards = [Scan(shard, work / f"{i:05d}", settings) for i, shard in enumerate(documents)]
    results = map_shards(
        scan, shards, done=work / "done", engine=engine, events=events, label=f"counting {name}"
    )
    totals: Counts = {}
    for result in results:
        add(totals, result)
    if not totals.get("reads"):
        raise InputError("there are no documents to count", where=name)
    return Scanned(totals, shards)


def profile(scanned: Scanned, top: int, toxicity: Counts | None = None) -> dict[str, Any]:
    """Everything that is said of a corpus, as JSON values; shares are of 0-1.

    Args:
        top: sites to name.
        toxicity: the summed counts of `toxicity.score_documents`.
    """
    totals, shards = scanned.totals, scanned.shards
    reads = totals["reads"]
    sizes = [size for size in ("bytes", "characters", "words", "tokens") if size in totals]
    sites = load_sites([shard.sites for shard in shards])
    found: dict[str, Any] = {
        "documents": totals["documents"],
        "reads": reads,
        **{size: totals[size] for size in sizes},
        "english": {"reads": totals["english"], "share": totals["english"] / reads},
        "lengths": {
            size: {**summary(buckets, totals[size]), "buckets": buckets}
            for size, buckets in totals["lengths"].items()
        },
        "sources": _by_size(totals["sources"], "bytes", totals["bytes"]),
        "languages": _by_size(totals["languages"], "reads", reads),
        "pronouns": _pronouns(totals["pronouns"], totals["english"]),
        "identity": _identity(totals["identity"], totals["english"]),
        "copies": {
            "documents": _copies(count_copies([shard.texts for shard in shards])),
            "lines": _copies(count_copies([shard.lines for shard in shards])),
        },
        "pii": {**_pii(totals["pii"]), "sites": densest(sites, top, MIN_PAGES)},
        "sites": {
            "known": len(sites),
            "documents": int(sites["documents"].sum()),
            "top": largest(sites, top),
        },
    }
    if toxicity is not None:
        found["toxicity"] = _toxicity(toxicity)
    return found


def _by_size(rows: Counts, size: str, whole: int) -> dict[str, Any]:
    """The rows, largest first, each with its share of the whole."""
    ordered = sorted(rows.items(), key=lambda row: (-row[1][size], row[0]))
    found = {}
    for name, row in ordered:
        found[name] = {**row, "share": share(row[size], whole)}
        if "tokens" in row:
            found[name]["bytes_per_token"] = share(row["bytes"], row["tokens"])
    return found


def _pronouns(counts: Mapping[str, int], english: int) -> dict[str, Any]:
    """Two denominators: all English documents, and those with any pronoun of that kind."""

    def rows(names: Sequence[str], within: int) -> dict[str, Any]:
        return {
            name: {
                "reads": counts[name],
                "share": share(counts[name], english),
                "share_within": share(counts[name], within),
            }
            for name in names
        }

    return {
        "english": english,
        **{
            key: {"reads": counts[key], "share": share(counts[key], english)}
            for key in ("any_gender", "any_person")
        },
        "genders": rows(list(GENDER_SETS), counts["any_gender"]),
        "persons": rows(list(PERSONS), counts["any_person"]),
    }


def _identity(axes: Counts, english: int) -> dict[str, Any]:
    found = {}
    for axis, counts in axes.items():
        terms = sorted(counts["terms"].items(), key=lambda row: (-row[1], row[0]))
        found[axis] = {
            "reads": counts["any"],
            "share": share(counts["any"], english),
            "terms": {
                term: {"reads": n, "share_within": share(n, counts["any"])} for term, n in terms
            },
        }
    return found


def _copies(copies: Copies) -> dict[str, Any]:
    return {
        **asdict(copies),
        "share": share(copies.copies, copies.items),
        "character_share": share(copies.copied_characters, copies.characters),
    }


def _pii(counts: Counts) -> dict[str, Any]:
    return {
        **counts,
        "kinds": dict(sorted(counts["kinds"].items(), key=lambda row: (-row[1], row[0]))),
        "share": share(counts["hits"], counts["sampled"]),
        "density": share(1_000 * counts["spans"], counts["sampled_characters"]),
    }


def _toxicity(counts: Counts) -> dict[str, Any]:
    return {
        "sampled": counts["sampled"],
        "toxic": counts["toxic"],
        "share": share(counts["toxic"], counts["sampled"]),
        "mean": share(counts["sum"], 1_000_000 * counts["sampled"]),
        "lines": counts["lines"],
        "line_share": share(counts["toxic_lines"], counts["lines"]),
        "histogram": [counts["bins"].get(str(n), 0) for n in range(BINS)],
    }


def share(part: float, whole: float) -> float | None:
    """`part / whole`, None where there is no whole."""
    return part / whole if whole else None
