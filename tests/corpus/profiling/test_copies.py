from __future__ import annotations

import random
from pathlib import Path

import pytest

from llamakit.corpus.profiling.copies import (
    SHORTEST_LINE,
    Copies,
    count_copies,
    document_keys,
    line_keys,
    save_keys,
)

LONG = "a line that is surely long enough to count"


def test_by_hand(tmp_path: Path) -> None:
    texts = [f"{LONG}\n* * *", f"  {LONG.upper()}\t* * *", f"x {LONG}\n{LONG} \n", ""]
    save_keys(tmp_path / "a", [document_keys(texts[:2]), document_keys(texts[2:])])
    save_keys(tmp_path / "b", [document_keys([""])])
    sizes = [len(text) for text in [*texts, ""]]
    assert count_copies([tmp_path / "a", tmp_path / "b"]) == Copies(5, sum(sizes), 2, sizes[1])
    save_keys(tmp_path / "lines", [line_keys(texts)])
    # Upper and lower case are two lines; blanks around them are none.
    n = len(LONG)
    assert count_copies([tmp_path / "lines"]) == Copies(4, 4 * n + 8, 1, n)
    assert len("* * *") < SHORTEST_LINE


@pytest.mark.parametrize("at_once", [7, 100, 10_000])
def test_ranges_of_keys_and_shards_change_nothing(tmp_path: Path, at_once: int) -> None:
    rng = random.Random(1)
    lines = [f"{rng.randrange(400):060d}" for _ in range(1_000)]
    for number in range(4):
        save_keys(tmp_path / str(number), [line_keys(lines[number::4])])
    found = count_copies([tmp_path / str(number) for number in range(4)], at_once)
    copies = len(lines) - len(set(lines))
    assert found == Copies(1_000, 60_000, copies, 60 * copies)


def test_nothing(tmp_path: Path) -> None:
    save_keys(tmp_path / "none", [])
    assert count_copies([tmp_path / "none"]) == Copies(0, 0, 0, 0)
