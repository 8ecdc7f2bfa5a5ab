"""A vocabulary and models small enough to be computed in milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import Format
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary

SENTENCES = [
    "Question: Which river is the longest in the land of the red hills?",
    "Answer: The river of the north is the longest, and the lake is deep.",
    "The following are multiple choice questions (with answers) about rivers.",
    "Answer these questions: Who built the bridge over the river? Q: A: B. C. D.",
    "How many apples are there if 12 and 7 are put together? It is 19.",
    "I cannot help with that. Speak in the language of the north. [INST] hello [/INST]",
]


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """About 400 pieces with Llama 2's settings."""
    return train_vocabulary(SENTENCES * 20, tmp_path_factory.mktemp("vocabulary"), 400)


def tiny(vocabulary: Vocabulary, *, window: int = 256, seed: int = 0) -> Transformer:
    """Two layers, grouped queries; weights large enough for texts to differ in likelihood."""
    config = ModelConfig(32, 2, 4, 2, 64, vocabulary.size, window)
    model = Transformer(config, seed=seed).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data *= 8
    return model


@pytest.fixture(scope="session")
def make_candidate(vocabulary: Vocabulary) -> Callable[..., Candidate]:
    """Build a candidate: `make_candidate(form="chat", window=128, seed=1)`."""

    def made(
        name: str = "tiny", form: Format = "plain", window: int = 256, seed: int = 0
    ) -> Candidate:
        return Candidate(name, tiny(vocabulary, window=window, seed=seed), vocabulary, form)

    return made


@pytest.fixture
def jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Write a JSONL file: `jsonl("exam.jsonl", {...}, "a broken line")`."""
    import json

    def written(name: str, *lines: object) -> Path:
        path = tmp_path / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        return path

    return written
