"""Why a document was removed, or what was removed in its favour."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llamakit.artifacts.frames import parts, read_table
from llamakit.corpus.duplicates.shingles import shingle, similarities
from llamakit.corpus.duplicates.texts import encode
from llamakit.errors import InputError

_COMPARED = 12
_WORDS = 5_000
_CONTEXT = 6


@dataclass(frozen=True)
class Explanation:
    """A cluster: the kept document first, then the removed ones with why they went. `matrix` has
    the similarities of the first members, `difference` the words in which two texts differ."""

    item: str
    members: list[dict[str, Any]]
    matrix: list[list[float]]
    difference: list[str]


def explain(folder: Path, item: str, ngram: int) -> Explanation:
    """The cluster of document `item` in a deduplicated version.

    Raises:
        InputError: the version never held such a document.
    """
    kept = _kept_in_place_of(folder, item)
    members = [*_rows(folder / "data", pl.col("id") == kept)]
    likely = pl.col("metadata").str.contains(json.dumps(kept, ensure_ascii=False), literal=True)
    for row in _rows(folder / "rejected", likely):
        why = json.loads(row["metadata"])
        if why.get("duplicate_of") == kept:
            names = ("similarity", "matched", "matched_similarity")
            members.append({**row, **{name: why[name] for name in names if name in why}})
    # The one asked for is among those compared, however large the cluster.
    members.sort(key=lambda row: (row["id"] != kept, row["id"] != item))
    sets = shingle(encode(pl.Series([m["text"] for m in members[:_COMPARED]])), ngram)
    count = min(len(members), _COMPARED)
    pairs = np.array([(a, b) for a in range(count) for b in range(count)])
    matrix = similarities(sets, sets, pairs).reshape(count, count).round(4).tolist()
    difference = [] if count < 2 else [*differences(members[0]["text"], members[1]["text"])]
    return Explanation(item, members, matrix, difference)


def differences(kept: str, removed: str) -> Iterator[str]:
    """The runs of words in which two texts differ, as [kept → removed] with some words around them.
    Of long texts the first words only."""
    ones, others = kept.split(), removed.split()
    for which, words in (("kept", ones), ("removed", others)):
        if len(words) > _WORDS:
            yield f"(the first {_WORDS:,} of {len(words):,} words of the {which} text)"
    ones, others = ones[:_WORDS], others[:_WORDS]
    matcher = SequenceMatcher(None, ones, others, autojunk=False)
    for act, a, b, c, d in matcher.get_opcodes():
        if act == "equal":
            continue
        before = " ".join(ones[max(0, a - _CONTEXT) : a])
        after = " ".join(ones[b : b + _CONTEXT])
        yield f"  … {before} [{' '.join(ones[a:b])} → {' '.join(others[c:d])}] {after} …"


def _kept_in_place_of(folder: Path, item: str) -> str:
    for row in _rows(folder / "rejected", pl.col("id") == item):
        return str(json.loads(row["metadata"])["duplicate_of"])
    for row in _rows(folder / "data", pl.col("id") == item):
        return str(row["id"])
    raise InputError(
        f"there is no document {item!r}",
        where=str(folder),
        fix="It is asked for by its id, as in `data/` or `rejected/`.",
    )


def _rows(folder: Path, chosen: pl.Expr) -> Iterator[dict[str, Any]]:
    for part in parts(folder):
        yield from read_table(part).filter(chosen).iter_rows(named=True)
