"""Everything that is counted in one shard of documents, a few megabytes of text at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.frames import group, join, unique
from llamakit.artifacts.mixture import REPEATS, DocumentShard, read_shard
from llamakit.corpus.pii.detection import find_all
from llamakit.corpus.pii.spans import STRUCTURED_KINDS
from llamakit.corpus.profiling import sampling
from llamakit.corpus.profiling.copies import document_keys, line_keys, save_keys
from llamakit.corpus.profiling.excerpts import picked, save_excerpts
from llamakit.corpus.profiling.lengths import buckets
from llamakit.corpus.profiling.terms import GENDER_SETS, PERSONS
from llamakit.corpus.profiling.websites import save_sites, site_table
from llamakit.corpus.profiling.words import contains_any, found_on, spelled
from llamakit.corpus.quality.language import identify_all
from llamakit.text.encoder import Encoder
from llamakit.text.tokens import token_dtype
from llamakit.text.vocabulary import Vocabulary

_ENGLISH = r"(?i)^(en|eng|english)([-_].*)?$"
"""Languages that are English, as data sets write it."""
NOWHERE = "(none)"
"""What a document without a source is counted under."""

Counts = dict[str, Any]

_BYTES_AT_ONCE = 2**25
_COLUMNS = ["id", "text", "source", "url", "language"]
_SIZES = ("characters", "words", "tokens")


@dataclass(frozen=True)
class Settings:
    """What to count with; small and picklable."""

    terms: Mapping[str, tuple[str, ...]]
    """Identity terms by axis."""
    vocabulary: Path | None
    """A SentencePiece model to count tokens with."""
    min_confidence: float
    """Probability below which an identified language is unknown (0-1)."""
    pii_share: float
    """Share of the documents searched for personal data (0-1)."""
    regions: tuple[str, ...]
    """Countries whose telephone numbers are read without their +."""
    seed: int


@dataclass(frozen=True)
class Scan:
    """Count `documents`; what does not add up as numbers is written below `folder`."""

    documents: DocumentShard
    folder: Path
    settings: Settings

    @property
    def texts(self) -> Path:
        """Keys of the documents (`copies.KEYS`)."""
        return self.folder / "texts.npy"

    @property
    def lines(self) -> Path:
        """Keys of the lines."""
        return self.folder / "lines.npy"

    @property
    def sites(self) -> Path:
        """Counts by site (`websites.SITES`)."""
        return self.folder / "sites.parquet"

    @property
    def excerpts(self) -> Path:
        """Candidates for the excerpts (`excerpts.EXCERPTS`)."""
        return self.folder / "excerpts.parquet"


def scan(shard: Scan) -> Counts:
    """The shard's counts; a document that is read n times counts n times, but for copies."""
    texts, lines, sites, excerpts = [], [], [], []
    found: Counts = {}
    for piece in _pieces(read_shard(shard.documents, _COLUMNS, gaps=True)):
        frame = _measured(piece, shard.settings)
        pii, by_document = _personal_data(frame, shard.settings)
        add(found, _sizes(frame))
        add(found, {"languages": _sums(frame, "language", ["bytes"])})
        english = frame.filter(pl.col("language").str.contains(_ENGLISH))
        words, axes = _words(english, shard.settings)
        add(found, {**words, "pii": pii, "english": int(english[REPEATS].sum())})
        texts.append(document_keys(frame["text"].to_list()))
        lines.append(line_keys(frame["text"].to_list()))
        sites.append(site_table(frame["url"].to_list(), by_document))
        excerpts += _excerpts(frame, english, axes, shard.settings)
    save_keys(shard.texts, texts)
    save_keys(shard.lines, lines)
    save_sites(shard.sites, sites)
    save_excerpts(shard.excerpts, excerpts)
    return found


def add(total: Counts, more: Mapping[str, Any]) -> None:
    """Add counts to `total`, key by key, however deep they lie."""
    for key, value in more.items():
        if isinstance(value, Mapping):
            add(total.setdefault(key, {}), value)
        else:
            total[key] = total.get(key, 0) + value


def _pieces(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The rows in runs of about `_BYTES_AT_ONCE` of text, nulls replaced."""
    frame = frame.with_columns(
        pl.col("id", "text").fill_null(""), pl.col("source").fill_null(NOWHERE)
    )
    ends = np.cumsum(frame["text"].str.len_bytes().to_numpy(), dtype=np.int64)
    start = 0
    while start < len(frame):
        limit = (ends[start - 1] if start else 0) + _BYTES_AT_ONCE
        stop = max(int(np.searchsorted(ends, limit, side="right")), start + 1)
        yield frame[start:stop]
        start = stop


def _measured(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """With sizes and a language: the given one, else the identified."""
    text = pl.col("text")
    frame = frame.with_columns(
        pl.col(REPEATS).cast(pl.Int64),
        text.str.len_bytes().cast(pl.Int64).alias("bytes"),
        text.str.len_chars().cast(pl.Int64).alias("characters"),
        text.str.count_matches(r"\S+").cast(pl.Int64).alias("words"),
        pl.Series("language", _languages(frame, settings), dtype=pl.String),
    )
    if settings.vocabulary is None:
        return frame
    encoder, width = _encoder(settings.vocabulary)
    # Beginning and end of sequence are no tokens of the text.
    tokens = [len(ids) // width - 2 for ids in encoder.encode(frame["text"])]
    return frame.with_columns(pl.Series("tokens", tokens, dtype=pl.Int64))


@lru_cache(maxsize=1)
def _encoder(vocabulary: Path) -> tuple[Encoder, int]:
    """Kept from shard to shard with the words it has met; also the bytes of an id."""
    pieces = Vocabulary.load(vocabulary)
    return Encoder(pieces), token_dtype(pieces.size).itemsize


def _languages(frame: pl.DataFrame, settings: Settings) -> list[str]:
    languages: list[str | None] = frame["language"].to_list()
    missing = [row for row, given in enumerate(languages) if not given]
    texts = frame["text"].gather(missing).to_list()
    found = dict(zip(missing, identify_all(texts, settings.min_confidence), strict=True))
    return [given or found[row] for row, given in enumerate(languages)]


def _sizes(frame: pl.DataFrame) -> Counts:
    """Totals, by source as well, and the distribution of lengths."""
    repeats = frame[REPEATS].to_numpy()
    sizes = [size for size in _SIZES if size in frame.columns]
    found: Counts = {"documents": len(frame), "reads": int(repeats.sum())}
    for size in ("bytes", *sizes):
        found[size] = int((frame[size].to_numpy() * repeats).sum())
    found["lengths"] = {size: buckets(frame[size].to_numpy(), repeats) for size in sizes}
    found["sources"] = _sums(frame, "source", ["bytes", *sizes])
    return found


def _sums(frame: pl.DataFrame, key: str, sizes: Sequence[str]) -> Counts:
    """By key: rows, reads, and sizes as they are read."""
    times = pl.col(REPEATS)
    sums = [
        pl.len().alias("documents"),
        times.sum().alias("reads"),
        *((pl.col(size) * times).sum().alias(size) for size in sizes),
    ]
    return {row.pop(key): row for row in group(frame, key, sums).iter_rows(named=True)}


def _words(english: pl.DataFrame, settings: Settings) -> tuple[Counts, dict[str, pl.Series]]:
    """Pronouns and identity terms of the English documents; also which documents are on an axis."""
    times = english[REPEATS]
    spelt = spelled(english["text"])
    sets = {name: contains_any(spelt, words) for name, words in {**GENDER_SETS, **PERSONS}.items()}
    sets["any_gender"] = sets["she"] | sets["he"] | sets["they"]
    sets["any_person"] = sets["first"] | sets["second"] | sets["third"]
    pronouns = {name: int(times.filter(members).sum()) for name, members in sets.items()}
    found = found_on(spelt, settings.terms)
    rows = times.alias("times").to_frame().with_row_index("row")
    found = join(found, rows, "row")
    axes: dict[str, pl.Series] = {}
    identity: Counts = {}
    for axis in settings.terms:
        mine = found.filter(pl.col("list") == axis)
        on_axis = unique(mine, "row")
        by_term = group(mine, "term", [pl.col("times").sum()])
        identity[axis] = {"any": int(on_axis["times"].sum()), "terms": dict(by_term.iter_rows())}
        axes[axis] = rows["row"].is_in(on_axis["row"].implode())
    return {"pronouns": pronouns, "identity": identity}, axes


def _personal_data(frame: pl.DataFrame, settings: Settings) -> tuple[Counts, pl.DataFrame]:
    """What the sampled documents hold, in all and a row a document for its site."""
    drawn = sampling.draws(frame["id"].to_list(), sampling.PII, settings.seed) < settings.pii_share
    rows = np.flatnonzero(drawn)
    found = find_all(frame["text"].gather(rows), STRUCTURED_KINDS, settings.regions)
    spans = np.zeros(len(frame), np.int64)
    kinds: Counter[str] = Counter()
    for index, finds in found.items():
        row = int(rows[index])
        spans[row] = len(finds)
        for find in finds:
            kinds[find.kind] += int(frame[REPEATS][row])
    times, characters = frame[REPEATS].to_numpy(), frame["characters"].to_numpy()
    by_document = pl.DataFrame(
        {
            "documents": times,
            "characters": characters * times,
            "sampled": drawn * times,
            "sampled_characters": drawn * characters * times,
            "hits": (spans > 0) * times,
            "spans": spans * times,
        }
    )
    sums = ("sampled", "sampled_characters", "hits", "spans")
    return {**{s: int(by_document[s].sum()) for s in sums}, "kinds": dict(kinds)}, by_document


def _excerpts(
    frame: pl.DataFrame, english: pl.DataFrame, axes: Mapping[str, pl.Series], settings: Settings
) -> list[pl.DataFrame]:
    everyone = pl.Series(np.ones(len(frame), bool))
    groups = {
        "longest": (everyone, -frame["characters"]),
        "shortest": (everyone, frame["characters"]),
        "other_languages": (~frame["language"].str.contains(_ENGLISH), _lots(frame, settings)),
    }
    lots = _lots(english, settings)
    mentions = {f"mentions_{axis}": (members, lots) for axis, members in axes.items()}
    return [*picked(frame, groups), *picked(english, mentions)]


def _lots(frame: pl.DataFrame, settings: Settings) -> pl.Series:
    lots: NDArray[np.float64] = sampling.draws(
        frame["id"].to_list(), sampling.EXCERPTS, settings.seed
    )
    return pl.Series(lots)
