"""Write a mixture: which rows of which parts are read, and how often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.files import write_json
from llamakit.artifacts.frames import part_name, read_table, write_table
from llamakit.artifacts.mixture import MIXTURE_FILE, MIXTURE_FOLDER, MIXTURE_SCHEMA, PICKS
from llamakit.corpus.mixing.inventory import Inventory

I64 = NDArray[np.int64]


def write_mixture(target: Path, inventory: Inventory, repeats: I64) -> None:
    """Write `mixture.json` and `mixture/` below `target`; no text is copied.

    Args:
        repeats: how often each document of the inventory is read, 0 for never.
    """
    inputs: dict[str, int] = {}
    shards: list[dict[str, int | str]] = []
    for index, piece in enumerate(inventory.pieces):
        number = inputs.setdefault(piece.digest, len(inputs))
        begin, end = int(inventory.begins[index]), int(inventory.begins[index + 1])
        taken = np.flatnonzero(repeats[begin:end])
        if not len(taken):
            continue
        if piece.shard.picks is None:
            frame = read_table(piece.shard.part, ["id", "source"])[taken]
            frame = frame.with_columns(pl.Series("row", taken))
        else:
            frame = read_table(piece.shard.picks, ["row", "id", "source"])[taken]
        frame = frame.with_columns(pl.Series("repeats", repeats[begin:end][taken]))
        picks = f"{MIXTURE_FOLDER}/{part_name(len(shards))}"
        write_table(target / picks, frame, PICKS)
        shards.append({"input": number, "part": piece.part, "picks": picks})
    write_json(
        target / MIXTURE_FILE,
        {"schema": MIXTURE_SCHEMA, "inputs": list(inputs), "shards": shards},
    )
