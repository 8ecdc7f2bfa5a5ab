"""Documents become a vocabulary."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Vocabulary
from llamakit.artifacts.store import Version
from llamakit.stages.fields import Identity, Input
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Stage):
    """Learn a vocabulary from documents: SentencePiece byte-pair encoding, as Llama 2's.

    Digits are split one by one, characters outside the vocabulary fall back to bytes, text is not
    normalised. Documents that a mix up-samples weigh as often as they are to be read. Lines are
    what SentencePiece calls sentences.
    """

    documents: Input[Documents]
    """Documents to learn from."""
    vocab_size: Identity[Annotated[int, Ge(260)]] = 32_000
    """Pieces in all: 3 special ids, 256 bytes, every common character, then the merges."""
    input_sentences: Identity[Annotated[int, Ge(1)]] = 200_000_000
    """Learn from about so many lines, drawn at random where there are more. SentencePiece holds
    them in memory."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of that draw."""

    makes: ClassVar = Vocabulary
    revision: ClassVar = 1
    panel: ClassVar = "Tokenizer"

    def run(self, draft: Draft[Vocabulary]) -> Outcome:
        """Read the documents once or twice, then learn."""
        from llamakit.text.vocabulary import train_vocabulary

        version = draft.input(self.documents)
        lines = _count_lines(version)
        share = min(1.0, self.input_sentences / max(lines, 1))
        counts = {"lines": lines, "sentences": 0}
        with draft.events.task("read", total=lines, unit="lines") as task:
            sentences = _sentences(version, share, self.seed, counts, task)
            vocabulary = train_vocabulary(sentences, draft.path, self.vocab_size)
        bytes_per_token, sample = _compression(version, vocabulary)
        return Outcome(
            counts={**counts, "pieces": vocabulary.size, "sample_tokens": sample},
            metrics={"bytes_per_token": bytes_per_token},
            headline=f"{vocabulary.size:,} pieces, {bytes_per_token:.2f} bytes a token",
        )


def _count_lines(version: Version[Documents]) -> int:
    import polars as pl

    from llamakit.artifacts.mixture import document_shards, read_shard

    lines = 0
    for shard in document_shards(version):
        frame = read_shard(shard, ["text"])
        per_document = (pl.col("text").str.count_matches("\n", literal=True) + 1).cast(pl.Int64)
        lines += int(frame.select((per_document * pl.col("repeats")).sum()).item())
    return lines


def _sentences(
    version: Version[Documents], share: float, seed: int, counts: dict[str, int], task: Any
) -> Iterator[str]:
    """Lines of all documents, or a random share of them; `counts["sentences"]` tells how many."""
    import numpy as np

    from llamakit.artifacts.mixture import document_shards, read_shard
    from llamakit.text.vocabulary import split_sentences

    for index, shard in enumerate(document_shards(version)):
        frame = read_shard(shard, ["text"])
        draws = np.random.default_rng([seed, index])
        for text, repeats in zip(frame["text"], frame["repeats"], strict=True):
            for _ in range(repeats):
                task.advance(text.count("\n") + 1)
                for sentence in split_sentences(text):
                    if share < 1.0 and draws.random() >= share:
                        continue
                    counts["sentences"] += 1
                    yield sentence


def _compression(version: Version[Documents], vocabulary: Any) -> tuple[float, int]:
    """Bytes of text a token, and the tokens counted: over a first thousand documents."""
    from llamakit.artifacts.mixture import document_shards, read_shard

    texts = read_shard(document_shards(version)[0], ["text"])["text"].head(1000).to_list()
    tokens = sum(len(ids) for ids in vocabulary.encode_batch(texts))
    return sum(len(text.encode()) for text in texts) / max(tokens, 1), tokens
