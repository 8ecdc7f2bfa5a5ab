"""What there is to mix: every document's source, size, and how often its input reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.artifacts.kinds import Documents
from llamakit.artifacts.mixture import REPEATS, DocumentShard, Piece, pieces, ranges, read_shard
from llamakit.artifacts.store import Version
from llamakit.corpus.mixing.plan import Component
from llamakit.engine.shards import Engine, map_shards
from llamakit.events import Events
from llamakit.text.encoder import Encoder
from llamakit.text.vocabulary import Vocabulary

I64 = NDArray[np.int64]

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Inventory:
    """Every document of the inputs, in order; 32 bytes a document."""

    sources: list[str]
    source_of: I64
    inputs: list[str]
    """The inputs' names."""
    input_of: I64
    tokens: I64
    repeats: I64
    """How often the document's input reads it: 1, or a mixture's count."""
    pieces: list[Piece]
    begins: I64
    """Where each piece's documents begin, one more at the end."""

    def groups(self, by: str) -> tuple[list[str], I64]:
        """Names of what is weighed, and which each document belongs to: by `source` or `input`."""
        if by == "input":
            return self.inputs, self.input_of
        return self.sources, self.source_of

    def components(self, by: str, unit: I64) -> list[Component]:
        """What is weighed, its sizes being sums of `unit` (tokens, or ones)."""
        names, group_of = self.groups(by)
        n_sources = len(self.sources)
        pair_of = group_of * n_sources + self.source_of
        shape = (len(names), n_sources)

        def sums(values: I64) -> NDArray[np.float64]:
            found = np.bincount(pair_of, values, minlength=len(names) * n_sources)
            return found.astype(np.float64).reshape(shape)

        documents, distinct, size = (
            sums(values) for values in (np.ones_like(unit), unit, unit * self.repeats)
        )
        most = np.divide(size, distinct, out=np.ones(shape), where=distinct > 0).max(axis=1)
        return [
            Component(
                name,
                documents=int(documents[n].sum()),
                distinct=int(distinct[n].sum()),
                size=int(size[n].sum()),
                most=float(most[n]),
            )
            for n, name in enumerate(names)
        ]


def take_inventory(
    versions: Sequence[Version[Documents]],
    vocabulary: Path | None,
    work: Path,
    *,
    engine: Engine,
    events: Events,
) -> Inventory:
    """Measure the inputs.

    Args:
        vocabulary: a `tokenizer.model` to count tokens with, BOS and EOS included; without one they
            are estimated from characters.
        work: folder for what is done of the count.
    """
    found = [(n, piece) for n, version in enumerate(versions) for piece in pieces(version)]
    shards = [(n, shard) for n, (_, piece) in enumerate(found) for shard in ranges(piece.shard)]
    tasks = [Count(shard, vocabulary, work / f"{n:05d}.npz") for n, (_, shard) in enumerate(shards)]
    map_shards(
        count,
        tasks,
        done=work / "done",
        # Without a vocabulary it is reading alone, for which starting processes takes longer.
        engine=engine if vocabulary else Engine(1),
        events=events,
        label="measuring",
    )
    _encoder.cache_clear()
    sources: dict[str, int] = {}
    columns: dict[str, list[I64]] = {"source": [], "input": [], "tokens": [], "repeats": []}
    sizes = np.zeros(len(found) + 1, np.int64)
    for (index, _), task in zip(shards, tasks, strict=True):
        with np.load(task.target) as arrays:
            names = [sources.setdefault(name, len(sources)) for name in arrays["names"].tolist()]
            columns["source"].append(np.array(names, np.int64)[arrays["source"]])
            columns["tokens"].append(arrays["tokens"])
            columns["repeats"].append(arrays["repeats"])
        rows = len(columns["tokens"][-1])
        columns["input"].append(np.full(rows, found[index][0], np.int64))
        sizes[index + 1] += rows
    nothing = np.zeros(0, np.int64)
    whole = {name: np.concatenate([nothing, *parts]) for name, parts in columns.items()}
    return Inventory(
        sources=list(sources),
        source_of=whole["source"],
        inputs=[version.name for version in versions],
        input_of=whole["input"],
        tokens=whole["tokens"],
        repeats=whole["repeats"],
        pieces=[piece for _, piece in found],
        begins=np.cumsum(sizes),
    )


@dataclass(frozen=True)
class Count:
    """One piece to measure, and the file that gets its numbers."""

    shard: DocumentShard
    vocabulary: Path | None
    target: Path


def count(task: Count) -> dict[str, Any]:
    """Write source, tokens and repeats of each document of a piece."""
    frame = read_shard(task.shard, ["text", "source"])
    texts = frame["text"]
    if task.vocabulary:
        encoder, bytes_each = _encoder(task.vocabulary)
        lengths = [len(ids) // bytes_each for ids in encoder.encode(texts)]
        tokens = np.array(lengths, np.int64)
    else:
        characters = texts.str.len_chars().to_numpy().astype(np.int64)
        tokens = np.maximum(-(-characters // CHARACTERS_PER_TOKEN), 1)
    names: dict[str, int] = {}
    source_of = [names.setdefault(name, len(names)) for name in frame["source"]]
    with atomic_file(task.target) as path, path.open("wb") as target:
        np.savez(
            target,
            names=np.array(list(names), dtype=np.str_),
            source=np.array(source_of, np.int64),
            tokens=tokens,
            repeats=frame[REPEATS].cast(pl.Int64).to_numpy(),
        )
    return {"documents": len(frame)}


@lru_cache(maxsize=1)
def _encoder(model_path: Path) -> tuple[Encoder, int]:
    encoder = Encoder(Vocabulary.load(model_path))
    return encoder, encoder.bytes_per_token
