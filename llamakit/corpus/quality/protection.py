"""Documents that hold items of an evaluation are found and left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llamakit.artifacts.files import write_json
from llamakit.text.contamination import Match, Protected, protect, word_tokens
from llamakit.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Item:
    """One item of an evaluation: its task, its id there, and all of its text."""

    task: str
    id: str
    text: str


@dataclass(frozen=True)
class Contaminated:
    """A document of a shard, and the item of which it holds the largest share of tokens."""

    document: int
    task: str
    item: str
    share: float


@dataclass(frozen=True)
class Guard:
    """Where workers find the index of the protected items, and from which share on a document
    goes. `vocabulary`: the model file whose tokens are compared; None for words."""

    folder: Path
    share: float
    vocabulary: Path | None = None

    def prepare(self, items: Sequence[Item], *, length: int, skips: int) -> tuple[int, int]:
        """Write the index; the number of items, and of those that can be found at all."""
        index = protect(
            _tokens([item.text for item in items], self.vocabulary), length=length, skips=skips
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        index.save(self.folder / "items.npz")
        write_json(self.folder / "items.json", [[item.task, item.id] for item in items])
        return len(items), index.findable()

    def find(self, texts: Sequence[str]) -> list[Contaminated]:
        """The documents that hold so much of an item, in their order."""
        index = Protected.load(self.folder / "items.npz")
        names = json.loads((self.folder / "items.json").read_text(encoding="utf-8"))
        by_document: dict[int, list[Match]] = {}
        for match in index.matches(_tokens(texts, self.vocabulary)):
            by_document.setdefault(match.document, []).append(match)
        found = []
        for document, matches in by_document.items():
            shares = [
                (index.share(item, marks), -item) for item, marks in index.marks(matches).items()
            ]
            share, item = max(shares)
            if share >= self.share:
                task, name = names[-item]
                found.append(Contaminated(document, task, name, share))
        return found


def _tokens(texts: Sequence[str], vocabulary: Path | None) -> list[NDArray[np.uint64]]:
    if vocabulary is None:
        return word_tokens(texts)
    return [np.array(ids, np.uint64) for ids in Vocabulary.load(vocabulary).encode_batch(texts)]
