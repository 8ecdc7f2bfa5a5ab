from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from llamakit.engine.intrinsics import array_at, meet, meeting_place
from llamakit.engine.native import bind
from tests.engine.meeting import sum_bytes, sum_numbers, waves, widen


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_that_meet_see_what_was_written_before(threads: int) -> None:
    """More threads than processors too: whoever waits makes room."""
    rounds = 400
    board, arrivals = np.ones(threads, np.int64), meeting_place(threads)
    with ThreadPoolExecutor(threads) as pool:
        calls = [bind(waves, board, arrivals, rounds, n, threads) for n in range(threads)]
        for _ in range(2):
            list(pool.map(lambda call: call(), calls))
    wanted = np.ones(threads, np.int64)
    for _ in range(2 * rounds):
        wanted = wanted.sum() % 1_000_003 + np.arange(threads)
    np.testing.assert_array_equal(board, wanted)


def test_an_array_is_found_by_its_address() -> None:
    draws = np.random.default_rng(0)
    for name, dtype in ((sum_bytes, np.uint8), (sum_numbers, np.int64)):
        table, out = draws.integers(0, 200, (6, 9)).astype(dtype), np.zeros(6, np.int64)
        name(table.ctypes.data, 6, 9, np.zeros(1, dtype), out)
        np.testing.assert_array_equal(out, table.sum(axis=1))


def test_helpers_are_lent_to_other_modules() -> None:
    words, out = np.array([0x3F80, 0xC000], np.uint16), np.zeros(2, np.float32)
    widen(words, out)
    assert out.tolist() == [1.0, -2.0]


def test_a_bound_kernel_reads_its_arrays_at_each_call() -> None:
    words, out = np.array([0x3F80], np.uint16), np.zeros(1, np.float32)
    again = bind(widen, words, out)
    again()
    words[0] = 0x4000
    again()
    assert out[0] == 2.0
    with pytest.raises(TypeError, match=r"widen takes u16\[\], not uint32\[1\]"):
        bind(widen, words.astype(np.uint32), out)


def test_only_kernels_can_call_them() -> None:
    with pytest.raises(RuntimeError, match="only kernels"):
        meet(meeting_place(1), 0, 1)
    with pytest.raises(RuntimeError, match="only kernels"):
        array_at(0, 1, 1, np.zeros(1))
