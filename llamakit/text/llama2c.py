"""llama2.c's `tokenizer.bin`, as the SentencePiece model it was made from.

int32 longest piece, then for each id: float32 score, int32 length, bytes
"""

from __future__ import annotations

import math
import struct

from llamakit.errors import InputError
from llamakit.text.pieces import SPECIAL, Piece, build_model, kind_of
from llamakit.text.vocabulary import SPACE

_LONGEST = 2**16
"""Bytes of a piece, at most; files in use have 16 to 64."""


def convert_tokenizer_bin(data: bytes, where: str) -> bytes:
    """The bytes of a `tokenizer.model` with the same pieces, scores and ids.

    Raises:
        InputError: the bytes are no such file, or it is cut off.
    """
    longest = struct.unpack_from("<i", data)[0] if len(data) >= 4 else 0
    if not 0 < longest < _LONGEST:
        raise _broken("it does not begin with the length of its longest piece", where)
    pieces: list[Piece] = []
    place = 4
    while place < len(data):
        if place + 8 > len(data):
            raise _broken(f"it is cut off in piece {len(pieces):,}", where)
        score, size = struct.unpack_from("<fi", data, place)
        place += 8
        if not 0 <= size <= longest or place + size > len(data) or math.isnan(score):
            raise _broken(f"piece {len(pieces):,} is cut off or has a length of {size:,}", where)
        pieces.append(_piece(len(pieces), data[place : place + size], score, where))
        place += size
    return build_model(pieces)


def _piece(index: int, text: bytes, score: float, where: str) -> Piece:
    try:
        # llama2.c writes the space that pieces begin with as one.
        shown = text.decode().replace(" ", SPACE)
    except UnicodeDecodeError:
        raise _broken(f"piece {index:,} is not UTF-8", where) from None
    if index < len(SPECIAL):
        # Its `<s>` and `</s>` stand between line breaks, so that no text can be taken for them.
        if shown.strip() != SPECIAL[index]:
            raise _broken(f"piece {index} is {shown!r}, not {SPECIAL[index]!r}", where)
        shown = SPECIAL[index]
    return Piece(shown, score, kind_of(index))


def _broken(what: str, where: str) -> InputError:
    return InputError(f"the file is no llama2.c tokenizer: {what}", where=where)
