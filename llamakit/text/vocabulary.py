"""The vocabulary: SentencePiece byte-pair encoding with the settings of Llama 2's tokenizer.

The settings are those stored in Llama 2's own `tokenizer.model`: digits are split one by one,
characters outside the vocabulary fall back to bytes, text is not normalised, and each encoded text
begins with a dummy space.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from llamakit.artifacts.files import atomic_file
from llamakit.errors import InputError, UsageError
from llamakit.text import proto
from llamakit.text.words import MAX_SENTENCE_BYTES, WordCounts

MODEL_FILE = "tokenizer.model"
PIECES_FILE = "tokenizer.vocab"
BYTE_PIECES = 256
SPACE = "▁"
"""How pieces write a space (U+2581); in a text it is taken for one."""

# A constant: SentencePiece writes it into the model, and results do not depend on it.
_THREADS = 16

SETTINGS: dict[str, Any] = {
    "model_type": "bpe",
    "character_coverage": 0.99995,
    "split_digits": True,
    "byte_fallback": True,
    "split_by_unicode_script": True,
    "split_by_whitespace": True,
    "split_by_number": True,
    "allow_whitespace_only_pieces": True,
    "max_sentencepiece_length": 16,
    "max_sentence_length": MAX_SENTENCE_BYTES,
    "normalization_rule_name": "identity",
    "add_dummy_prefix": True,
    "remove_extra_whitespaces": False,
    "hard_vocab_limit": True,
    # A limit above any number that is passed, so that nothing is sampled a second time.
    "input_sentence_size": 200_000_000,
    "self_test_sample_size": 0,
    "unk_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "pad_id": -1,
    "num_threads": _THREADS,
    "minloglevel": 2,
}
"""What SentencePiece is told besides the size: the settings stored in Llama 2's model."""


class Vocabulary:
    """Pieces and ids: 0 unknown, 1 beginning, 2 end of sequence, 3-258 bytes, then learned pieces.

    Control symbols are never read from text: `</s>` in a document is encoded as characters.
    """

    unk = 0
    bos = 1
    eos = 2
    pad = 0
    """Byte fallback leaves nothing unknown, so id 0 is free to fill rows; never the end of
    sequence, which models must learn to produce."""

    def __init__(self, model_path: Path) -> None:
        self.model_path = model_path
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model_path.read_bytes())
        except FileNotFoundError:
            raise InputError("there is no tokenizer.model here", where=str(model_path)) from None
        except RuntimeError:
            raise InputError("the file is no SentencePiece model", where=str(model_path)) from None
        found = tuple(
            int(piece())
            for piece in (self._processor.unk_id, self._processor.bos_id, self._processor.eos_id)
        )
        if found != (self.unk, self.bos, self.eos):
            raise InputError(
                f"unknown, beginning and end of sequence have the ids {found}, not (0, 1, 2)",
                where=str(model_path),
                fix="Use a vocabulary trained by `llamakit tokenizer`, or Llama 2's.",
            )
        self.size = int(self._processor.vocab_size())

    @classmethod
    def load(cls, path: Path | str) -> Vocabulary:
        """Read `tokenizer.model`, or the one in a folder (a vocabulary, a model).

        Raises:
            InputError: the file is missing, is no SentencePiece model, or has other special ids.
        """
        path = Path(path)
        return cls(path / MODEL_FILE if path.is_dir() else path)

    def __len__(self) -> int:
        return self.size

    def __reduce__(self) -> tuple[type[Vocabulary], tuple[Path]]:
        return Vocabulary, (self.model_path,)

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Ids of a text, with the special ids asked for around them."""
        ids: list[int] = self._processor.EncodeAsIds(text)
        return [self.bos] * bos + ids + [self.eos] * eos

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of many texts, without special ids."""
        ids: list[list[int]] = self._processor.encode(list(texts), out_type=int, num_threads=1)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids. The dummy space in front is dropped, and so are special ids."""
        text: str = self._processor.DecodeIds([int(i) for i in ids if i not in (0, 1, 2)])
        return text

    def piece(self, index: int) -> str:
        """The piece as SentencePiece writes it: `▁` is a space, `<0x0A>` a byte."""
        piece: str = self._processor.IdToPiece(index)
        return piece

    def score(self, index: int) -> float:
        """The rank of a piece's merge, negated: of two possible merges the higher is done first."""
        return float(self._processor.GetScore(index))

    @property
    def has_bytes(self) -> bool:
        """Whether ids 3-258 are the bytes 0-255, so that no character is unknown."""
        return self.size > 2 + BYTE_PIECES and all(
            self.piece(3 + byte) == f"<0x{byte:02X}>" for byte in range(BYTE_PIECES)
        )

    def is_learned(self, index: int) -> bool:
        """Whether a piece stands for text: neither a special id nor a byte."""
        return not (
            self._processor.IsControl(index)
            or self._processor.IsUnknown(index)
            or self._processor.IsByte(index)
        )


def train_vocabulary(sentences: Iterable[str], folder: Path, size: int) -> Vocabulary:
    """`learn_vocabulary` from sentences that fit in memory."""
    import polars as pl

    texts = pl.Series(list(sentences), dtype=pl.String)
    words = WordCounts()
    words.add(texts, pl.repeat(1, len(texts), eager=True))
    return learn_vocabulary(words, folder, size)


def learn_vocabulary(
    words: WordCounts, folder: Path, size: int, *, split_digits: bool = True
) -> Vocabulary:
    """Learn a vocabulary of exactly `size` pieces; write `tokenizer.model` and `tokenizer.vocab`.

    The pieces are those that SentencePiece learns from the sentences themselves; only a tab is
    never one. The same words give the same bytes, on any machine.

    Args:
        folder: where the two files go.
        size: pieces in all, with 3 special ids, 256 bytes and every covered character among them.
        split_digits: whether every digit is a piece of its own.

    Raises:
        UsageError: the text has too few distinct pieces for `size`, or too many characters.
        InputError: there are no words.
    """
    if not words:
        raise InputError("there is no text to learn a vocabulary from")
    target = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=words.lines(),
            input_format="tsv",
            model_writer=target,
            vocab_size=size,
            **{**SETTINGS, "split_digits": split_digits},
        )
    except RuntimeError as error:
        raise _explained(error, size) from None
    # How the words were handed over is no property of the vocabulary.
    return write_vocabulary(
        proto.without(target.getvalue(), proto.TRAINER, proto.INPUT_FORMAT), folder
    )


def write_vocabulary(model: bytes, folder: Path) -> Vocabulary:
    """Write a SentencePiece model as `tokenizer.model`, and its pieces as `tokenizer.vocab`."""
    model_path = folder / MODEL_FILE
    with atomic_file(model_path) as path:
        path.write_bytes(model)
    vocabulary = Vocabulary(model_path)
    with atomic_file(folder / PIECES_FILE) as path:
        pieces = (f"{vocabulary.piece(i)}\t{vocabulary.score(i):g}" for i in range(len(vocabulary)))
        path.write_text("\n".join(pieces) + "\n", encoding="utf-8")
    return vocabulary


def _explained(error: RuntimeError, size: int) -> Exception:
    """SentencePiece's message as one that says what to change."""
    text = str(error)
    if too_high := re.search(r"set it to a value <= (\d+)", text):
        return UsageError(
            f"vocab_size {size:,}: this text has only {int(too_high[1]):,} distinct pieces",
            fix=f"Lower vocab_size to {int(too_high[1])} or less, or give more text.",
        )
    if too_low := re.search(r"required_chars\. \d+ vs (\d+)", text):
        return UsageError(
            f"vocab_size {size:,}: the special ids, bytes and characters of this text alone need"
            f" {int(too_low[1]):,}",
            fix=f"Raise vocab_size above {int(too_low[1])}.",
        )
    return UsageError(f"SentencePiece could not learn a vocabulary of {size:,}: {text}")
