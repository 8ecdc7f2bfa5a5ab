"""A classifier in a Hugging Face folder as a scorer of lines: how probable it is that one is toxic.

Nothing is fetched and no code of the folder is run: weights are read from safetensors only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from llamakit.errors import InputError, LlamakitError, UsageError, nearest

CONFIG_FILE = "config.json"

_AT_ONCE = 32
_MOST_TOKENS = 512
_TOXIC = ("toxic", "toxicity", "hate", "hateful", "offensive", "abusive")


@cache
def toxicity_scorer(
    folder: Path, label: str | None, device: str
) -> Callable[[Sequence[str]], list[float]]:
    """Lines to scores of 0-1: the probability of the toxic label.

    One label is read through a sigmoid, several through a softmax, or each through a sigmoid where
    the config says `multi_label_classification`. Lines are cut at the model's longest input.

    Args:
        label: name or number of the label that means toxic. By default the one that is called so,
            or the second of two.

    Raises:
        LlamakitError: transformers is not installed.
        InputError: the folder holds no such classifier in safetensors.
        UsageError: it cannot be told which label is meant.
    """
    tokenizer, model = _opened(folder)
    model = model.to(device).eval()
    index = toxic_label(_labels(folder, model.config), label, folder)
    many = model.config.problem_type == "multi_label_classification"
    longest = min(
        getattr(model.config, "max_position_embeddings", _MOST_TOKENS) or _MOST_TOKENS,
        tokenizer.model_max_length,
        _MOST_TOKENS,
    )

    def score(lines: Sequence[str]) -> list[float]:
        # Lines of like length together: little padding, and batches that do not depend on chance.
        order = sorted(range(len(lines)), key=lambda i: (len(lines[i]), lines[i]))
        found = [0.0] * len(lines)
        for start in range(0, len(order), _AT_ONCE):
            chosen = order[start : start + _AT_ONCE]
            batch = tokenizer(
                [lines[i] for i in chosen],
                padding=True,
                truncation=True,
                max_length=longest,
                return_tensors="pt",
            ).to(device)
            with torch.inference_mode():
                logits_BC = model(**batch).logits.float()
            alone = many or logits_BC.shape[1] == 1
            probabilities = logits_BC.sigmoid() if alone else logits_BC.softmax(-1)
            for i, value in zip(chosen, probabilities[:, index].tolist(), strict=True):
                found[i] = value
        return found

    return score


def is_classifier(path: Path) -> bool:
    """Whether the path is the folder of a model."""
    return (path / CONFIG_FILE).is_file()


def toxic_label(names: Sequence[str], wanted: str | None, folder: Path) -> int:
    """The number of the label that means toxic."""
    plain = [name.lower() for name in names]
    if wanted is not None:
        if wanted.lower() in plain:
            return plain.index(wanted.lower())
        if wanted.isdigit() and int(wanted) < len(names):
            return int(wanted)
        guess = nearest(wanted, list(names))
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise UsageError(
            f"there is no label {wanted!r}", where=str(folder), fix=f"{hint}It has: {_list(names)}."
        )
    called = [plain.index(name) for name in _TOXIC if name in plain]
    if called:
        return called[0]
    if len(names) <= 2:
        return len(names) - 1
    raise UsageError(
        f"which label means toxic? There are {_list(names)}",
        where=str(folder),
        fix="Name it with --toxicity-label.",
    )


def _labels(folder: Path, config: Any) -> list[str]:
    try:
        return [str(config.id2label[n]) for n in range(config.num_labels)]
    except KeyError:
        raise InputError(
            "id2label does not name every label", where=str(folder / CONFIG_FILE)
        ) from None


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"{n} {name}" for n, name in enumerate(names))


def _opened(folder: Path) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError:
        raise LlamakitError(
            "a classifier needs transformers", fix='pip install "llamakit[toxicity]"'
        ) from None
    config_path = folder / CONFIG_FILE
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the config cannot be read ({error})", where=str(config_path)) from None
    heads = config.get("architectures") or []
    if not any(str(head).endswith("ForSequenceClassification") for head in heads):
        raise InputError(
            f"this model is {', '.join(map(str, heads)) or 'of no known kind'}, not a classifier of"
            " sequences",
            where=str(config_path),
        )
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            "there are no weights in safetensors here",
            where=str(folder),
            fix="Other formats can run code when they are opened; save the model anew with"
            " transformers, which writes safetensors.",
        )
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, **local
        )
    except Exception as error:
        first = str(error).strip().splitlines()
        raise InputError(
            f"the classifier cannot be opened ({first[0] if first else type(error).__name__})",
            where=str(folder),
        ) from None
    return tokenizer, model
