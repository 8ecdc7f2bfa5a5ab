"""Pages of text for the scaling benchmark, generated from a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

WORDS = 30_000


def pages(size: int) -> Iterator[dict[str, str]]:
    """`size` bytes of ASCII pages, 2.5 kB on average, words by Zipf's law; every 20th page is a
    near-copy of an older one, every 25th holds an address, a number and a card."""
    draws = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    weights = np.arange(len(letters), 0, -1.0)
    lengths = draws.integers(2, 11, WORDS)
    spelled = draws.choice(letters, lengths.sum(), p=weights / weights.sum())
    words = np.array(["".join(w) for w in np.split(spelled, np.cumsum(lengths)[:-1])], object)
    words[:12] = ["the", "of", "and", "to", "a", "in", "that", "is", "with", "be", "have", "for"]
    shares = 1 / (np.arange(WORDS) + 3.0)
    bounds = np.cumsum(shares / shares.sum())
    made = number = 0
    older: list[str] = []
    while made < size:
        if number % 20 == 19:
            text = older[int(draws.integers(len(older)))] + " One line more stands here."
        else:
            n_words = int(np.clip(draws.lognormal(5.8, 0.7), 60, 4000))
            chosen = words[np.searchsorted(bounds, draws.random(n_words))]
            lines = [chosen[i : i + 14] for i in range(0, n_words, 14)]
            text = "\n".join(" ".join(line).capitalize() + "." for line in lines)
        if number % 25 == 24:
            text += f" Write to box{number}@mail{number % 97}.example or 202-555-0143,"
            text += " paid by 4111 1111 1111 1111."
        if number < 5_000:
            older.append(text)
        yield {
            "id": f"doc-{number:09d}",
            "text": text,
            "source": f"source-{number % 5}",
            "url": f"https://site{number % 1000}.example/{number}",
            "language": "en",
            "metadata": "{}",
        }
        made += len(text)
        number += 1
