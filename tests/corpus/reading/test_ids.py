from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.reading.ids import IdKeys, new_numbers


def renamed(shards: list[list[str]], bucket_rows: int = 10) -> list[str]:
    """The ids of all shards, made unique."""
    with tempfile.TemporaryDirectory() as folder:
        folders = []
        for index, names in enumerate(shards):
            keys = IdKeys()
            for name in names:
                keys.add(name)
            folders.append(Path(folder) / str(index))
            keys.save(folders[-1])
        positions, numbers = new_numbers(folders, bucket_rows)
    names = [name for shard in shards for name in shard]
    for position, number in zip(positions.tolist(), numbers.tolist(), strict=True):
        names[position] += f"~{number}"
    return names


def slowly(names: list[str]) -> list[str]:
    """The rule, one id after another: the first keeps its id, others get the next number that no id
    of the input ends with."""
    wanted, counts, out = set(names), dict.fromkeys(names, 1), []
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            out.append(name)
            continue
        counts[name] += 1
        while f"{name}~{counts[name]}" in wanted:
            counts[name] += 1
        out.append(f"{name}~{counts[name]}")
    return out


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        ([["a", "b"], ["a"], ["a", "c"]], ["a", "b", "a~2", "a~3", "c"]),
        ([["a", "a~2", "a", "a"]], ["a", "a~2", "a~3", "a~4"]),
        ([["a", "a"], ["a~2", "a~2"]], ["a", "a~3", "a~2", "a~2~2"]),
        ([["a", "a~02", "a"]], ["a", "a~02", "a~2"]),
        ([[], ["a"], []], ["a"]),
        ([[]], []),
    ],
)
def test_the_first_keeps_its_id(shards: list[list[str]], expected: list[str]) -> None:
    assert renamed(shards) == expected


NAMES = st.sampled_from(["a", "b", "a~2", "a~3", "a~2~2", "b~2", "é", "a~x", "~2", ""])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(NAMES, max_size=12), max_size=4), st.integers(1, 20))
def test_as_the_slow_rule_however_sharded(shards: list[list[str]], bucket_rows: int) -> None:
    found = renamed(shards, bucket_rows)
    assert found == slowly([name for shard in shards for name in shard])
    assert len(set(found)) == len(found)
