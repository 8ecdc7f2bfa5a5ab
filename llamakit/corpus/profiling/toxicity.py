"""Toxicity of documents as the paper measures it: every line scored, a document their mean.

What scores a line is given: a classifier (`llamakit.evaluation.toxicity`), or a list of phrases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.mixture import REPEATS, DocumentShard, read_shard
from llamakit.corpus.profiling import sampling
from llamakit.corpus.profiling.excerpts import picked, save_excerpts
from llamakit.corpus.profiling.words import as_patterns, contains_any, spelled
from llamakit.errors import InputError

Scorer = Callable[[Sequence[str]], Sequence[float]]
"""Lines to scores of 0-1."""

BINS = 20
"""Of the histogram of scores, over 0-1."""

_MILLION = 1_000_000


@dataclass(frozen=True)
class Scoring:
    """Score the sampled ones of `documents`; the worst are written to `excerpts`."""

    documents: DocumentShard
    excerpts: Path
    share: float
    """Share of the documents that is scored (0-1)."""
    threshold: float
    """Score from which a document or line counts as toxic."""
    seed: int


def phrase_scorer(path: Path) -> Scorer:
    """A line scores 1 when it holds a phrase of the file, else 0.

    The file has one phrase a line; lines that begin with # say something of the list. Whole words
    are compared, in any letter case.

    Raises:
        InputError: the file is no text, or holds no phrase.
    """
    try:
        rows = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no list of phrases can be read ({error})", where=str(path)) from None
    phrases = [row for row in rows if row.strip() and not row.startswith("#")]
    if not as_patterns(phrases):
        raise InputError(
            "the list holds no phrase", where=str(path), fix="Write one word or phrase a line."
        )

    def score(lines: Sequence[str]) -> list[float]:
        spelt = spelled(pl.Series(list(lines), dtype=pl.String))
        return contains_any(spelt, phrases).cast(pl.Float64).to_list()

    return score


def score_documents(shard: Scoring, scorer: Scorer) -> dict[str, Any]:
    """Counts of the shard, whole numbers that add up: `sum` is in millionths.

    Documents without a line that holds anything are left out.
    """
    frame = read_shard(shard.documents, ["id", "text", "source", "language"], gaps=True)
    ids = frame["id"].fill_null("")
    drawn = sampling.draws(ids.to_list(), sampling.TOXICITY, shard.seed) < shard.share
    frame = frame.with_columns(ids, pl.col("text").fill_null("")).filter(pl.Series(drawn))
    frame = frame.with_columns(pl.col("text").str.len_chars().cast(pl.Int64).alias("characters"))
    lines = [_lines(text) for text in frame["text"].to_list()]
    frame = frame.filter(pl.Series([bool(some) for some in lines], dtype=pl.Boolean))
    lines = [some for some in lines if some]
    # A line that stands a hundred times is scored once.
    distinct = list(dict.fromkeys(line for some in lines for line in some))
    known = dict(zip(distinct, scorer(distinct), strict=True)) if distinct else {}
    times = frame[REPEATS].cast(pl.Int64).to_numpy()
    means = [sum(known[line] for line in some) / len(some) for some in lines]
    # Rounded once, so that sums and bins are whole numbers and agree with each other.
    scores = np.array([round(mean * _MILLION) for mean in means], np.int64)
    bins = np.minimum(scores * BINS // _MILLION, BINS - 1)
    toxic = scores >= round(shard.threshold * _MILLION)
    toxic_lines = [sum(known[line] >= shard.threshold for line in some) for some in lines]
    ranks = pl.Series(-scores / _MILLION)
    everyone = pl.Series(np.ones(len(frame), bool))
    save_excerpts(shard.excerpts, picked(frame, {"toxic": (everyone, ranks)}))
    return {
        "sampled": int(times.sum()),
        "toxic": int(times[toxic].sum()),
        "sum": int((scores * times).sum()),
        "lines": int((_array([len(some) for some in lines]) * times).sum()),
        "toxic_lines": int((_array(toxic_lines) * times).sum()),
        "bins": {str(n): int(times[bins == n].sum()) for n in np.unique(bins).tolist()},
    }


def _lines(text: str) -> list[str]:
    return [line for each in text.split("\n") if (line := each.strip())]


def _array(values: Sequence[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)
