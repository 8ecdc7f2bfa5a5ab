"""A shard's sketches on disk: its documents' keys, band by band, sorted for the pairing.

One array of 64-bit numbers a shard, (bands + 4, documents):

    rows 0 … bands-1   key << 24 | row of the document, ascending: the first 40 bits of a band's key
    row bands          the same of the exact key
    two rows           the exact key, 128 bits, by document
    the last row       bytes of the text, by document
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.artifacts.frames import read_table
from llamakit.corpus.duplicates.settings import Settings
from llamakit.corpus.duplicates.signatures import band_keys, sketch
from llamakit.corpus.duplicates.texts import slices
from llamakit.errors import InputError

U64 = NDArray[np.uint64]

ROW_BITS = 24
NO_BAND = 2**40 - 1
"""The key of documents without words: these are no candidates."""


@dataclass(frozen=True)
class SketchPart:
    """Sketch the documents of `part` into `file`."""

    part: Path
    file: Path
    settings: Settings


def sketch_part(shard: SketchPart) -> dict[str, Any]:
    """Write the shard's sketches; returns how many documents and bytes of text there are."""
    texts = read_table(shard.part, ["text"])["text"]
    if len(texts) >> ROW_BITS:
        raise InputError(f"more than {2**ROW_BITS:,} documents in one part", where=str(shard.part))
    settings = shard.settings
    bands = settings.bands if settings.near else 0
    table = np.empty((bands + 4, len(texts)), np.uint64)
    for start, piece in slices(texts):
        stop = start + len(piece)
        found = sketch(piece, settings.ngram, settings.num_perm if bands else 0, settings.seed)
        if bands:
            table[:bands, start:stop] = band_keys(found, bands, settings.rows)
        table[bands + 1 : bands + 3, start:stop] = found.exact
        table[bands + 3, start:stop] = np.diff(piece.offsets)
    table[bands] = table[bands + 1]
    rows = np.arange(len(texts), dtype=np.uint64)
    low = np.uint64(2**ROW_BITS - 1)
    for band in range(bands + 1):
        table[band] = np.sort(table[band] & ~low | rows)
    save_array(shard.file, table)
    return {"documents": len(texts), "bytes": int(table[bands + 3].sum())}


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write a plain array, atomically."""
    with atomic_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
