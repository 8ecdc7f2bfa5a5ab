"""Texts as the kernel reads them: UTF-8 bytes one after another, composed where they need it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.corpus.duplicates import kernel
from llamakit.corpus.duplicates.alphabet import alphabet

SLICE_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Texts:
    """Consecutive documents: `data[offsets[d]:offsets[d + 1]]` is the UTF-8 of document d, and
    `by_character[d]` says that it is mostly of scripts without spaces between words."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    by_character: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def slices(texts: pl.Series, size: int = SLICE_BYTES) -> Iterator[tuple[int, Texts]]:
    """The texts, about `size` bytes at a time (one text at least): where each slice starts, and
    its texts in canonical composition."""
    ends = texts.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy()
    start = 0
    while start < len(ends):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + size, side="right")))
        yield start, encode(texts.slice(start, stop - start))
        start = stop


def encode(texts: pl.Series) -> Texts:
    """The texts, those that are not in canonical composition (NFC) composed."""
    found, composes = _surveyed(texts)
    places = np.flatnonzero(composes).tolist()
    changed = {
        place: unicodedata.normalize("NFC", text)
        for place, text in zip(places, texts.gather(places).to_list(), strict=True)
        if not unicodedata.is_normalized("NFC", text)
    }
    if changed:
        whole = texts.to_list()
        for place, text in changed.items():
            whole[place] = text
        found, _ = _surveyed(pl.Series(whole, dtype=pl.String))
    return found


def _surveyed(texts: pl.Series) -> tuple[Texts, NDArray[np.bool_]]:
    lengths = texts.str.len_bytes().to_numpy()
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    # Strings lie scattered in memory; as a list of bytes, exploded, they lie one after another.
    listed = texts.cast(pl.Binary).cast(pl.List(pl.UInt8))
    data = np.ascontiguousarray(listed.explode(empty_as_null=False).to_numpy())
    composes, by_character = np.zeros(len(lengths), bool), np.zeros(len(lengths), bool)
    kernel.survey(data, offsets, alphabet().entries, composes, by_character)
    return Texts(data, offsets, by_character), composes
