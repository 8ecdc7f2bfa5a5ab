"""Rows out of Parquet and Arrow files, a batch at a time."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

from llamakit.artifacts.frames import batches, collect
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.streams import DamagedFileError

_BATCH_ROWS = 2_000
_LARGEST_BATCH = 2**30
_MARK = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _RECORDS = 1, 2, 3
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError)


class UnevenDamageError(Exception):
    """Reading ahead failed: how many rows came before depends on threads. Read again, carefully."""


def n_rows(path: Path) -> int | None:
    """The number of rows of a Parquet file, or None when it is not whole."""
    try:
        return int(collect(pl.scan_parquet(path).select(pl.len())).item())
    except _UNREADABLE:
        return None


def read_parquet(path: Path, begin: int, end: int | None, careful: bool) -> Iterator[Row]:
    """Rows [begin, end) of a Parquet file. `careful` reads no batch ahead of the one asked for, so
    that of a damaged file the same rows come out every time; it is slow.

    Raises:
        UnevenDamageError: a batch cannot be read, and `careful` was False.
        DamagedFileError: the file, or the batch that comes next, cannot be read.
    """
    total = n_rows(path)
    if total is None:
        raise DamagedFileError(_unreadable(path))
    number, end = begin, total if end is None else min(end, total)
    try:
        for frame in _frames(pl.scan_parquet(path), begin, end, careful):
            for value in frame.iter_rows(named=True):
                number += 1
                yield Row(number, value)
    except _UNREADABLE:
        if careful:
            raise DamagedFileError("corrupt_file") from None
        raise UnevenDamageError from None


def _frames(scan: pl.LazyFrame, begin: int, end: int, careful: bool) -> Iterator[pl.DataFrame]:
    if careful:
        for at in range(begin, end, _BATCH_ROWS):
            yield collect(scan.slice(at, min(_BATCH_ROWS, end - at)))
    else:
        yield from batches(scan.slice(begin, end - begin), _BATCH_ROWS)


def _unreadable(path: Path) -> str:
    """Parquet begins and ends with its mark; a file that only begins with it was cut."""
    with path.open("rb") as file:
        begins = file.read(4) == b"PAR1"
        file.seek(max(0, path.stat().st_size - 4))
        ends = file.read(4) == b"PAR1"
    return "truncated_file" if begins and not ends else "not_parquet"


def read_arrow(path: Path) -> Iterator[Row | BrokenRow]:
    """Rows of an Arrow stream (what Hugging Face's `save_to_disk` writes) or Arrow file.

    Raises:
        DamagedFileError: the file is cut or is not Arrow.
    """
    number = 0
    with path.open("rb") as file:
        whole = file.read(6) == b"ARROW1"
        file.seek(0)
        frames = _file_frames(path) if whole else _stream_frames(file, path.stat().st_size)
        try:
            for frame in frames:
                for value in frame.iter_rows(named=True):
                    number += 1
                    yield Row(number, value)
        except _UNREADABLE:
            raise DamagedFileError("corrupt_file" if number else "not_arrow") from None


def _file_frames(path: Path) -> Iterator[pl.DataFrame]:
    scan = pl.scan_ipc(path)
    return _frames(scan, 0, int(collect(scan.select(pl.len())).item()), careful=True)


def _stream_frames(file: BinaryIO, size: int) -> Iterator[pl.DataFrame]:
    """The record batches one by one, each handed to polars behind the stream's schema."""
    head = b""
    while True:
        prefix = file.read(8)
        if not prefix and head:
            return  # streams need no end mark
        mark, meta_bytes = struct.unpack("<II", prefix) if len(prefix) == 8 else (0, 0)
        if mark != _MARK:
            raise DamagedFileError("truncated_file" if head and len(prefix) < 8 else "not_arrow")
        if meta_bytes == 0:
            return
        if meta_bytes > size - file.tell():
            raise DamagedFileError("truncated_file" if head else "not_arrow")
        meta = file.read(meta_bytes)
        kind, body_bytes = _message(meta)
        if not 0 <= body_bytes <= _LARGEST_BATCH:
            raise DamagedFileError("corrupt_file")
        if body_bytes > size - file.tell():
            raise DamagedFileError("truncated_file")
        message = prefix + meta + file.read(body_bytes)
        if kind in (_SCHEMA, _DICTIONARY):
            head += message
        elif kind == _RECORDS:
            yield pl.read_ipc_stream(io.BytesIO(head + message))


def _message(meta: bytes) -> tuple[int, int]:
    """Kind and length of the body out of a message's flatbuffer (Arrow's Message.fbs: fields 1 and
    3 of its table)."""
    try:
        (root,) = struct.unpack_from("<I", meta, 0)
        table = root - struct.unpack_from("<i", meta, root)[0]
        (table_bytes,) = struct.unpack_from("<H", meta, table)

        def field(index: int, form: str) -> int:
            place = 4 + 2 * index
            if place >= table_bytes:
                return 0
            (offset,) = struct.unpack_from("<H", meta, table + place)
            return int(struct.unpack_from(form, meta, root + offset)[0]) if offset else 0

        return field(1, "<B"), field(3, "<q")
    except struct.error:
        raise DamagedFileError("corrupt_file") from None
