"""Bytes and lines out of plain, gzip and zstd files, in bounded memory.

A file that breaks off in the middle gives everything before the break, then `DamagedFileError`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

MAX_ROW_BYTES = 64 * 2**20
"""A longer line, JSON value or text file is no document but an accident."""

_CHUNK = 2**18


class DamagedFileError(Exception):
    """The rest of the file cannot be read; the argument says why, in one word of `reasons`."""


class RowTooLong:
    """Stands for a line longer than the limit; `head` is how it begins."""

    def __init__(self, head: bytes) -> None:
        self.head = head


def chunks(path: Path, compression: Literal["gzip", "zstd"] | None) -> Iterator[bytes]:
    """The file's bytes, decompressed.

    Raises:
        DamagedFileError: the compressed data ends too early or is corrupt.
    """
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
        while data := file.read(_CHUNK):
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
        pieces = chunk.split(b"\n")
        for index, piece in enumerate(pieces):
            size += len(piece)
            if size <= limit or not held:
                held.append(piece[: limit + 1])
            if index < len(pieces) - 1:
                yield number, line()
                number += 1
                held, size = [], 0
    if size:
        yield number, line()
