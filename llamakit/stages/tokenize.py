"""Documents and a vocabulary become tokens."""

import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Tokens, Vocabulary
from llamakit.artifacts.record import LOG_FOLDER
from llamakit.stages.fields import Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome

_RANGE_BYTES = 2**22
"""Of a part's file, a range: a third of a second's work, so that a part of few but long documents
keeps several processes busy too."""


@dataclass(frozen=True, kw_only=True)
class Tokenize(Sharded):
    """Encode documents as token ids, for pretraining.

    Each document is BOS, its text, EOS. A document that a mix up-samples is stored once and stands
    in the reading order as often as it is to be read. A share of the documents is kept out of that
    order for validation; equal texts always fall on the same side. The vocabulary is copied along.
    """

    documents: Input[Documents]
    """Documents to encode."""
    vocabulary: Input[Vocabulary]
    """Vocabulary to encode with."""
    validation_share: Identity[Annotated[float, Interval(ge=0, lt=1)]] = 0.01
    """Share of the documents that is held out of training (0-1)."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the choice of held-out documents."""

    makes: ClassVar = Tokens
    revision: ClassVar = 3
    panel: ClassVar = "Tokenizer"

    def run(self, draft: Draft[Tokens]) -> Outcome:
        """Encode shard by shard, then concatenate."""
        from llamakit.artifacts.mixture import shard_ranges
        from llamakit.engine.shards import map_shards
        from llamakit.text.compression import SourceCount, counts_of, merged, metrics_of, report
        from llamakit.text.tokens import join_parts
        from llamakit.text.vocabulary import MODEL_FILE
        from llamakit.text.vocabulary import Vocabulary as Pieces

        model_path = Pieces.load(draft.input(self.vocabulary).path).model_path
        shards = [
            Shard(shard, model_path, draft.work / "ranges" / f"{index:05d}", self._split())
            for index, shard in enumerate(shard_ranges(draft.input(self.documents), _RANGE_BYTES))
        ]
        results = map_shards(
            encode_shard,
            shards,
            done=draft.work / "done-ranges",
            engine=self.runs_on(),
            events=draft.events,
            label="tokenize",
        )
        _encoder.cache_clear()
        size = Pieces.load(model_path).size
        with draft.writing(MODEL_FILE) as path:
            shutil.copyfile(model_path, path)
        counts = join_parts([shard.part() for shard in shards], size, draft.writing)
        sources = merged(
            {name: SourceCount(*values) for name, values in result.items()} for result in results
        )
        with draft.writing(f"{LOG_FOLDER}/report.html") as path:
            path.write_text(report(sources, size), encoding="utf-8")
        whole = sum(sources.values(), SourceCount())
        return Outcome(
            counts={**counts, "bytes": whole.bytes, **counts_of(sources)},
            metrics=metrics_of(sources),
            headline=f"{counts['training_tokens']:,} tokens an epoch,"
            f" {counts['validation_tokens']:,} held out, {whole.bytes_per_token:.2f} bytes a token",
        )

    def _split(self) -> tuple[float, int]:
        return self.validation_share, self.seed


@dataclass(frozen=True)
class Shard:
    """What a worker process gets: where to read and write, nothing more."""

    documents: Any
    """One of `artifacts.mixture.shard_ranges`."""
    model_path: Path
    scratch: Path
    """Scratch files are this path with different endings."""
    split: tuple[float, int]
    """Share held out, and its seed."""

    def part(self) -> Any:
        """The scratch files."""
        from llamakit.text.tokens import TokenPart

        return TokenPart(
            tokens=self.scratch.with_suffix(".tokens"),
            lengths=self.scratch.with_suffix(".lengths"),
            repeats=self.scratch.with_suffix(".repeats"),
            sources=self.scratch.with_suffix(".sources"),
            names=self.scratch.with_suffix(".names"),
            ids=self.scratch.with_suffix(".ids"),
            id_lengths=self.scratch.with_suffix(".id-lengths"),
        )


def encode_shard(shard: Shard) -> dict[str, Any]:
    """Encode one shard's documents into its scratch files; what each source holds, in the order of
    `SourceCount`'s fields."""
    from dataclasses import astuple

    import numpy as np

    from llamakit.artifacts.mixture import read_shard
    from llamakit.text.compression import count_sources
    from llamakit.text.tokens import is_held_out, write_part

    encoder, vocab_size = _encoder(shard.model_path)
    frame = read_shard(shard.documents, ["id", "text", "source"])
    texts = frame["text"]
    repeats = [
        0 if is_held_out(text, *shard.split) else times
        for text, times in zip(texts, frame["repeats"], strict=True)
    ]
    lengths = write_part(
        shard.part(), encoder.encode(texts), repeats, frame["source"], frame["id"], vocab_size
    )
    counts = count_sources(
        frame["source"],
        texts.str.len_bytes().to_numpy().astype(np.int64),
        lengths.astype(np.int64),
        np.array(repeats, np.int64),
    )
    return {name: astuple(count) for name, count in counts.items()}


@lru_cache(maxsize=1)
def _encoder(model_path: Path) -> tuple[Any, int]:
    """Kept from shard to shard of a process, with the words it has met: they change its speed, and
    nothing it gives."""
    from llamakit.text.encoder import Encoder
    from llamakit.text.vocabulary import Vocabulary as Pieces

    vocabulary = Pieces.load(model_path)
    return Encoder(vocabulary), vocabulary.size
