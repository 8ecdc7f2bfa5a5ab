from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.reading.streams import DamagedFileError, RowTooLong, chunks, lines


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_lines_are_those_of_split_however_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not data.endswith(b"\n") and data:
        assert [line for _, line in lines(iter(pieces))] == expected
    else:
        assert [line for _, line in lines(iter(pieces))] == expected[:-1]


def test_a_line_over_the_limit_is_named_and_the_next_is_read() -> None:
    found = list(lines(iter([b"ab\n", b"x" * 50, b"y" * 50 + b"\nc"]), limit=10))
    assert found[0] == (1, b"ab")
    assert isinstance(found[1][1], RowTooLong)
    assert found[2] == (3, b"c")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_whole_joined_and_broken_files(tmp_path: Path, kind: str) -> None:
    compress = gzip.compress if kind == "gzip" else zstandard.ZstdCompressor().compress
    one, two = compress(b"one\n" * 5_000), compress(b"two\n" * 5_000)
    path = tmp_path / "file"
    path.write_bytes(one + two)
    assert b"".join(chunks(path, kind)) == b"one\n" * 5_000 + b"two\n" * 5_000
    path.write_bytes(one + two[:-5])
    read = []
    with pytest.raises(DamagedFileError, match="truncated_file"):
        read.extend(chunks(path, kind))
    assert b"".join(read).startswith(b"one\n" * 5_000)
    path.write_bytes(one[:20] + b"\xff\x00garbage" * 20)
    with pytest.raises(DamagedFileError):
        list(chunks(path, kind))
