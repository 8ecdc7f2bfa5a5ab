from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from llamakit.engine import native, vectors
from tests.engine.summing import dots, mixes


@pytest.fixture(scope="module", params=[True, False])
def pairs(request: pytest.FixtureRequest) -> Iterator[bool]:
    """With the instruction, where this processor has it, and without."""
    if request.param and not vectors.processor_has_pairs():
        pytest.skip("no instruction for pairs of bf16")
    module = dots.__module__
    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(vectors, "processor_has_pairs", lambda: request.param)
        changed.setattr(native, "_folders", lambda module: [])
        changed.delitem(native._LOADED, module, raising=False)
        yield request.param
        native._LOADED.pop(module, None)


def drawn(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """bf16 numbers, as words and as what they are."""
    numbers = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    words = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    return words, (words.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


@pytest.mark.parametrize("width", [1, 31, 32, 33, 64, 71])
def test_products_end_where_rows_do(pairs: bool, width: int) -> None:
    """What is behind the end, here no number at all, has no part in a sum."""
    rows, numbers = drawn(16, 80)
    rows[:, width:] = 0x7FC0
    out = np.full((5, 20), 9.0, np.float32)
    wanted = numbers[:, :width] @ numbers[0, :width]
    dots(rows, width, out)
    np.testing.assert_allclose(out[0, 2:18], wanted, atol=1e-4)
    np.testing.assert_allclose(out[1:, 3:7].ravel(), wanted, atol=1e-4)
    out[0, 2:18], out[1:, 3:7] = 9, 9
    assert (out == 9).all()
    assert isinstance(pairs, bool)


def test_pairs_are_spread(pairs: bool) -> None:
    shares, numbers = drawn(1, 6)
    table, values = drawn(3, 32)
    out = np.zeros((1, 16), np.float32)
    mixes(shares, table, out)
    wanted = (numbers.reshape(3, 1, 2) * values.reshape(3, 16, 2)).sum(axis=(0, 2))
    np.testing.assert_allclose(out[0], wanted, atol=1e-4)
    assert isinstance(pairs, bool)


def test_only_kernels_can_call_them() -> None:
    for function in vectors.compiled():
        with pytest.raises(RuntimeError, match="only kernels"):
            function(*[None] * function.__code__.co_argcount)
