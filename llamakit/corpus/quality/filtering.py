"""Documents of a shard judged by language and quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    part_name,
    read_table,
    write_table,
)
from llamakit.corpus.quality.heuristics import Thresholds, judge
from llamakit.corpus.quality.language import identify_all
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events


@dataclass(frozen=True)
class LanguageRule:
    """`allowed`: codes that stay, all when empty. `relabel` identifies the language of every
    document, else only of those that come without one."""

    allowed: frozenset[str]
    min_confidence: float
    relabel: bool


@dataclass(frozen=True)
class Sieve:
    """Filter `part` into part `index` of `target`."""

    part: Path
    target: Path
    index: int
    language: LanguageRule
    limits: Thresholds


@dataclass(frozen=True)
class Filtered:
    """What stayed, what went by reason, and the languages of what stayed."""

    kept: int
    reasons: Counter[str]
    languages: Counter[str]


def sieve(shard: Sieve) -> dict[str, Any]:
    """Write `language`; survivors go to `data/`, the others to `rejected/` with their reason."""
    frame = read_table(shard.part)
    languages: list[str] = []
    reasons: list[str | None] = []
    rule = shard.language
    texts = frame["text"].to_list()
    for text, known in zip(texts, _languages(texts, frame["language"], rule), strict=True):
        languages.append(known)
        if rule.allowed and known not in rule.allowed:
            reasons.append("language")
        else:
            reasons.append(judge(text, known, shard.limits))
    frame = frame.with_columns(
        pl.Series("language", languages, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
    )
    kept = frame.filter(pl.col("reason").is_null())
    dropped = frame.filter(pl.col("reason").is_not_null())
    write_table(shard.target / "data" / part_name(shard.index), kept, DOCUMENTS)
    if len(dropped):
        write_table(shard.target / "rejected" / part_name(shard.index), dropped, REJECTED)
    return {
        "kept": len(kept),
        "reasons": Counter(reason for reason in reasons if reason),
        "languages": Counter(kept["language"].to_list()),
    }


def _languages(texts: list[str], given: pl.Series, rule: LanguageRule) -> list[str]:
    """The languages given, and those identified where none is or where `relabel` asks for it."""
    languages: list[str] = ["" if rule.relabel else code or "" for code in given.to_list()]
    missing = [place for place, code in enumerate(languages) if not code]
    told = identify_all([texts[place] for place in missing], rule.min_confidence)
    for place, code in zip(missing, told, strict=True):
        languages[place] = code
    return languages


def filter_documents(
    parts: Sequence[Path],
    target: Path,
    work: Path,
    *,
    language: LanguageRule,
    limits: Thresholds,
    engine: Engine,
    events: Events,
) -> Filtered:
    """Write `data/` and `rejected/` below `target`, documents in their order."""
    shards = [Sieve(part, target, i, language, limits) for i, part in enumerate(parts)]
    results = map_shards(
        sieve, shards, done=work / "filtered", engine=engine, events=events, label="filtering"
    )
    reasons: Counter[str] = Counter()
    languages: Counter[str] = Counter()
    for result in results:
        reasons.update(result["reasons"])
        languages.update(result["languages"])
    return Filtered(sum(result["kept"] for result in results), reasons, languages)
