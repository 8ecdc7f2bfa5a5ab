"""Tables of payloads: their schemas, parquet in and out, and the order-keeping polars operations.

Polars' engine does not keep row order unless asked, and a digest must not depend on threads. So
this file alone calls `collect`, `collect_batches`, `join`, `unique` and `group_by`; a lint bans
them elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import polars as pl

from llamakit.artifacts.files import atomic_file
from llamakit.errors import InputError

Schema = Mapping[str, pl.DataType]

MESSAGES = pl.List(pl.Struct({"role": pl.String(), "content": pl.String()}))

DOCUMENTS: Schema = {
    "id": pl.String(),
    "text": pl.String(),
    "source": pl.String(),
    "url": pl.String(),
    "language": pl.String(),
    "metadata": pl.String(),
}
"""`metadata` is a JSON object as text, `{}` for none; `url` and `language` may be null."""

REJECTED: Schema = {**DOCUMENTS, "reason": pl.String()}
"""What a stage dropped, and why."""

DIALOGUES: Schema = {
    "id": pl.String(),
    "messages": MESSAGES,
    "train_on": pl.String(),
    "source": pl.String(),
    "safety": pl.Boolean(),
}
"""`train_on` is `all` or `last`: which assistant messages carry loss."""

PREFERENCES: Schema = {
    "id": pl.String(),
    "prompt": MESSAGES,
    "chosen": MESSAGES,
    "rejected": MESSAGES,
    "grade": pl.String(),
    "safety": pl.String(),
    "source": pl.String(),
    "batch": pl.Int64(),
    "annotator": pl.String(),
    "chosen_model": pl.String(),
    "rejected_model": pl.String(),
}
"""`chosen` and `rejected` hold the answers only; the dialogue before them is `prompt`."""

ROWS_PER_PART = 20_000


def part_name(index: int) -> str:
    """The file name of a table's `index`-th part."""
    return f"part-{index:05d}.parquet"


def parts(folder: Path) -> list[Path]:
    """A table's parts, in order."""
    return sorted(folder.glob("part-*.parquet"))


def write_table(path: Path, frame: pl.DataFrame, schema: Schema) -> None:
    """Write one parquet part, atomically, with exactly the columns and types of `schema`.

    Missing nullable columns are filled with nulls; the settings are fixed, so equal rows give
    equal bytes.
    """
    missing = [pl.lit(None, dtype=t).alias(c) for c, t in schema.items() if c not in frame.columns]
    table = frame.with_columns(missing).select(
        pl.col(column).cast(dtype) for column, dtype in schema.items()
    )
    with atomic_file(path) as temporary:
        table.rechunk().write_parquet(
            temporary, compression="zstd", compression_level=1, row_group_size=ROWS_PER_PART
        )


def read_table(
    path: Path, columns: Sequence[str] | None = None, *, rows: tuple[int, int] | None = None
) -> pl.DataFrame:
    """Read one parquet part, in row order; all of it or `rows`, the first and how many.

    Raises:
        InputError: the file is missing or is not whole parquet.
    """
    with _readable(path):
        if rows is None:
            return pl.read_parquet(path, columns=list(columns) if columns else None)
        # Scanned, only the pages that hold them are unpacked.
        found = pl.scan_parquet(path).slice(*rows)
        return collect(found.select(columns) if columns else found)


def count_rows(path: Path) -> int:
    """Rows of one parquet part, of which only the end is read.

    Raises:
        InputError: the file is missing or is not parquet.
    """
    with _readable(path):
        return int(collect(pl.scan_parquet(path).select(pl.len())).item())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError("the file is missing", where=str(path)) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"the file is not readable parquet ({str(error).splitlines()[0]})",
            where=str(path),
            fix="`llamakit verify` tells which files of a version are damaged.",
        ) from None


def read_parts(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Read a table part by part, so that memory is bounded by one part."""
    for path in parts(folder):
        yield read_table(path, columns)


def read_as(schema: Schema, path: Path) -> pl.DataFrame:
    """Read the columns of `schema` that a parquet part must have.

    Raises:
        InputError: as `read_table`; or a column has another type, or messages are null or without
            a role or content.
    """
    frame = read_table(path, list(schema))
    for column, wanted in schema.items():
        if frame.schema[column] != wanted:
            raise InputError(
                f"the column {column!r} is {frame.schema[column]}, {wanted} is needed",
                where=str(path),
            )
        if wanted == MESSAGES and _has_gaps(frame[column]):
            raise InputError(f"messages of {column!r} are null", where=str(path))
    return frame


def _has_gaps(messages: pl.Series) -> bool:
    # An empty list would explode to a null that is no gap.
    turns = messages.filter(messages.list.len() > 0).explode().struct.unnest()
    return bool(messages.null_count() or sum(turns.null_count().row(0)))


def read_all(folder: Path, schema: Schema | None = None) -> pl.DataFrame:
    """Read a whole table; for those that are small by nature (dialogues, preferences). With a
    schema, raises as `read_as`."""
    frames = [read_as(schema, path) if schema else read_table(path) for path in parts(folder)]
    if not frames:
        raise InputError("no part-*.parquet here", where=str(folder))
    return pl.concat(frames)


def write_rows(folder: Path, rows: Sequence[Mapping[str, object]], schema: Schema) -> None:
    """Write rows as parts of at most `ROWS_PER_PART`; an empty table still has one part."""
    for index in range(max(1, -(-len(rows) // ROWS_PER_PART))):
        chunk = rows[index * ROWS_PER_PART : (index + 1) * ROWS_PER_PART]
        write_table(folder / part_name(index), pl.DataFrame(chunk, schema=dict(schema)), schema)


def collect(frame: pl.LazyFrame) -> pl.DataFrame:
    """Run a lazy query, rows in their order."""
    return frame.collect(engine="in-memory")


def batches(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Run a lazy query and hand out its rows in their order, about `rows` at a time, so that
    memory does not grow with their number."""
    return iter(frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True))


def join(
    left: pl.DataFrame,
    right: pl.DataFrame,
    on: str | Sequence[str],
    how: Literal["inner", "left", "semi", "anti"] = "inner",
) -> pl.DataFrame:
    """Join, keeping the left rows' order (and the right's among equal keys)."""
    order: Literal["left", "left_right"] = "left" if how in ("semi", "anti") else "left_right"
    return left.join(right, on=on, how=how, maintain_order=order)


def unique(frame: pl.DataFrame, subset: str | Sequence[str]) -> pl.DataFrame:
    """The first row of each value of `subset`, in order."""
    return frame.unique(subset=subset, keep="first", maintain_order=True)


def group(frame: pl.DataFrame, by: str | Sequence[str], aggregates: list[pl.Expr]) -> pl.DataFrame:
    """Aggregate by key, groups in the order of their first row."""
    return frame.group_by(by, maintain_order=True).agg(aggregates)
