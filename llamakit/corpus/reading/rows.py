"""Rows out of one file of any known format, each with its line, broken ones with a reason."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from llamakit.artifacts.frames import collect
from llamakit.corpus.reading.sources import DataFile
from llamakit.corpus.reading.streams import (
    MAX_ROW_BYTES,
    DamagedFileError,
    RowTooLong,
    chunks,
    lines,
)

_SHOWN = 2_000
_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Row:
    """One value as it stands in the file; `line` counts from 1 (rows, in Parquet and arrays)."""

    line: int
    value: Any


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """What could not be read: `reason` is one word, `raw` how it begins."""

    line: int
    reason: str
    raw: str
    ends_file: bool = False
    """Whether the rest of the file cannot be read either."""


def read_rows(file: DataFile) -> Iterator[Row | BrokenRow]:
    """Every row of the file in order; never raises for what the file holds."""
    line = 0
    try:
        for row in _READERS[file.format](file):
            line = row.line
            yield row
    except DamagedFileError as damage:
        yield BrokenRow(line + 1, str(damage), "", ends_file=True)


def _read_jsonl(file: DataFile) -> Iterator[Row | BrokenRow]:
    for number, line in lines(chunks(file.path, file.compression)):
        if isinstance(line, RowTooLong):
            yield BrokenRow(number, "line_too_long", shown(line.head))
            continue
        data = line
        if number == 1:
            if data.startswith(_WIDE_BOMS):
                raise DamagedFileError("not_utf8")
            data = data.removeprefix(codecs.BOM_UTF8)
        if data.strip():
            yield _parsed(number, data)


def _parsed(number: int, data: bytes) -> Row | BrokenRow:
    try:
        return Row(number, json.loads(data.decode("utf-8")))
    except UnicodeDecodeError:
        reason = "binary" if b"\0" in data else "not_utf8"
    except (ValueError, RecursionError):
        reason = "binary" if b"\0" in data else "not_json"
    return BrokenRow(number, reason, shown(data))


def _read_json(file: DataFile) -> Iterator[Row | BrokenRow]:
    """An array of rows; rows after one another (pretty-printed or one a line); or one object."""
    head = b""
    for chunk in chunks(file.path, file.compression):
        head += chunk
        if b"\n" in head.lstrip() or len(head) > MAX_ROW_BYTES:
            break
    first = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if first[:1] != b"[" and isinstance(_parsed(1, first.partition(b"\n")[0]), Row):
        yield from _read_jsonl(file)
    else:
        yield from _read_values(file, array=first[:1] == b"[")


def _read_values(file: DataFile, array: bool) -> Iterator[Row | BrokenRow]:
    """JSON values parsed as the text streams in: the values of one array, or a bare sequence."""
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8-sig")()
    between = re.compile(r"[ \t\r\n,]*" if array else r"[ \t\r\n]*")
    data = chunks(file.path, file.compression)
    text, at, number = "", 0, 0
    opened, ended = not array, False
    while True:
        at = _skip(between, text, at)
        if not opened and at < len(text):
            opened, at = True, _skip(between, text, at + 1)
        if array and text.startswith("]", at):
            return
        try:
            value, end = decoder.raw_decode(text, at)
            # A number or a cut string could go on in the next chunk; objects and arrays close.
            if not ended and end == len(text) and not isinstance(value, (dict, list)):
                raise ValueError
        except (ValueError, RecursionError):
            if ended or len(text) - at > MAX_ROW_BYTES:
                if at < len(text) or array:
                    yield BrokenRow(number + 1, "not_json", text[at : at + _SHOWN])
                return
            # Doubling what is held keeps the parsing of one huge value linear.
            text, ended = _more(data, utf8, text[at:])
            at = 0
            continue
        at = end
        number += 1
        yield Row(number, value)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _more(data: Iterator[bytes], utf8: codecs.IncrementalDecoder, text: str) -> tuple[str, bool]:
    """`text` made at least twice as long, and whether the data ended."""
    pieces = [text]
    wanted = max(2**18, len(text))
    while wanted > 0:
        chunk = next(data, None)
        try:
            pieces.append(utf8.decode(chunk or b"", final=chunk is None))
        except UnicodeDecodeError:
            raise DamagedFileError("not_utf8") from None
        if chunk is None:
            return "".join(pieces), True
        wanted -= len(pieces[-1])
    return "".join(pieces), False


def _read_parquet(file: DataFile) -> Iterator[Row | BrokenRow]:
    if file.compression is not None:
        raise DamagedFileError("compressed_parquet")
    number = 0
    try:
        total = int(collect(pl.scan_parquet(file.path).select(pl.len())).item())
        while number < total:
            frame = collect(pl.scan_parquet(file.path).slice(number, 2_000))
            for value in frame.iter_rows(named=True):
                number += 1
                yield Row(number, value)
    except (pl.exceptions.PolarsError, OSError):
        raise DamagedFileError("not_parquet") from None


def _read_text(file: DataFile) -> Iterator[Row | BrokenRow]:
    """A whole text file is one row."""
    held: list[bytes] = []
    size = 0
    damage: DamagedFileError | None = None
    try:
        for chunk in chunks(file.path, file.compression):
            held.append(chunk)
            size += len(chunk)
            if size > MAX_ROW_BYTES:
                yield BrokenRow(1, "text_too_long", shown(held[0]))
                return
    except DamagedFileError as error:
        damage = error
    data = b"".join(held)
    try:
        text = data.decode("utf-8-sig", errors="ignore" if damage else "strict")
    except UnicodeDecodeError:
        yield BrokenRow(1, "binary" if b"\0" in data else "not_utf8", shown(data))
        return
    if text or damage:
        yield Row(1, {"text": text.replace("\r\n", "\n").replace("\r", "\n")})
    if damage:
        raise damage


def _read_binary(file: DataFile) -> Iterator[Row | BrokenRow]:
    yield BrokenRow(1, "binary", "")


_READERS = {
    "jsonl": _read_jsonl,
    "json": _read_json,
    "parquet": _read_parquet,
    "text": _read_text,
    "binary": _read_binary,
}


def shown(data: bytes) -> str:
    """Bytes as text for people: what is not UTF-8 stands as an escape."""
    return data[:_SHOWN].decode("utf-8", errors="backslashreplace")
