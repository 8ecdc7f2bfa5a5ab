"""Bytes and lines out of plain, gzip and zstd files, whole or from a place on, in bounded memory.

A file that breaks off in the middle gives everything before the break, then `DamagedFileError`.
UTF-16 and UTF-32 that say so with a byte order mark come out as UTF-8.
"""

from __future__ import annotations

import codecs
import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

MAX_ROW_BYTES = 64 * 2**20
"""A longer line, JSON value, page or text file is no document but an accident."""

_CHUNK = 2**18
# What a decoder is fed at once, so that the worst of bombs (a thousandfold, 32,000-fold) unpacks
# to 32 and 128 MiB before anybody can look at it.
_FED = {"gzip": 2**15, "zstd": 2**12}
# The first two bytes of UTF-32's little-endian mark are UTF-16's: the longer ones come first.
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class DamagedFileError(Exception):
    """The rest of the file cannot be read; the argument says why, in one word of `reasons`."""


class RowTooLong:
    """Stands for a line longer than the limit; `head` is how it begins."""

    def __init__(self, head: bytes) -> None:
        self.head = head


def wide_encoding(head: bytes) -> str | None:
    """The encoding of two or four bytes a unit that a byte order mark at the beginning tells."""
    return next((name for mark, name in _WIDE if head.startswith(mark)), None)


def chunks(path: Path, compression: Literal["gzip", "zstd"] | None) -> Iterator[bytes]:
    """The file's bytes, decompressed, wide encodings turned into UTF-8.

    Raises:
        DamagedFileError: the compressed data ends too early or is corrupt.
    """
    data = raw_chunks(path, compression)
    first = next(data, b"")
    encoding = wide_encoding(first)
    whole = itertools.chain([first], data)
    return whole if encoding is None else _narrowed(whole, encoding)


def _narrowed(data: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in data:
            yield decoder.decode(chunk).encode()
        decoder.decode(b"", final=True)
    except UnicodeError:
        raise DamagedFileError(f"not_{encoding.replace('-', '')}") from None


def raw_chunks(path: Path, compression: Literal["gzip", "zstd"] | None) -> Iterator[bytes]:
    """The file's bytes, decompressed and otherwise as they are; raises as `chunks` does."""
    with path.open("rb") as file:
        if compression is None:
            while data := file.read(_CHUNK):
                yield data
            return
        import zstandard

        def new_decoder() -> zlib._Decompress | zstandard.ZstdDecompressionObj:
            if compression == "gzip":
                return zlib.decompressobj(wbits=31)
            return zstandard.ZstdDecompressor().decompressobj()

        decoder = new_decoder()
        begun = False
        while data := file.read(_FED[compression]):
            while data:
                try:
                    out = decoder.decompress(data)
                except (zlib.error, zstandard.ZstdError):
                    raise DamagedFileError("corrupt_file") from None
                begun = True
                if out:
                    yield out
                data = b""
                if decoder.eof:
                    # Several members one after another are one file, as gzip and zstd have it.
                    data = decoder.unused_data.lstrip(b"\0")
                    decoder, begun = new_decoder(), False
        if begun:
            raise DamagedFileError("truncated_file")


def range_chunks(path: Path, begin: int, end: int) -> Iterator[bytes]:
    r"""The lines of a plain file that start at a byte in [begin, end), as chunks.

    The last of them is given whole, wherever it ends.
    """
    with path.open("rb") as file:
        at = begin
        started = begin == 0
        if not started:
            # A line starts at `begin` when the byte before ends one.
            at = begin - 1
            file.seek(at)
        while at < end:
            data = file.read(min(_CHUNK, end - at))
            if not data:
                return
            at += len(data)
            if not started:
                newline = data.find(b"\n")
                if newline < 0 or (at - len(data) + newline + 1 >= end):
                    continue
                started = True
                data = data[newline + 1 :]
            if data:
                yield data
            ended = data.endswith(b"\n")
        if not started or ended:
            return
        while data := file.read(_CHUNK):
            newline = data.find(b"\n")
            if newline >= 0:
                yield data[: newline + 1]
                return
            yield data


def count_line_starts(path: Path, begin: int, end: int) -> int:
    """How many lines of a plain file start at a byte in [begin, end)."""
    first = int(begin == 0)
    with path.open("rb") as file:
        at = max(begin - 1, 0)
        file.seek(at)
        found = first
        while at < end - 1 and (data := file.read(min(2**20, end - 1 - at))):
            at += len(data)
            found += data.count(b"\n")
    return found


def lines(
    data: Iterator[bytes], limit: int = MAX_ROW_BYTES
) -> Iterator[tuple[int, bytes | RowTooLong]]:
    r"""Number (from 1) and content of every line, without `\n` or `\r\n`; memory is O(limit).

    When the data turns out damaged, the line it broke off in is dropped and the error passes on.
    """
    number = 1
    held: list[bytes] = []
    size = 0

    def line() -> bytes | RowTooLong:
        whole = b"".join(held)
        return RowTooLong(whole[:2_000]) if size > limit else whole.removesuffix(b"\r")

    for chunk in data:
        first, *rest = chunk.split(b"\n")
        size += len(first)
        if size <= limit or not held:
            held.append(first[: limit + 1])
        if not rest:
            continue
        # Nothing here holds on to a line while it is worked on: it may have 64 MiB.
        whole = [line()]
        held, size = [], 0
        yield number, whole.pop()
        number += 1
        last = rest.pop()
        for piece in rest:
            if len(piece) > limit:
                yield number, RowTooLong(piece[:2_000])
            else:
                yield number, piece.removesuffix(b"\r")
            number += 1
        held, size = [last[: limit + 1]], len(last)
    if size:
        yield number, line()
