"""A corpus with planted near copies, from a seed: what `near_duplicates.py` measures on.

Documents are drawn from a Zipf-like vocabulary; some are exact copies of others, some copies with
words replaced, removed, inserted or moved, some with a boilerplate head or tail, so that true
similarities spread from 0.5 to 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

VOCABULARY = 50_000
COPIES = 0.13
"""Of all documents."""


def documents(count: int, seed: int = 0) -> Iterator[list[str]]:
    """The documents as lists of words, about 1.25 kB each; copies come after what they copy."""
    random = np.random.default_rng([seed, 1])
    words = _vocabulary(random)
    weights = np.cumsum(1 / np.arange(1, len(words) + 1))
    weights /= weights[-1]
    originals: list[list[str]] = []
    recent = 20_000
    for number in range(count):
        if originals and random.random() < COPIES:
            yield _changed(originals[int(random.integers(len(originals)))], words, random)
            continue
        size = int(random.lognormal(5.52, 0.75)) + 8
        places = np.searchsorted(weights, random.random(size))
        text = words[places].tolist()
        # A window of originals is enough to copy from, and bounds memory.
        if len(originals) < recent:
            originals.append(text)
        else:
            originals[number % recent] = text
        yield text


def _changed(original: list[str], words: np.ndarray, random: np.random.Generator) -> list[str]:
    kind = random.random()
    text = list(original)
    if kind < 0.15:
        return text
    if kind < 0.75:
        share = random.random() * 0.08
        for place in random.integers(0, len(text), max(1, int(len(text) * share))).tolist():
            act = random.integers(3)
            if act == 0:
                text[place % len(text)] = str(words[random.integers(len(words))])
            elif act == 1 and len(text) > 8:
                del text[place % len(text)]
            else:
                text.insert(place % len(text), str(words[random.integers(len(words))]))
        return text
    extra = words[random.integers(0, len(words), int(len(text) * random.random() * 0.3) + 1)]
    if kind < 0.88:
        return [*extra.tolist(), *text]
    return [*text[: int(len(text) * (0.7 + 0.3 * random.random()))], *extra.tolist()]


def _vocabulary(random: np.random.Generator) -> np.ndarray:
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    sizes = random.gamma(4, 1.5, VOCABULARY).astype(int) + 1
    made = {"".join(random.choice(letters, size)) for size in sizes}
    return np.array(sorted(made, key=lambda word: (len(word), word)), dtype=object)


def write_corpus(folder: Path, count: int, seed: int = 0, per_file: int = 20_000) -> list[Path]:
    """Write the documents as parquet files of `id` and `text`; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    rows: list[dict[str, str]] = []
    for number, text in enumerate(documents(count, seed)):
        sentence = " ".join(text).capitalize()
        rows.append({"id": f"doc-{number:07d}", "text": f"{sentence}.", "source": "generated"})
        if len(rows) == per_file or number == count - 1:
            files.append(folder / f"documents-{len(files):05d}.parquet")
            pl.DataFrame(rows).write_parquet(files[-1])
            rows = []
    return files


if __name__ == "__main__":
    for file in write_corpus(Path(sys.argv[1]), int(sys.argv[2])):
        print(file)
