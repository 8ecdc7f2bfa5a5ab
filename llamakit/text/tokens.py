"""Token stores: a corpus as one flat file of ids, mapped into memory and never loaded.

    tokens.bin      all documents' ids, one after another, little-endian uint16 (uint32 past 65,536)
    offsets.bin     uint64, n_documents + 1: document i is tokens[offsets[i] : offsets[i + 1]]
    order.bin       uint32 document indices to train on; an up-sampled document stands in it often
    validation.bin  uint32 document indices kept out of training
    sources.bin     uint32 a document: the source it is of
    names.bin       the documents' ids in UTF-8, one after another
    name_ends.bin   uint64 a document: where in names.bin its id ends
    tokens.json     dtype, vocabulary size, counts, and the sources' names
    tokenizer.model the vocabulary that the ids are of

A document is BOS, its text, EOS: BOS as in Llama 2's own inputs, EOS so that a base model learns
where a text ends. Documents lie in the order of the parts they come from; shuffling is the
training loader's work.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.errors import InputError

TOKENS_FILE = "tokens.bin"
OFFSETS_FILE = "offsets.bin"
ORDER_FILE = "order.bin"
VALIDATION_FILE = "validation.bin"
SOURCES_FILE = "sources.bin"
NAMES_FILE = "names.bin"
NAME_ENDS_FILE = "name_ends.bin"
INDEX_FILE = "tokens.json"

Writing = Callable[[str], AbstractContextManager[Path]]
"""Yields a temporary path for a file name, renamed into place on success (`Draft.writing`)."""


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """The type of ids in `tokens.bin`: the smallest of uint16 and uint32 that holds them."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


@dataclass(frozen=True)
class TokenStore:
    """A token store, its arrays mapped into memory."""

    tokens: NDArray[Any]
    """uint16 or uint32 [n_tokens]."""
    offsets: NDArray[np.uint64]
    """uint64 [n_documents + 1]."""
    order: NDArray[np.uint32]
    """uint32: documents to train on, repeated as often as they are to be read in one epoch."""
    validation: NDArray[np.uint32]
    """uint32: documents held out, each once. No text of theirs is in `order`."""
    vocab_size: int
    source_of: NDArray[np.uint32]
    """uint32 [n_documents]: the place of each document's source among `sources`."""
    sources: tuple[str, ...]
    """Names, in the order of their first documents."""
    names: NDArray[np.uint8]
    """The documents' ids in UTF-8."""
    name_ends: NDArray[np.uint64]
    """uint64 [n_documents]: where in `names` each ends."""

    @classmethod
    def open(cls, folder: Path) -> TokenStore:
        """Map a store.

        Raises:
            InputError: a file is missing, or its size contradicts `tokens.json`.
        """
        index_path = folder / INDEX_FILE
        try:
            index = json.loads(index_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError("there is no tokens.json here", where=str(folder)) from None
        except ValueError as error:  # not JSON, or not UTF-8
            raise InputError(f"not valid JSON ({error})", where=str(index_path)) from None
        # Stores of before sources and ids were kept: of one source, and nothing has a name.
        named, identified = "sources" in index, "name_bytes" in index
        return cls(
            tokens=_mapped(folder / TOKENS_FILE, index["dtype"], index["tokens"]),
            offsets=_mapped(folder / OFFSETS_FILE, "<u8", index["documents"] + 1),
            order=_mapped(folder / ORDER_FILE, "<u4", index["order"]),
            validation=_mapped(folder / VALIDATION_FILE, "<u4", index["validation"]),
            vocab_size=index["vocab_size"],
            source_of=_mapped(folder / SOURCES_FILE, "<u4", index["documents"])
            if named
            else np.zeros(index["documents"], "<u4"),
            sources=tuple(index["sources"]) if named else ("",),
            names=_mapped(folder / NAMES_FILE, "u1", index.get("name_bytes", 0))
            if identified
            else np.empty(0, "u1"),
            name_ends=_mapped(folder / NAME_ENDS_FILE, "<u8", index["documents"])
            if identified
            else np.zeros(index["documents"], "<u8"),
        )

    @property
    def n_tokens(self) -> int:
        """Tokens in the file, each document counted once."""
        return len(self.tokens)

    @property
    def n_documents(self) -> int:
        """Documents in the file."""
        return len(self.offsets) - 1

    @property
    def training_tokens(self) -> int:
        """Tokens that one epoch reads."""
        return int((self.offsets[self.order + 1] - self.offsets[self.order]).sum())

    def document(self, index: int) -> NDArray[Any]:
        """Ids of one document, BOS and EOS included."""
        return self.tokens[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def name(self, index: int) -> str:
        """The id of one document; its number where the store does not know it."""
        begin = int(self.name_ends[index - 1]) if index else 0
        name = bytes(self.names[begin : int(self.name_ends[index])]).decode("utf-8")
        return name or f"document {index}"


def is_held_out(text: str, share: float, seed: int) -> bool:
    """Whether a document belongs to validation: decided by a hash of its text, so that equal texts
    fall on the same side whatever their ids, their shards and the number of documents.
    """
    return xxhash.xxh64_intdigest(text.encode("utf-8"), seed) < share * 2**64


@dataclass(frozen=True)
class TokenPart:
    """One shard's share of a store, in scratch files that `join_parts` concatenates."""

    tokens: Path
    """Ids, in the store's dtype."""
    lengths: Path
    """uint32: tokens of each document."""
    repeats: Path
    """uint32: times that each document is read in an epoch; 0 keeps it for validation."""
    sources: Path
    """uint32: the source of each document, by its place among the part's names."""
    names: Path
    """JSON: the names of the part's sources, in the order of their first documents."""
    ids: Path
    """The documents' ids in UTF-8, one after another."""
    id_lengths: Path
    """uint32: bytes of each document's id."""


def write_part(
    part: TokenPart,
    documents: Iterable[bytes],
    repeats: Sequence[int],
    sources: Iterable[str],
    names: Iterable[str],
    vocab_size: int,
) -> NDArray[np.uint32]:
    """Write one shard's documents into its scratch files.

    Args:
        documents: ids of each with its BOS and EOS, as bytes in the store's dtype (`Encoder`).
        repeats: how often each is read in an epoch.
        sources: the name of each one's source.
        names: each one's id.

    Returns:
        uint32: tokens of each document.
    """
    ends = [0]
    with atomic_file(part.tokens) as temporary, temporary.open("wb") as target:
        for ids in documents:
            target.write(ids)
            ends.append(ends[-1] + len(ids))
    lengths = (np.diff(ends) // token_dtype(vocab_size).itemsize).astype("<u4")
    codes: dict[str, int] = {}
    source_of = [codes.setdefault(name, len(codes)) for name in sources]
    encoded = [name.encode("utf-8") for name in names]
    for path, values in (
        (part.lengths, lengths),
        (part.repeats, np.asarray(repeats, dtype="<u4")),
        (part.sources, np.asarray(source_of, dtype="<u4")),
        (part.id_lengths, np.asarray([len(name) for name in encoded], dtype="<u4")),
    ):
        with atomic_file(path) as temporary:
            values.tofile(temporary)
    with atomic_file(part.ids) as temporary:
        temporary.write_bytes(b"".join(encoded))
    with atomic_file(part.names) as temporary:
        temporary.write_text(json.dumps(list(codes)), encoding="utf-8")
    return lengths


def join_parts(parts: Sequence[TokenPart], vocab_size: int, writing: Writing) -> dict[str, int]:
    """Concatenate shards into a store; memory stays bounded by the per-document arrays.

    Returns:
        Counts: `documents`, `tokens`, `order` (reads of an epoch), `training_tokens` (tokens of an
        epoch), `validation` and `validation_tokens`.
    """
    lengths = _joined([part.lengths for part in parts])
    repeats = _joined([part.repeats for part in parts])
    offsets = np.zeros(len(lengths) + 1, dtype="<u8")
    np.cumsum(lengths, dtype=np.uint64, out=offsets[1:])
    documents = np.arange(len(lengths), dtype="<u4")
    order = np.repeat(documents, repeats)
    validation = documents[repeats == 0]
    for name, pieces in (
        (TOKENS_FILE, [part.tokens for part in parts]),
        (NAMES_FILE, [part.ids for part in parts]),
    ):
        with writing(name) as path, path.open("wb") as target:
            for piece in pieces:
                with piece.open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
    name_ends = np.cumsum(_joined([part.id_lengths for part in parts]), dtype="<u8")
    source_of, sources = _joined_sources(parts)
    for name, values in (
        (OFFSETS_FILE, offsets),
        (ORDER_FILE, order),
        (VALIDATION_FILE, validation),
        (SOURCES_FILE, source_of),
        (NAME_ENDS_FILE, name_ends),
    ):
        with writing(name) as path:
            values.tofile(path)
    counts = {
        "documents": len(lengths),
        "tokens": int(offsets[-1]),
        "order": len(order),
        "training_tokens": int((lengths.astype(np.int64) * repeats).sum()),
        "validation": len(validation),
        "validation_tokens": int(lengths[validation].sum(dtype=np.int64)),
    }
    index = {"dtype": token_dtype(vocab_size).str, "vocab_size": vocab_size, **counts}
    index["name_bytes"] = int(name_ends[-1]) if len(name_ends) else 0
    index["sources"] = sources
    with writing(INDEX_FILE) as path:
        text = json.dumps(index, indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
    return counts


def _joined_sources(parts: Sequence[TokenPart]) -> tuple[NDArray[np.uint32], list[str]]:
    """The source of each document, and the names of all sources."""
    codes: dict[str, int] = {}
    pieces = [np.empty(0, dtype="<u4")]
    for part in parts:
        names = json.loads(part.names.read_text(encoding="utf-8"))
        places = np.array([codes.setdefault(name, len(codes)) for name in names], dtype="<u4")
        pieces.append(places[np.fromfile(part.sources, dtype="<u4")])
    return np.concatenate(pieces), list(codes)


def _joined(paths: Sequence[Path]) -> NDArray[np.uint32]:
    arrays = [np.fromfile(path, dtype="<u4") for path in paths]
    return np.concatenate(arrays) if arrays else np.empty(0, dtype="<u4")


def _mapped(path: Path, dtype: str, count: int) -> NDArray[Any]:
    size = np.dtype(dtype).itemsize * count
    try:
        present = path.stat().st_size
    except FileNotFoundError:
        raise InputError("the file is missing", where=str(path)) from None
    if present != size:
        raise InputError(
            f"the file has {present:,} bytes where tokens.json says {size:,}",
            where=str(path),
            fix="Run the stage that made it again (`llamakit verify` names damaged files).",
        )
    if count == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=(count,))
