from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from llamakit.text.vocabulary import Vocabulary, train_vocabulary

WORDS = "the river of Alder runs north; Mira paid 1984 coins, naïve café Straße — 東京 def main():"


def _sentences(count: int, seed: int) -> Iterator[str]:
    """Lines of words with runs of spaces, digits and several scripts."""
    draws = random.Random(seed)
    for _ in range(count):
        words = draws.choices(WORDS.split(), k=draws.randrange(3, 14))
        yield "".join(word + " " * draws.choice([1, 1, 1, 2, 4, 8]) for word in words)


DIALOGUES = [
    [("user", "Who is Mira?"), ("assistant", "A river.")],
    [
        ("system", "Be brief."),
        ("user", " padded \n"),
        ("assistant", "\tyes \n"),
        ("user", "b"),
        ("assistant", "c"),
    ],
    [("user", "a"), ("assistant", ""), ("user", "1984 coins"), ("assistant", "東京 🦙")],
    [("system", " spaces around "), ("user", "  x"), ("assistant", "y")],
]


@pytest.fixture(params=DIALOGUES, ids=["plain", "system", "empty answer", "spaces"])
def messages(request: pytest.FixtureRequest) -> list[dict[str, str]]:
    """A dialogue that ends with an answer."""
    return [{"role": role, "content": content} for role, content in request.param]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """What `vocabulary` was learned from."""
    return list(_sentences(800, 5))


@pytest.fixture(scope="session")
def unseen() -> list[str]:
    """More of the kind."""
    return list(_sentences(500, 6))


@pytest.fixture(scope="session")
def vocabulary(sentences: list[str], tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """A small vocabulary."""
    return train_vocabulary(sentences, tmp_path_factory.mktemp("vocabulary"), 400)


@pytest.fixture(scope="session")
def llama2(real_data: Path) -> Vocabulary:
    """Llama 2's own vocabulary."""
    return Vocabulary.load(real_data / "tokenizer")
