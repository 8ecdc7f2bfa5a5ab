"""All texts of a corpus as one file of bytes, mapped into memory: a place in it is one number.

    text.bin   the UTF-8 of all texts, one after another      ids.bin   the same of their ids
    text.npy   where each begins, and the end of the last     ids.npy

Each shard writes its own stretch of the files; what is read of them lies in the page cache, which
the system takes back when it needs memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from llamakit.artifacts.frames import read_table
from llamakit.corpus.duplicates.sketches import save_array

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Column = Literal["text", "id"]
COLUMNS: tuple[Column, ...] = ("text", "id")


@dataclass(frozen=True)
class Flat:
    """The files in a folder."""

    folder: Path

    def offsets(self, column: Column = "text") -> I64:
        """Where each document's value begins, and where the last one ends."""
        found: I64 = np.load(self.folder / f"{column}.npy", mmap_mode="r")
        return found

    def data(self, column: Column = "text") -> U8:
        """The bytes of all values."""
        path = self.folder / f"{column}.bin"
        if not path.stat().st_size:
            return np.zeros(0, np.uint8)  # an empty file cannot be mapped
        return np.memmap(path, np.uint8, "r")

    def value(self, number: int, column: Column = "text") -> str:
        """The value of document `number`."""
        start, stop = self.offsets(column)[number : number + 2].tolist()
        return self.data(column)[start:stop].tobytes().decode()


@dataclass(frozen=True)
class Measure:
    """Measure the values of `part`; their lengths go to `out`, (columns, documents)."""

    part: Path
    out: Path


@dataclass(frozen=True)
class Lay:
    """Write the values of `part` into the files, from these bytes on, one number a column."""

    part: Path
    flat: Flat
    begins: tuple[int, ...]


def measure(shard: Measure) -> dict[str, Any]:
    """Returns how many documents there are."""
    frame = read_table(shard.part, list(COLUMNS))
    lengths = [frame[column].str.len_bytes().cast(int).to_numpy() for column in COLUMNS]
    save_array(shard.out, np.stack(lengths).astype(np.int64))
    return {"documents": frame.height}


def lays(measures: Sequence[Measure], flat: Flat) -> tuple[list[Lay], list[int]]:
    """Make room in the files; the tasks that fill it, and the number each shard's documents begin
    at, with their total at the end."""
    lengths = [np.load(item.out) for item in measures]
    flat.folder.mkdir(parents=True, exist_ok=True)
    begins = np.zeros((len(measures) + 1, len(COLUMNS)), np.int64)
    for index, column in enumerate(COLUMNS):
        whole = np.concatenate([np.zeros(1, np.int64), *(each[index] for each in lengths)])
        offsets = np.cumsum(whole)
        save_array(flat.folder / f"{column}.npy", offsets)
        begins[1:, index] = np.cumsum([each[index].sum() for each in lengths])
        with (flat.folder / f"{column}.bin").open("ab") as file:
            file.truncate(int(offsets[-1]))
    documents = np.cumsum([0, *(each.shape[1] for each in lengths)]).tolist()
    tasks = [
        Lay(item.part, flat, tuple(begins[index].tolist())) for index, item in enumerate(measures)
    ]
    return tasks, documents


def lay(shard: Lay) -> dict[str, Any]:
    """Returns how many bytes of text were written."""
    frame = read_table(shard.part, list(COLUMNS))
    sizes = {}
    for column, begin in zip(COLUMNS, shard.begins, strict=True):
        listed = frame[column].to_list()
        with (shard.flat.folder / f"{column}.bin").open("r+b") as file:
            file.seek(begin)
            sizes[column] = sum(file.write(value.encode()) for value in listed)
            file.flush()
            os.fsync(file.fileno())
    return {"bytes": sizes["text"]}
