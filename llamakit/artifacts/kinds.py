"""The kinds of artifact: marker classes that type inputs and outputs. Light to import."""

from __future__ import annotations

from typing import ClassVar


class Kind:
    """A kind of artifact; `name` is what records and messages call it."""

    name: ClassVar[str]


class Raw(Kind):
    """Plain files as a user has them, at the top of the version's folder."""

    name = "raw"


class Documents(Kind):
    """`data/part-*.parquet` (id, text, source, url, language, metadata), or a mixture of such
    (`mixture.json`)."""

    name = "documents"


class Vocabulary(Kind):
    """`tokenizer.model` (SentencePiece), `tokenizer.vocab`, `tokenizer.json` and its config."""

    name = "vocabulary"


class Tokens(Kind):
    """`tokens.bin`, document offsets, the order of reading, and the vocabulary they are in."""

    name = "tokens"


class Model(Kind):
    """A Hugging Face `LlamaForCausalLM` folder."""

    name = "model"


class RewardModel(Kind):
    """A Hugging Face `LlamaForSequenceClassification` folder with one label."""

    name = "reward-model"


class Dialogues(Kind):
    """`data/part-*.parquet` (id, messages, train_on, source, safety)."""

    name = "dialogues"


class Preferences(Kind):
    """`data/part-*.parquet` (id, prompt, chosen, rejected, grade, safety, …)."""

    name = "preferences"


class Report(Kind):
    """`report.json`, `report.html`, `samples.parquet`."""

    name = "report"


KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        Raw,
        Documents,
        Vocabulary,
        Tokens,
        Model,
        RewardModel,
        Dialogues,
        Preferences,
        Report,
    )
}
