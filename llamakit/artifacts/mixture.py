"""Open any documents artifact, plain or mixture, as frames with a `repeats` column.

A mixture holds no text. It says which rows of its inputs are read and how often:

    mixture.json                  the inputs' content digests, and the part each shard takes from
    mixture/part-00000.parquet    row, id, source, repeats

A mixture of mixtures says so of the documents that those were mixed from. The inputs are found in
the store by content digest, so a mixture survives renames and copies of
the store, and never reads text other than what it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from llamakit.artifacts.frames import Schema, count_rows, read_table
from llamakit.artifacts.kinds import Documents, Kind
from llamakit.artifacts.record import RECORD_FILE
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, LlamakitError

MIXTURE_FILE = "mixture.json"
MIXTURE_FOLDER = "mixture"
MIXTURE_SCHEMA = "llamakit/mixture/1"

PICKS: Schema = {
    "row": pl.UInt32(),
    "id": pl.String(),
    "source": pl.String(),
    "repeats": pl.UInt32(),
}
"""Rows of one part of an input, ascending, and how often each is read (at least once)."""

REPEATS = "repeats"
_REQUIRED = ("id", "text", "source")

ROWS_PER_RANGE = 2_500
"""An eighth of a part as the stages write them: one part keeps several processes busy."""


@dataclass(frozen=True)
class DocumentShard:
    """A piece of a documents artifact; small and picklable. `picks` is None for plain documents."""

    part: Path
    picks: Path | None = None
    rows: tuple[int, int] | None = None
    """Only so many rows (of the picks, where there are any): from which, and how many."""


def is_mixture(version: Version[Kind]) -> bool:
    """Whether the version names rows of other artifacts instead of holding documents."""
    return (version.path / MIXTURE_FILE).is_file()


def plain_parts(version: Version[Documents], stage: str) -> list[Path]:
    """The parts of documents that are no mixture, for stages that come before mixing.

    Raises:
        InputError: the version is a mixture.
    """
    if is_mixture(version):
        raise InputError(
            f"{version.reference} is a mixture, and {stage} comes before mixing",
            fix=f"Run {stage} on the mixture's inputs, and mix its results.",
        )
    return version.parts()


@dataclass(frozen=True)
class Piece:
    """A shard, and where its text lies: the content digest of the plain artifact that holds it, and
    the part's path in there."""

    shard: DocumentShard
    digest: str
    part: str


def pieces(version: Version[Documents]) -> list[Piece]:
    """The artifact's shards with their origins, in order; a mixture of mixtures was flattened when
    it was written, so origins are always plain documents.

    Raises:
        InputError: the version is a mixture and an input of it is gone or changed.
    """
    if not is_mixture(version):
        return [
            Piece(DocumentShard(part), version.digest, part.relative_to(version.path).as_posix())
            for part in version.parts()
        ]
    path = version.path / MIXTURE_FILE
    try:
        listing = json.loads(path.read_text(encoding="utf-8"))
        inputs = [_find(digest, version) for digest in listing["inputs"]]
        return [
            Piece(
                DocumentShard(
                    inputs[entry["input"]].path / entry["part"], version.path / entry["picks"]
                ),
                inputs[entry["input"]].digest,
                entry["part"],
            )
            for entry in listing["shards"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"the mixture cannot be read ({error})", where=str(path)) from None


def document_shards(version: Version[Documents]) -> list[DocumentShard]:
    """The artifact's shards, in order.

    Raises:
        InputError: as `pieces`.
    """
    return [piece.shard for piece in pieces(version)]


def shard_ranges(version: Version[Documents], file_bytes: int | None = None) -> list[DocumentShard]:
    """`document_shards`, cut into ranges as by `ranges`, in order.

    Raises:
        InputError: as `document_shards`; or a part is missing or damaged.
    """
    return [each for shard in document_shards(version) for each in ranges(shard, file_bytes)]


def ranges(shard: DocumentShard, file_bytes: int | None = None) -> list[DocumentShard]:
    """A shard in ranges of at most `ROWS_PER_RANGE` rows, in order; the same for any number of
    workers, so that a rerun finds what is done.

    Args:
        file_bytes: of plain documents so few rows a range that it stands for no more bytes of the
            part's file, on average. (A mixture's part is read whole for each range.)
    """
    rows = max(1, count_rows(shard.picks or shard.part))
    step = ROWS_PER_RANGE
    if file_bytes and shard.picks is None:
        step = min(step, max(1, rows * file_bytes // shard.part.stat().st_size))
    return [replace(shard, rows=(begin, step)) for begin in range(0, rows, step)]


def read_shard(
    shard: DocumentShard, columns: Sequence[str] | None = None, *, gaps: bool = False
) -> pl.DataFrame:
    """The documents of a shard (all columns or some) and `repeats` (u32): how often each is read.

    Args:
        gaps: whether documents may lack an id, a text or a source.

    Raises:
        InputError: a file is missing or damaged, or a document lacks what all have.
    """
    if shard.picks is None:
        frame = read_table(shard.part, columns, rows=shard.rows)
        frame = frame if gaps else _whole(frame, shard.part)
        return frame.with_columns(pl.lit(1, dtype=pl.UInt32).alias(REPEATS))
    frame = read_table(shard.part, columns)
    frame = frame if gaps else _whole(frame, shard.part)
    picks = read_table(shard.picks, ["row", REPEATS], rows=shard.rows)
    if len(picks) and int(picks["row"][-1]) >= len(frame):
        raise InputError(
            f"the mixture names row {picks['row'][-1]}, the part has {len(frame)}",
            where=str(shard.part),
            fix="The part is damaged: `llamakit verify` its artifact.",
        )
    return frame[picks["row"]].with_columns(picks[REPEATS])


def _whole(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """The frame, when all its documents have an id, a text and a source."""
    for name in _REQUIRED:
        if name in frame.columns and (frame[name].dtype != pl.String or frame[name].null_count()):
            what = "null" if frame[name].dtype == pl.String else str(frame[name].dtype)
            raise InputError(
                f"the column {name} holds {what} where every document needs a text",
                where=str(path),
                fix="Read such files with `llamakit ingest --as documents`.",
            )
    return frame


def iter_documents(
    version: Version[Documents], columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Frames of documents with `repeats`, a shard at a time."""
    for shard in document_shards(version):
        yield read_shard(shard, columns)


def _find(digest: str, mixture: Version[Documents]) -> Version[Kind]:
    """The version with this content: where the records say, else anywhere in the store."""
    store = Store(mixture.path.parent.parent)
    tried: list[str] = []
    if found := _among_inputs(digest, mixture, store, tried):
        return found
    for name in store.names():
        for version in store.versions(name):
            if version.digest == digest:
                return version
    named = tried[0] if tried else f"content {digest[:12]}"
    raise InputError(
        f"{mixture.reference} is mixed from {named}, which is gone or has changed",
        where=str(store.root / named.replace(":", "/") / RECORD_FILE),
        fix="Restore it, or make the mixture anew.",
    )


def _among_inputs(
    digest: str, version: Version[Kind], store: Store, tried: list[str]
) -> Version[Kind] | None:
    """The input with this content, or the input of an input: a mixture may be of mixtures. `tried`
    gets the references that should have led there."""
    for entry in version.record.inputs:
        if entry.digest == digest:
            tried.append(entry.reference)
        try:
            found = store.resolve(entry.reference)
        except LlamakitError:
            continue
        if found.digest != entry.digest:
            continue
        if found.digest == digest:
            return found
        if is_mixture(found) and (inner := _among_inputs(digest, found, store, tried)):
            return inner
    return None
