"""A model that is being evaluated, and the name and format it is evaluated under."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from llamakit.errors import InputError
from llamakit.evaluation.prompts import Format
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Candidate:
    """One of the models compared."""

    name: str
    model: Transformer
    vocabulary: Vocabulary
    form: Format
    """Whether it reads questions as plain text or in chat format."""

    @property
    def window(self) -> int:
        """Its context length in tokens."""
        return self.model.config.max_seq_len

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.model.parameters()).device


def knows_chat(folder: Path) -> bool:
    """Whether a Hugging Face folder is a chat model's: its tokenizer has a chat template."""
    if (folder / "chat_template.jinja").exists():
        return True
    path = folder / "tokenizer_config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise InputError(f"not valid JSON ({error})", where=str(path)) from None
    return isinstance(values, dict) and bool(values.get("chat_template"))
