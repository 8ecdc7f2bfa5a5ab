"""Opening the models that work together in alignment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from llamakit.alignment.scoring import Judges
from llamakit.errors import InputError, UsageError
from llamakit.model.transformer import Transformer
from llamakit.model.weights import load_config, load_model, load_reward_model, load_vocabulary
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.parallel import ONE_PROCESS, Parallel
from llamakit.training.plan import Precision


def prompt_room(model: Path, judges: Sequence[Path], max_new_tokens: int, stage: str) -> int:
    """The longest prompt, in tokens, whose answer the model can finish and every judge can read.

    Judges read an end of sequence after an answer that was cut off: one token more.

    Raises:
        UsageError: answers of `max_new_tokens` leave no room for a prompt.
    """
    limits = [load_config(judge).max_seq_len - 1 for judge in judges]
    context = min([load_config(model).max_seq_len, *limits])
    if max_new_tokens >= context:
        raise UsageError(
            f"max_new_tokens = {max_new_tokens} leaves no room for a prompt in {context} tokens",
            where=stage,
            fix="Lower it below the models' context length.",
        )
    return context - max_new_tokens


def require_same_vocabulary(folders: Sequence[Path]) -> None:
    """Check that models share one vocabulary: they hand each other ids.

    Raises:
        InputError: two of them do not.
    """
    first, *others = [load_vocabulary(folder).model_path for folder in folders]
    for other in others:
        if other.read_bytes() != first.read_bytes():
            raise InputError(
                "the models have different vocabularies",
                where=f"{first.parent} and {other.parent}",
                fix="Train the reward models from a model with the policy's vocabulary.",
            )


def open_judges(
    helpfulness: Path | None,
    safety: Path | None,
    threshold: float,
    vocabulary: Vocabulary,
    *,
    dtype: Precision,
    device: str,
    parallel: Parallel = ONE_PROCESS,
) -> Judges:
    """The reward models that are given, frozen, with the rule that combines them.

    Args:
        parallel: the processes that share their work; shards are theirs too.
    """
    models = [
        None if folder is None else load_reward_model(folder, dtype, device).eval()
        for folder in (helpfulness, safety)
    ]
    for model in models:
        if model is not None:
            parallel.twin().place(model.requires_grad_(False), dtype, device)
    return Judges(models[0], models[1], threshold, vocabulary.pad, vocabulary.eos, parallel)


@cache
def open_model(model: Path, dtype: Precision, device: str) -> Transformer:
    """A model to sample from, opened once a process and not once a shard."""
    return load_model(model, dtype, device).eval()


@lru_cache(maxsize=1)
def open_shared_judges(
    helpfulness: Path | None,
    safety: Path | None,
    threshold: float,
    vocabulary_of: Path,
    dtype: Precision,
    device: str,
) -> Judges:
    """The reward models that judge what is sampled, opened once a process."""
    vocabulary = load_vocabulary(vocabulary_of)
    return open_judges(helpfulness, safety, threshold, vocabulary, dtype=dtype, device=device)


def forget_models() -> None:
    """Let go of the models that shards of this process shared."""
    open_model.cache_clear()
    open_shared_judges.cache_clear()
