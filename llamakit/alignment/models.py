"""Opening the models that work together in alignment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from llamakit.alignment.scoring import Judges
from llamakit.errors import InputError, UsageError
from llamakit.model.weights import load_reward_model, load_vocabulary
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.plan import Precision


def device_named(name: str) -> str:
    """`auto` as the device that there is.

    Raises:
        UsageError: a GPU was asked for and there is none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device = cuda, but torch sees no GPU", fix="Use --device cpu or auto.")
    return name


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
) -> Judges:
    """The reward models that are given, frozen, with the rule that combines them."""
    models = [
        None if folder is None else load_reward_model(folder, dtype, device).eval()
        for folder in (helpfulness, safety)
    ]
    for model in models:
        if model is not None:
            model.requires_grad_(False)
    return Judges(models[0], models[1], threshold, vocabulary.pad, vocabulary.eos)
