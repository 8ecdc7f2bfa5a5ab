from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.reading.json_rows import MAX_DEPTH, parsed, read_json, read_jsonl, too_deep
from llamakit.corpus.reading.records import BrokenRow, Row

VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Pieces that JSON is made of, put together so that little of it is JSON.
TOKENS = st.sampled_from(
    [*'{}[]":,', "1", "-", "1e999", "NaN", "\\ud800", "\\", "null", " ", "\t", "0.1", "9" * 30, "é"]
)


def one(line: bytes) -> Row | BrokenRow | None:
    found = list(read_jsonl(iter([line])))
    assert len(found) <= 1
    return found[0] if found else None


def same(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and repr(left) == repr(right)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.booleans())
def test_values_are_those_of_json(value: Any, ascii_only: bool) -> None:
    line = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    row = one(line)
    try:
        expected = json.loads(line.decode())
    except UnicodeDecodeError:
        assert isinstance(row, BrokenRow)
        return
    assert isinstance(row, Row)
    assert same(row.value, expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKENS, max_size=12))
def test_what_is_no_json_is_no_row(tokens: list[str]) -> None:
    line = "".join(tokens).encode()
    row = one(line)
    try:
        expected = json.loads(line)
    except ValueError:
        assert row is None or isinstance(row, BrokenRow)
        assert (row is None) == (not line.strip())
        return
    assert isinstance(row, Row)
    assert same(row.value, expected)


def test_the_last_of_equal_keys_counts_and_long_numbers_stay_whole() -> None:
    row = one(b'{"a": 1, "a": 123456789012345678901234567890}')
    assert row == Row(1, {"a": 123456789012345678901234567890})
    broken = one(b"9" * 5_000)
    assert isinstance(broken, BrokenRow)


@pytest.mark.parametrize(
    ("text", "deep"),
    [
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, False),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), True),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), True),
        ("[" + "[]," * 500 + "1]", False),
        (json.dumps("[" * 500), False),
        (json.dumps('"[' * 500 + "\\"), False),
    ],
)
def test_depth_counts_open_brackets_outside_texts(text: str, deep: bool) -> None:
    assert too_deep(text.encode()) is deep
    assert isinstance(parsed(1, text.encode()), BrokenRow) is deep


def test_hostile_lines_take_no_time_to_speak_of() -> None:
    for line in (b'"' + b'\\"' * 500_000, b"[" * 1_000_000, b'"[' * 500_000, b"\\" * 1_000_000):
        assert isinstance(one(line), BrokenRow)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 990, 5_000])
def test_a_deep_value_ends_a_json_file_the_same_way_at_any_depth(depth: int) -> None:
    text = "[1, " + "[" * depth + "]" * depth + ", 2]"
    first, last = read_json(iter([text.encode()]))
    assert first == Row(1, 1)
    assert isinstance(last, BrokenRow)
    assert (last.line, last.reason, last.ends_file) == (2, "nested_too_deep", True)


def test_an_array_after_blank_chunks() -> None:
    chunks = [b"\xef\xbb\xbf\n\n", b"  \n", b'[{"a": 1},', b' {"a": 2}]']
    assert [row.line for row in read_json(iter(chunks))] == [1, 2]
