from __future__ import annotations

import numpy as np
import pytest
from datasketch import MinHash

from llamakit.corpus.duplicates.shingles import Shingles, shingle
from llamakit.corpus.duplicates.signatures import EMPTY, band_keys, choose_bands, signatures


@pytest.mark.parametrize("num_perm", [16, 128])
def test_bit_identical_to_datasketch(num_perm: int) -> None:
    texts = [f"text {n} about {n * n} things and {n % 7} more of them" for n in range(50)]
    shingles = shingle([*texts, "", "one"])
    values = signatures(shingles, num_perm)
    for number, row in enumerate(values):
        start, stop = shingles.offsets[number : number + 2]
        reference = MinHash(num_perm, hashfunc=int, scheme="affine32")
        reference.update_batch([int(h) & 0xFFFFFFFF for h in shingles.hashes[start:stop]])
        assert row.tolist() == reference.hashvalues.tolist()
    assert (values[50] == EMPTY).all()


def test_blocks_do_not_change_the_values() -> None:
    random = np.random.default_rng(0)
    sizes = [0, 40_000, 5, 0, 20_000, 20_000, 1]
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    hashes = random.integers(0, 2**64, int(offsets[-1]), dtype=np.uint64)
    together = signatures(Shingles(hashes, offsets), 8)
    for number in range(len(sizes)):
        part = hashes[offsets[number] : offsets[number + 1]]
        alone = signatures(Shingles(part, np.array([0, len(part)])), 8)
        assert together[number].tolist() == alone[0].tolist()


def test_band_keys_are_equal_exactly_where_the_rows_are() -> None:
    values = np.random.default_rng(0).integers(0, 3, (300, 6)).astype(np.uint32)
    keys = band_keys(values, bands=3, rows=2)
    for band in range(3):
        rows = [tuple(row) for row in values[:, band * 2 : band * 2 + 2].tolist()]
        assert len(set(keys[band].tolist())) == len(set(rows))
        assert len(set(zip(keys[band].tolist(), rows, strict=True))) == len(set(rows))


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.8, (25, 5)), (0.5, (64, 2)), (0.9, (16, 8)), (0.05, (128, 1))]
)
def test_bands_favour_recall(similarity: float, expected: tuple[int, int]) -> None:
    assert choose_bands(similarity, 128) == expected
