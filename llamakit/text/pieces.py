"""A `tokenizer.model` built from pieces and scores that another format holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llamakit.text import proto

SPECIAL = ("<unk>", "<s>", "</s>")
"""The pieces of the ids 0, 1 and 2."""

# Numbers of SentencePiece's fields, and the settings of Llama 2's model that encoding obeys.
_VOCAB_SIZE, _BYTE_FALLBACK, _NAME = 4, 35, 1


@dataclass(frozen=True)
class Piece:
    """One piece: its text with `▁` for a space, and how early it is merged (higher is earlier)."""

    text: str
    score: float
    kind: int = proto.NORMAL


def build_model(pieces: Sequence[Piece]) -> bytes:
    """A SentencePiece model of these pieces, by id, that encodes as Llama 2's does: byte pairs,
    bytes for what no piece covers, a space in front, nothing normalised.
    """
    trainer = (
        proto.encoded(proto.MODEL_KIND, proto.BPE)
        + proto.encoded(_VOCAB_SIZE, len(pieces))
        + proto.encoded(_BYTE_FALLBACK, 1)
    )
    normalizer = (
        proto.encoded(_NAME, b"identity")
        + proto.encoded(proto.DUMMY_SPACE, 1)
        + proto.encoded(proto.FEWER_SPACES, 0)
        + proto.encoded(proto.ESCAPED_SPACES, 1)
    )
    return (
        _written(pieces)
        + proto.encoded(proto.TRAINER, trainer)
        + proto.encoded(proto.NORMALIZER, normalizer)
    )


def extended(model: bytes, names: Sequence[str]) -> bytes:
    """The model with more ids at its end that no text is encoded as: rows that a model's embedding
    has beyond its vocabulary, for padding or for tokens added later."""
    # A message's repeated field may stand anywhere, so what is appended continues the list.
    return model + _written(Piece(name, 0.0, proto.CONTROL) for name in names)


def kind_of(index: int) -> int:
    """The kind of the piece at an id, in the order of Llama 2's vocabulary."""
    if index < len(SPECIAL):
        return proto.CONTROL if index else proto.UNKNOWN
    return proto.BYTE if index < len(SPECIAL) + 256 else proto.NORMAL


def _written(pieces: Iterable[Piece]) -> bytes:
    return b"".join(
        proto.encoded(
            proto.PIECES,
            proto.encoded(proto.PIECE_TEXT, piece.text.encode())
            + proto.encoded(proto.PIECE_SCORE, float(piece.score))
            + proto.encoded(proto.PIECE_KIND, piece.kind),
        )
        for piece in pieces
    )
