"""Files cut into pieces, and pieces gathered into shards of about the same work.

The cut depends on the files' sizes alone, so that the result does not depend on who works on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from llamakit.corpus.reading.sources import DataFile
from llamakit.corpus.reading.streams import count_line_starts, wide_encoding
from llamakit.corpus.reading.table_rows import n_rows

PIECE_BYTES = 64 * 2**20
"""Bytes of plain text in a piece, about: half a minute's work is never lost to a kill."""

# Bytes that become text for each byte on disk, roughly.
_UNPACKED = 4


@dataclass(frozen=True)
class Piece:
    """A file, or the lines that start at a byte in [begin, end) of it (JSON lines), or rows
    [begin, end) of it (Parquet). `first_line` numbers the first of its lines or rows."""

    file: DataFile
    begin: int = 0
    end: int | None = None
    first_line: int = 1


def cut(file: DataFile, piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """The file as pieces of about `piece_bytes`; `first_line` of JSON lines is not known yet."""
    size = file.path.stat().st_size
    if file.format == "parquet" and file.compression is None:
        total = n_rows(file.path)
        count = -(-size * _UNPACKED // piece_bytes)
        if total and count > 1:
            rows = -(-total // count)
            bounds = [*range(0, total, rows), total]
            return [Piece(file, a, b, a + 1) for a, b in itertools.pairwise(bounds)]
    if file.format == "jsonl" and file.compression is None and size > piece_bytes:
        with file.path.open("rb") as opened:
            wide = wide_encoding(opened.read(4))
        if wide is None:
            bounds = [*range(0, size, piece_bytes), size]
            return [Piece(file, a, b) for a, b in itertools.pairwise(bounds)]
    return [Piece(file)]


def weight(piece: Piece) -> int:
    """The bytes of text that the piece stands for, roughly."""
    size = piece.file.path.stat().st_size
    if piece.file.format == "jsonl" and piece.end is not None:
        return piece.end - piece.begin
    if piece.file.format == "parquet" and piece.end is not None:
        return PIECE_BYTES
    packed = piece.file.compression is not None or piece.file.format == "parquet"
    return size * _UNPACKED if packed else size


def gathered(pieces: Iterable[Piece], piece_bytes: int = PIECE_BYTES) -> Iterator[list[Piece]]:
    """Neighbouring pieces together while they weigh less than `piece_bytes`."""
    held: list[Piece] = []
    total = 0
    for piece in pieces:
        heavy = weight(piece)
        if held and total + heavy > piece_bytes:
            yield held
            held, total = [], 0
        held.append(piece)
        total += heavy
    if held:
        yield held


def count_lines(piece: Piece) -> dict[str, int]:
    """How many lines start in a piece of JSON lines: the work of one shard of counting."""
    return {"lines": count_line_starts(piece.file.path, piece.begin, piece.end or 0)}


def needs_count(pieces: Sequence[Piece]) -> list[int]:
    """The places of pieces whose lines must be counted, since others of their file follow."""
    return [
        index
        for index, (piece, following) in enumerate(itertools.pairwise(pieces))
        if piece.file == following.file
        and piece.file.format == "jsonl"
        and piece.end == following.begin
    ]


def numbered(pieces: Sequence[Piece], lines: dict[int, int]) -> list[Piece]:
    """The pieces with their first lines, from the counts of the pieces before."""
    done: list[Piece] = []
    for index, piece in enumerate(pieces):
        before = index - 1
        if before in lines and pieces[before].file == piece.file:
            piece = replace(piece, first_line=done[-1].first_line + lines[before])  # noqa: PLW2901
        done.append(piece)
    return done
