"""Documents of a shard judged by language, contamination and quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llamakit.artifacts.frames import (
    DOCUMENTS,
    REJECTED,
    Schema,
    part_name,
    read_table,
    write_table,
)
from llamakit.corpus.quality.judgement import Judgement
from llamakit.corpus.quality.language import tell_all
from llamakit.corpus.quality.phrases import WordList
from llamakit.corpus.quality.protection import Contaminated, Guard
from llamakit.corpus.quality.survey import Findings, Survey
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events

CONTAMINATED: Schema = {
    "id": pl.String(),
    "task": pl.String(),
    "item": pl.String(),
    "share": pl.Float64(),
}
"""Documents that hold an item of an evaluation, and the share of its tokens (0-1)."""


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
    thresholds: tuple[tuple[str, float], ...]
    """The rules that apply, in the order they are asked."""
    bad_words: tuple[str, ...]
    guard: Guard | None


def sieve(shard: Sieve) -> dict[str, Any]:
    """Write `language`; survivors go to `data/`, the others to `rejected/` with their reason."""
    frame = read_table(shard.part)
    texts: list[str] = frame["text"].to_list()
    findings = Findings(documents=len(frame))
    languages = _languages(frame, texts, shard.language, findings)
    allowed = shard.language.allowed
    reasons: list[str | None] = [
        "language" if allowed and code not in allowed else None for code in languages
    ]
    if shard.guard:
        _drop_contaminated(frame, shard.guard.find(texts), reasons, shard, findings)
    judgement = Judgement(frame["id"].to_list(), texts, languages, reasons, findings)
    words = WordList(shard.bad_words) if shard.bad_words else None
    judgement.judge(dict(shard.thresholds), words)

    labelled = frame.with_columns(
        pl.Series("language", languages, dtype=pl.String),
        pl.Series("reason", reasons, dtype=pl.String),
    )
    stays = pl.col("reason").is_null()
    edited = labelled.with_columns(pl.Series("text", judgement.texts, dtype=pl.String))
    kept = edited.filter(stays)
    write_table(shard.target / "data" / part_name(shard.index), kept, DOCUMENTS)
    if len(kept) < len(frame):
        dropped = labelled.filter(~stays)
        write_table(shard.target / "rejected" / part_name(shard.index), dropped, REJECTED)
    findings.kept = len(kept)
    findings.reasons = Counter(reason for reason in reasons if reason)
    findings.languages = Counter(kept["language"].to_list())
    findings.read = Counter(languages)
    return findings.to_json()


def _languages(
    frame: pl.DataFrame, texts: list[str], rule: LanguageRule, findings: Findings
) -> list[str]:
    """The languages given, and those identified where none is or where `relabel` asks for it."""
    given = frame["language"].to_list()
    languages: list[str] = ["" if rule.relabel else code or "" for code in given]
    missing = [place for place, code in enumerate(languages) if not code]
    asked = [texts[place] for place in missing]
    told, sure = tell_all(asked, rule.min_confidence)
    for place, code in zip(missing, told, strict=True):
        languages[place] = code
    values = np.array(sure)
    survey = findings.surveys["language"] = Survey(rule.min_confidence)
    ids = frame["id"].to_list()
    survey.see(values, values < rule.min_confidence, [ids[place] for place in missing], asked)
    return languages


def _drop_contaminated(
    frame: pl.DataFrame,
    contaminated: Sequence[Contaminated],
    reasons: list[str | None],
    shard: Sieve,
    findings: Findings,
) -> None:
    """Give those that no one has dropped yet their reason, and write which items they hold."""
    rows = []
    for found in contaminated:
        if reasons[found.document] is None:
            reasons[found.document] = "contaminated"
            findings.contaminated[found.task] += 1
            row = (frame["id"][found.document], found.task, found.item, found.share)
            rows.append(dict(zip(CONTAMINATED, row, strict=True)))
    if rows:
        table = pl.DataFrame(rows, schema=dict(CONTAMINATED))
        write_table(shard.target / "contaminated" / part_name(shard.index), table, CONTAMINATED)


def filter_documents(
    parts: Sequence[Path],
    target: Path,
    work: Path,
    *,
    language: LanguageRule,
    thresholds: Mapping[str, float],
    bad_words: Sequence[str] = (),
    guard: Guard | None = None,
    engine: Engine,
    events: Events,
) -> Findings:
    """Write `data/` and `rejected/` below `target`, documents in their order."""
    rules = tuple(thresholds.items())
    shards = [
        Sieve(part, target, index, language, rules, tuple(bad_words), guard)
        for index, part in enumerate(parts)
    ]
    findings = Findings()
    for result in map_shards(
        sieve, shards, done=work / "filtered", engine=engine, events=events, label="filtering"
    ):
        findings.add(result)
    return findings
