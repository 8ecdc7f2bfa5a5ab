"""The settings inside a `tokenizer.model`: SentencePiece's protobuf message, read and amended.

Field numbers are those of `sentencepiece_model.proto`, which SentencePiece promises to keep.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

PIECES, TRAINER, NORMALIZER = 1, 2, 3
PIECE_TEXT, PIECE_SCORE, PIECE_KIND = 1, 2, 3
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
MODEL_KIND, INPUT_FORMAT, SPACE_AS_SUFFIX = 3, 7, 24
BPE = 2
CHARACTER_MAP, DUMMY_SPACE, FEWER_SPACES, ESCAPED_SPACES = 2, 3, 4, 5

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, its value, and where it stands in the message."""

    number: int
    value: int | bytes
    begin: int
    end: int


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message, in order.

    Raises:
        ValueError: the bytes are no message.
    """
    place = 0
    while place < len(message):
        begin = place
        key, place = _varint(message, place)
        kind = key & 7
        value: int | bytes
        if kind == _VARINT:
            value, place = _varint(message, place)
        else:
            if kind == _BYTES:
                size, place = _varint(message, place)
            elif kind in (_FIXED32, _FIXED64):
                size = 4 if kind == _FIXED32 else 8
            else:
                raise ValueError(f"there is no kind {kind} of field")
            value, place = message[place : place + size], place + size
        if place > len(message):
            raise ValueError("the message is cut off")
        yield Field(key >> 3, value, begin, place)


def settings(message: bytes) -> dict[int, int | bytes]:
    """A message's fields by number, the last of each."""
    return {field.number: field.value for field in fields(message)}


def without(model: bytes, part: int, number: int) -> bytes:
    """The model with one field taken out of one of its parts."""
    for field in fields(model):
        if field.number == part and isinstance(field.value, bytes):
            inner = b"".join(
                field.value[each.begin : each.end]
                for each in fields(field.value)
                if each.number != number
            )
            return model[: field.begin] + encoded(part, inner) + model[field.end :]
    return model


def encoded(number: int, value: int | float | bytes) -> bytes:
    """One field as it stands in a message: a whole number, a float32, or bytes."""
    if isinstance(value, bytes):
        return _written(number << 3 | _BYTES) + _written(len(value)) + value
    if isinstance(value, float):
        return _written(number << 3 | _FIXED32) + struct.pack("<f", value)
    return _written(number << 3 | _VARINT) + _written(value)


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("the message is cut off")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _written(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
