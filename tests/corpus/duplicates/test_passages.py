from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, part_name, read_all, write_table
from llamakit.corpus.duplicates import passages
from llamakit.corpus.duplicates.boilerplate import cut_boilerplate
from llamakit.corpus.duplicates.passages import Cut, without
from llamakit.engine.shards import Engine
from llamakit.events import SILENT

MENU = "Home | About us | Subscribe to our letter"
RIGHTS = "All rights reserved, whoever they are of."
TEXTS = [
    f"{MENU}\nThe first story.\n\n{RIGHTS}",
    f"A second story\nof two lines.\n\n{RIGHTS.upper()}  ",
    f"{MENU}\n{RIGHTS}",
    "short\nshort\nNobody else says this, not even twice, not even twice.",
    "short\nThe end.\nshort",
]


def cut(folder: Path, *cuts: Cut, per_part: int = 2, workers: int = 1) -> tuple[list[str], dict]:
    kept = folder / "kept"
    for index, start in enumerate(range(0, len(TEXTS), per_part)):
        rows = [
            {"id": f"d{start + n}", "text": text, "source": "s", "metadata": json.dumps({})}
            for n, text in enumerate(TEXTS[start : start + per_part])
        ]
        write_table(kept / part_name(index), pl.DataFrame(rows), DOCUMENTS)
    counts = cut_boilerplate(kept, folder / "out", folder / "work", cuts, Engine(workers), SILENT)
    return read_all(folder / "out/data")["text"].to_list(), counts


def test_lines_stay_in_the_first_document_that_holds_them(tmp_path: Path) -> None:
    texts, counts = cut(tmp_path, Cut("lines", 2, 30, keep_first=True))
    assert texts == [TEXTS[0], "A second story\nof two lines.", *TEXTS[3:]]
    assert counts == {
        "cut_lines": 3,
        "cut_lines_characters": sum(map(len, TEXTS)) - sum(map(len, texts)),
        "cut_lines_documents": 2,
        "rejected_only_repeated_lines": 1,
    }
    gone = read_all(tmp_path / "out/rejected")
    assert gone["text"].to_list() == [TEXTS[2]]
    assert gone["reason"].to_list() == ["only_repeated_lines"]


def test_or_go_everywhere(tmp_path: Path) -> None:
    texts, _ = cut(tmp_path, Cut("lines", 3, 30, keep_first=False))
    assert texts[0] == f"{MENU}\nThe first story."
    assert texts[2] == MENU


def test_short_ones_are_never_touched(tmp_path: Path) -> None:
    texts, counts = cut(tmp_path, Cut("lines", 2, 300, keep_first=False))
    assert texts == TEXTS
    assert counts["cut_lines"] == 0


def test_paragraphs(tmp_path: Path) -> None:
    texts, counts = cut(tmp_path, Cut("paragraphs", 2, 30, keep_first=True))
    assert texts[1] == "A second story\nof two lines."
    assert texts[2] == TEXTS[2]
    assert counts["cut_paragraphs"] == 1


def test_shards_workers_and_ranges_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (Cut("lines", 2, 30, keep_first=True), Cut("paragraphs", 2, 5, keep_first=False))
    one = cut(tmp_path / "1", *both, per_part=5)
    monkeypatch.setattr(passages, "_KEYS_AT_ONCE", 2)
    assert cut(tmp_path / "2", *both, per_part=1) == one
    assert cut(tmp_path / "3", *both, per_part=2, workers=2) == one


def test_breaks_go_with_what_they_follow() -> None:
    rule = Cut("lines", 2, 1, keep_first=False)
    key = {k: 0 for _, k in passages.passages("x", rule) if k}
    assert without("a\n\nx\n\nb\nx", 0, key, rule) == ("a\n\n\nb", 2)
    assert without("a  \n", 0, key, rule) == ("a  \n", 0)


def test_the_last_key_of_all_is_counted(tmp_path: Path) -> None:
    table = np.zeros(1, passages.COUNTED)
    table["key"], table["documents"] = 2**64 - 1, 5
    np.save(tmp_path / "c.npy", table)
    (task,) = passages.merges([tmp_path / "c.npy"], Cut("lines", 5, 1, True), tmp_path / "out")
    assert passages.merge_passages(task) == {"passages": 1}
