"""Hugging Face dataset folders: what `save_to_disk` writes, and checkouts from the hub."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

# What describes a dataset in its folder, and holds none of its rows.
_DESCRIPTIONS = ("README.md", "dataset_dict.json", "dataset_info.json", "dataset_infos.json")
_STATE = "state.json"
# `train-00000-of-00004.parquet`, however the split is called; else the words the hub knows.
_SHARD = re.compile(r"(\w[\w.]*)-[0-9]{5}-of-[0-9]{5}")
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Dataset:
    """A dataset folder. `saved`: by `save_to_disk`, its tables listed in `state.json` files."""

    path: Path
    saved: bool

    def is_description(self, relative: Path) -> bool:
        """Whether the file describes the dataset, or is a cache beside its tables."""
        if relative.name in _DESCRIPTIONS or relative.name == _STATE:
            return True
        return self.saved and relative.name not in _tables(self.path / relative.parent)

    def split(self, relative: Path) -> str:
        """The split a file belongs to; a file whose name tells none is training data, as on the
        hub."""
        if self.saved:
            return relative.parts[0] if len(relative.parts) > 1 else "train"
        if match := _SHARD.match(relative.name):
            return match[1]
        for part in reversed(relative.parts):
            words = [word.lower() for word in _WORD.findall(part)]
            for split, names in _WORDS.items():
                if any(word in names for word in words):
                    return split
        return "train"


def open_dataset(path: Path) -> Dataset | None:
    """The folder as a dataset, or None when nothing in it says that it is one."""
    if (path / "dataset_dict.json").is_file() or (path / _STATE).is_file():
        return Dataset(path, saved=True)
    card = path / "README.md"
    if not card.is_file():
        return Dataset(path, saved=False) if (path / "dataset_infos.json").is_file() else None
    with card.open("rb") as file:
        # A card begins with its settings between two lines of dashes.
        return Dataset(path, saved=False) if file.readline(100).strip() == b"---" else None


def _tables(folder: Path) -> set[str]:
    """The names of a saved dataset's tables; caches of its transformations may lie beside them."""
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        return {str(entry["filename"]) for entry in state["_data_files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {path.name for path in folder.glob("*.arrow")}
