"""A tokenizer made elsewhere, Llama 2's for one, taken over as a vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

from llamakit.errors import InputError
from llamakit.text import proto
from llamakit.text.llama2c import convert_tokenizer_bin
from llamakit.text.tokenizer_json import convert_tokenizer_json
from llamakit.text.vocabulary import BYTE_PIECES, MODEL_FILE, Vocabulary, write_vocabulary

JSON_FILE = "tokenizer.json"
LLAMA2C_FILES = "tok*.bin"


def take_vocabulary(source: Path, folder: Path) -> Vocabulary:
    """Check a tokenizer and write it as a vocabulary; the bytes of a SentencePiece model stay as
    they are.

    Args:
        source: `tokenizer.model`, llama2.c's `tokenizer.bin`, a `tokenizer.json` that was made from
            a SentencePiece model, or a folder (a model's, a tokenizer's) with one of them in it.
        folder: where `tokenizer.model` and `tokenizer.vocab` go.

    Raises:
        InputError: there is no such file, or it is of a kind that could not be encoded with, here
            or in `transformers`, as it is meant to.
    """
    names = {path.name: path for path in source.iterdir()} if source.is_dir() else {}
    path = find_tokenizer(names) if source.is_dir() else source
    return write_checked(model_of(path or source / MODEL_FILE), folder, str(path or source))


def find_tokenizer(files: Mapping[str, Path]) -> Path | None:
    """Of files by name, the tokenizer: a SentencePiece model rather than what is made from one."""
    found = [files[name] for name in (MODEL_FILE, JSON_FILE) if name in files]
    found += [files[name] for name in sorted(files) if fnmatch(name, LLAMA2C_FILES)]
    return found[0] if found else None


def model_of(path: Path) -> bytes:
    """The SentencePiece model that a tokenizer's file is, or was made from."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no {path.name} here", where=str(path)) from None
    if path.suffix == ".bin":
        return convert_tokenizer_bin(data, str(path))
    if path.suffix == ".json":
        return convert_tokenizer_json(data, str(path))
    return data


def write_checked(model: bytes, folder: Path, where: str) -> Vocabulary:
    """Write a SentencePiece model as a vocabulary, or raise InputError as `take_vocabulary` does.
    `where` is where it comes from, for that error."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / MODEL_FILE
        path.write_bytes(model)
        try:
            found = Vocabulary(path)
        except InputError as error:
            raise InputError(error.what, where=where, fix=error.fix) from None
        if wrong := _unsuitable(model) or _without_bytes(found):
            raise InputError(
                wrong,
                where=where,
                fix="Take a byte-pair vocabulary with Llama 2's settings, or learn one from"
                " documents.",
            )
    return write_vocabulary(model, folder)


def joined_digits(vocabulary: Vocabulary) -> int:
    """Pieces that hold a digit and more: none where digits are split one by one."""
    pieces = (vocabulary.piece(i) for i in range(vocabulary.size) if vocabulary.is_learned(i))
    return sum(len(piece) > 1 and any(map(str.isdecimal, piece)) for piece in pieces)


def _without_bytes(vocabulary: Vocabulary) -> str:
    if vocabulary.has_bytes:
        return ""
    return f"the ids 3-{2 + BYTE_PIECES} are not the bytes, so some characters would be unknown"


def _unsuitable(model: bytes) -> str:
    """What of a model's settings differs from Llama 2's in what text becomes; empty: nothing."""
    parts = proto.settings(model)
    trainer, normalizer = (
        proto.settings(part) if isinstance(part := parts.get(number, b""), bytes) else {}
        for number in (proto.TRAINER, proto.NORMALIZER)
    )
    # Absent fields have the defaults of SentencePiece.
    if trainer.get(proto.MODEL_KIND, 1) != proto.BPE:
        return "the vocabulary is no byte-pair encoding (it is a unigram, word or character model)"
    if normalizer.get(proto.CHARACTER_MAP):
        return "the vocabulary rewrites characters before it encodes (its normalizer has a table)"
    if normalizer.get(proto.FEWER_SPACES, 1):
        return "the vocabulary drops repeated spaces, so texts would not come back"
    if trainer.get(proto.SPACE_AS_SUFFIX, 0) or not (
        normalizer.get(proto.DUMMY_SPACE, 1) and normalizer.get(proto.ESCAPED_SPACES, 1)
    ):
        return "the vocabulary does not put a space, written as part of the piece, before a text"
    kinds = [
        proto.settings(field.value).get(proto.PIECE_KIND, proto.NORMAL)
        for field in proto.fields(model)
        if field.number == proto.PIECES and isinstance(field.value, bytes)
    ]
    others = sum(kind in (proto.USER_DEFINED, proto.UNUSED) for kind in kinds)
    return f"{others} pieces are user-defined or unused, not learned" if others else ""
