from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.duplicates.kernel import EMPTY
from llamakit.corpus.duplicates.shingles import normalise, shingle
from llamakit.corpus.duplicates.signatures import (
    Sketches,
    band_keys,
    choose_bands,
    permutations,
    sketch,
)
from llamakit.corpus.duplicates.texts import encode


@pytest.mark.parametrize(("num_perm", "seed"), [(16, 1), (128, 1), (100, 7), (256, 42)])
def test_bit_identical_to_datasketch(num_perm: int, seed: int) -> None:
    texts = [f"text {n} about {n * n} things and {n % 7} more of them" for n in range(50)]
    long = " ".join(str(n * n % 977) for n in range(20_000))
    series = encode(pl.Series([*texts, "", "one", "日本語の文章です" * 9, long]))
    sets = shingle(series, 5)
    found = sketch(series, 5, num_perm, seed)
    for number, row in enumerate(found.signatures):
        start, stop = sets.offsets[number : number + 2]
        reference = MinHash(num_perm, seed=seed, hashfunc=int, scheme="affine32")
        reference.update_batch([int(h) & 0xFFFFFFFF for h in sets.hashes[start:stop]])
        assert row.tolist() == reference.hashvalues.tolist()
    assert (found.signatures[50] == EMPTY).all()
    assert found.n_shingles[50:53].tolist() == [0, 1, 68]


def test_permutations_are_datasketchs() -> None:
    a, b = permutations(128)
    reference = MinHash(128, scheme="affine32").permutations
    assert a.tolist() == reference[0].tolist()
    assert b.tolist() == reference[1].tolist()


@given(st.lists(st.text("aA ß\n.!é\u0301e日", max_size=12), min_size=2, max_size=8))
def test_exact_keys_are_equal_where_the_normalised_texts_are(texts: list[str]) -> None:
    keys = list(zip(*sketch(encode(pl.Series(texts)), 5, 16).exact.tolist(), strict=True))
    plain = [normalise(text) for text in texts]
    for one in range(len(texts)):
        for other in range(one):
            assert (keys[one] == keys[other]) == (plain[one] == plain[other])


def test_band_keys_are_equal_exactly_where_the_rows_are() -> None:
    values = np.random.default_rng(0).integers(0, 3, (300, 6)).astype(np.uint32)
    some = np.ones(300, np.int64)
    keys = band_keys(Sketches(np.zeros((2, 300), np.uint64), values, some), bands=3, rows=2)
    for band in range(3):
        rows = [tuple(row) for row in values[:, band * 2 : band * 2 + 2].tolist()]
        assert len(set(keys[band].tolist())) == len(set(rows))
        assert len(set(zip(keys[band].tolist(), rows, strict=True))) == len(set(rows))


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.8, (25, 5)), (0.5, (64, 2)), (0.9, (16, 8)), (0.05, (128, 1))]
)
def test_bands_favour_recall(similarity: float, expected: tuple[int, int]) -> None:
    assert choose_bands(similarity, 128) == expected
