"""Rows out of a piece of a file of any known format, each with its line, broken ones too."""

from __future__ import annotations

from collections.abc import Iterator

from llamakit.corpus.reading.json_rows import read_json, read_jsonl
from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.records import BrokenRow, Row, shown
from llamakit.corpus.reading.streams import MAX_ROW_BYTES, DamagedFileError, chunks, range_chunks
from llamakit.corpus.reading.table_rows import read_arrow, read_parquet
from llamakit.corpus.reading.warc_rows import read_warc


def read_rows(piece: Piece, careful: bool = False) -> Iterator[Row | BrokenRow]:
    """Every row of the piece in order; what the file holds raises nothing.

    Raises:
        UnevenDamageError: a table is damaged and must be read again with `careful`.
    """
    line = piece.first_line - 1
    try:
        for row in _rows(piece, careful):
            line = row.line
            yield row
    except DamagedFileError as damage:
        yield BrokenRow(line + 1, str(damage), "", ends_file=True)


def _rows(piece: Piece, careful: bool) -> Iterator[Row | BrokenRow]:
    file = piece.file
    if file.format == "jsonl" and piece.end is not None:
        return read_jsonl(range_chunks(file.path, piece.begin, piece.end), piece.first_line)
    if file.format in ("parquet", "arrow"):
        if file.compression is not None:
            raise DamagedFileError(f"compressed_{file.format}")
        if file.format == "arrow":
            return read_arrow(file.path)
        return read_parquet(file.path, piece.begin, piece.end, careful)
    if file.format == "binary":
        return iter([BrokenRow(1, "binary", "")])
    data = chunks(file.path, file.compression)
    if file.format == "warc":
        return read_warc(data)
    if file.format == "json":
        return read_json(data)
    return read_jsonl(data) if file.format == "jsonl" else _read_text(data)


def _read_text(data: Iterator[bytes]) -> Iterator[Row | BrokenRow]:
    """A whole text file is one row."""
    held: list[bytes] = []
    size = 0
    damage: DamagedFileError | None = None
    try:
        for chunk in data:
            held.append(chunk)
            size += len(chunk)
            if size > MAX_ROW_BYTES:
                yield BrokenRow(1, "text_too_long", shown(held[0]))
                return
    except DamagedFileError as error:
        damage = error
    whole = b"".join(held)
    try:
        text = whole.decode("utf-8-sig", errors="ignore" if damage else "strict")
    except UnicodeDecodeError:
        yield BrokenRow(1, "binary" if b"\0" in whole else "not_utf8", shown(whole))
        return
    if text or damage:
        yield Row(1, {"text": text.replace("\r\n", "\n").replace("\r", "\n")})
    if damage:
        raise damage
