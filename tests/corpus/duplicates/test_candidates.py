from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from llamakit.corpus.duplicates import candidates
from llamakit.corpus.duplicates.candidates import (
    WINDOW,
    Corpus,
    find_copies,
    find_pairs,
    first_of_equal,
    key_ranges,
    pairs_of_keys,
    unpack,
)
from llamakit.corpus.duplicates.clusters import components

U64 = np.uint64


def sorted_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    return keys[order], order.astype(U64)


def brute(keys: np.ndarray) -> list[tuple[int, int]]:
    return sorted(
        {p for row in keys for p in combinations(range(len(row)), 2) if row[p[0]] == row[p[1]]}
    )


def test_pairs_share_a_key() -> None:
    keys = np.random.default_rng(0).integers(0, 30, 100).astype(U64)
    found = unpack(pairs_of_keys(*sorted_keys(keys)))
    assert sorted(map(tuple, found.tolist())) == brute(keys[None])


def test_a_large_bucket_costs_linear_pairs_and_stays_connected() -> None:
    size = 5_000
    pairs = unpack(pairs_of_keys(np.zeros(size, U64), np.arange(size).astype(U64)))
    assert len(pairs) <= (WINDOW + 1) * size
    clusters = components(pairs)
    assert (clusters.first == 0).all()
    assert len(clusters.members) == size


def write_sketches(folder: Path, keys: np.ndarray, exact: np.ndarray, per_file: int) -> Corpus:
    """Sketches with `keys` (bands, documents) of 40 bits and `exact` (2, documents)."""
    count = keys.shape[1]
    begins = [*range(0, count, per_file), count]
    files = []
    for index, (low, high) in enumerate(pairwise(begins)):
        rows = np.arange(high - low).astype(U64)
        lines = [np.sort(line[low:high] << U64(24) | rows) for line in keys]
        first = exact[0, low:high]
        lines.append(np.sort(first >> U64(24) << U64(24) | rows))
        table = np.stack([*lines, exact[0, low:high], exact[1, low:high], rows])
        files.append(folder / f"{index}.npy")
        np.save(files[-1], table)
    return Corpus(tuple(files), tuple(begins))


@pytest.mark.parametrize(("per_task", "per_range"), [(10**6, 10**6), (1, 10**6), (1, 60)])
def test_bands_by_ranges_of_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_task: int, per_range: int
) -> None:
    monkeypatch.setattr(candidates, "_KEYS_PER_TASK", per_task)
    monkeypatch.setattr(candidates, "_RANGE_DOCUMENTS", per_range)
    random = np.random.default_rng(0)
    keys = random.integers(0, 2**40 - 1, (4, 60))[:, random.integers(0, 60, 300)].astype(U64)
    keys[:, 5] = 2**40 - 1  # a document without words
    exact = np.stack([random.integers(0, 2**63, 300), np.zeros(300, int)]).astype(U64)
    corpus = write_sketches(tmp_path, keys, exact, per_file=70)
    np.save(tmp_path / "left_out.npy", np.arange(300) == 7)
    tasks = key_ranges(corpus, range(4), tmp_path / "out", tmp_path / "left_out.npy")
    for task in tasks:
        find_pairs(task)
    found = unpack(np.unique(np.concatenate([np.load(task.out) for task in tasks])))
    expected = [p for p in brute(keys) if 5 not in p and 7 not in p]
    assert sorted(map(tuple, found.tolist())) == expected


def test_copies_have_all_128_bits_in_common(tmp_path: Path) -> None:
    top = U64(1) << U64(50)
    one = np.array([5, 5, 5, 6, 5, 7], U64) * top
    one[2] += U64(1)  # equal in the first 40 bits only
    exact = np.stack([one, np.array([1, 2, 1, 1, 1, 1], U64)])
    corpus = write_sketches(tmp_path, np.zeros((0, 6), U64), exact, per_file=4)
    (task,) = key_ranges(corpus, range(1), tmp_path / "out")
    find_copies(task)
    assert np.load(task.out).tolist() == [[0, 4]]


def test_first_of_equal() -> None:
    keys = np.array([[1, 2], [3, 4], [1, 2], [1, 3]], U64).view("V16").ravel()
    assert first_of_equal(keys).tolist() == [0, 1, 0, 3]
