"""Documents become a vocabulary, or one that exists is taken over."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from annotated_types import Ge

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Vocabulary
from llamakit.artifacts.store import Version
from llamakit.errors import UsageError
from llamakit.stages.fields import Files, Identity, Input
from llamakit.stages.stage import Outcome, Stage

if TYPE_CHECKING:
    from llamakit.text.vocabulary import Vocabulary as Pieces
    from llamakit.text.words import WordCounts

SAMPLED_DOCUMENTS = 500
SAMPLED_CHARACTERS = 2_000
"""Compression is measured on the beginnings of about so many documents, evenly spaced."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Stage):
    """Learn a vocabulary from documents: SentencePiece byte-pair encoding, as Llama 2's.

    Digits are split one by one, characters outside the vocabulary fall back to bytes, text is not
    normalised. Documents that a mix up-samples weigh as often as they are to be read. With `--from`
    nothing is learned: a tokenizer.model that exists, such as Llama 2's, is checked and taken over.
    """

    documents: Input[Documents] | None = None
    """Documents to learn from."""
    from_: Files = ()
    """A tokenizer.model, llama2.c's tokenizer.bin, a tokenizer.json that was made from such, or a
    folder that holds one, to take over as it is instead."""
    vocab_size: Identity[Annotated[int, Ge(260)]] = 32_000
    """Pieces in all: 3 special ids, 256 bytes, every common character, then the merges."""
    split_digits: Identity[bool] = True
    """Take numbers apart, digit by digit, as Llama 2 does; off lets digits be merged."""
    input_sentences: Identity[Annotated[int, Ge(1)]] = 200_000_000
    """Learn from about so many lines, drawn at random where there are more. Memory is needed for
    their distinct words only."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of that draw."""

    makes: ClassVar = Vocabulary
    revision: ClassVar = 2
    panel: ClassVar = "Tokenizer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.documents is None) == (not self.from_):
            raise UsageError(
                "give documents to learn from, or one file with --from", where="tokenizer"
            )
        if len(self.from_) > 1:
            raise UsageError("from takes one file", where="tokenizer")
        for key in ("vocab_size", "split_digits", "input_sentences", "seed"):
            if self.from_ and getattr(self, key) != getattr(type(self), key):
                raise UsageError(
                    f"from takes a vocabulary as it is, so {key} cannot be chosen",
                    where="tokenizer",
                )

    def run(self, draft: Draft[Vocabulary]) -> Outcome:
        """Count words and learn from the counts; or check what is there and copy it."""
        from llamakit.text.huggingface import write_tokenizer_files

        if self.documents is None:
            vocabulary, outcome = self._take(draft)
        else:
            vocabulary, outcome = self._learn(draft, draft.input(self.documents))
        write_tokenizer_files(draft.path, vocabulary, max_seq_len=None, chat=False)
        return outcome

    def _take(self, draft: Draft[Vocabulary]) -> "tuple[Pieces, Outcome]":
        from llamakit.text.existing import joined_digits, take_vocabulary

        with draft.events.task("take over", total=1, unit="files") as task:
            vocabulary = take_vocabulary(draft.files(self.from_)[0].path, draft.path)
            task.advance()
        if joined := joined_digits(vocabulary):
            draft.events.warn(f"{joined:,} pieces hold a digit and more: digits are not split")
        counts = {"pieces": vocabulary.size, "joined_digits": joined}
        return vocabulary, Outcome(counts, headline=f"{vocabulary.size:,} pieces, taken over")

    def _learn(
        self, draft: Draft[Vocabulary], version: Version[Documents]
    ) -> "tuple[Pieces, Outcome]":
        from llamakit.text.vocabulary import learn_vocabulary

        documents, lines, reads, sentences = _measure(version)
        share = min(1.0, self.input_sentences / max(sentences, 1))
        with draft.events.task("count words", total=lines, unit="lines") as task:
            words = _count_words(version, share, self.seed, task)
        draft.events.note(f"learning from {words.sentences:,} lines")
        vocabulary = learn_vocabulary(
            words, draft.path, self.vocab_size, split_digits=self.split_digits
        )
        counts, metrics = _compression(version, vocabulary, -(-documents // SAMPLED_DOCUMENTS))
        counts = {"lines": reads, "sentences": words.sentences, "pieces": vocabulary.size, **counts}
        headline = f"{vocabulary.size:,} pieces, {metrics['bytes_per_token']:.2f} bytes a token"
        return vocabulary, Outcome(counts, metrics, headline)


def _measure(version: Version[Documents]) -> tuple[int, int, int, int]:
    """Documents, their lines, their lines as often as they are read, and of those the not blank."""
    import polars as pl

    from llamakit.artifacts.mixture import document_shards, read_shard
    from llamakit.text.words import FILLED_LINE

    documents = lines = reads = sentences = 0
    for shard in document_shards(version):
        frame = read_shard(shard, ["text"])
        per_document = frame["text"].str.count_matches("\n", literal=True).cast(pl.Int64) + 1
        documents += len(frame)
        lines += int(per_document.sum())
        reads += int((per_document * frame["repeats"]).sum())
        sentences += int((frame["text"].str.count_matches(FILLED_LINE) * frame["repeats"]).sum())
    return documents, lines, reads, sentences


def _count_words(version: Version[Documents], share: float, seed: int, task: Any) -> "WordCounts":
    """Words of all lines, or of a share of them drawn by their numbers in the corpus."""
    from llamakit.artifacts.mixture import read_shard, shard_ranges
    from llamakit.text.words import WordCounts, drawn_lines

    words = WordCounts()
    first = 0
    for shard in shard_ranges(version):
        frame = read_shard(shard, ["text"])
        count = int(frame["text"].str.count_matches("\n", literal=True).sum()) + len(frame)
        drawn = drawn_lines(first, count, share, seed) if share < 1.0 else None
        words.add(frame["text"], frame["repeats"], drawn)
        first += count
        task.advance(count)
    return words


def _compression(
    version: Version[Documents], vocabulary: "Pieces", step: int
) -> tuple[dict[str, int], dict[str, float]]:
    """Tokens counted and bytes a token, in all and by source: of the beginning of every `step`-th
    document."""
    import numpy as np

    from llamakit.artifacts.mixture import document_shards, read_shard
    from llamakit.text.compression import SourceCount, count_sources, merged, metrics_of

    found = []
    place = 0
    for shard in document_shards(version):
        frame = read_shard(shard, ["text", "source"])
        sample = frame.gather_every(max(step, 1), -place % max(step, 1))
        place += len(frame)
        texts = sample["text"].str.head(SAMPLED_CHARACTERS)
        encoded = vocabulary.encode_batch(texts.to_list())
        lengths = np.array([len(ids) for ids in encoded], np.int64)
        text_bytes = texts.str.len_bytes().to_numpy().astype(np.int64)
        found.append(count_sources(sample["source"], text_bytes, lengths, np.ones_like(lengths)))
    sources = merged(found)
    tokens = sum(sources.values(), SourceCount()).tokens
    return {"sample_tokens": tokens}, metrics_of(sources)
