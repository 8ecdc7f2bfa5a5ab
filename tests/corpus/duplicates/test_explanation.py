from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, write_table
from llamakit.corpus.duplicates.deduplication import Deduplication
from llamakit.corpus.duplicates.explanation import differences, explain
from llamakit.corpus.duplicates.report import report
from llamakit.corpus.duplicates.settings import Settings
from llamakit.engine.shards import Engine
from llamakit.errors import InputError
from llamakit.events import SILENT

BASE = [f"w{n}" for n in range(200)]
TEXTS = [
    " ".join(BASE),
    "something else altogether",
    " ".join([*BASE[:100], "changed", *BASE[101:]]),
    " ".join(BASE),
]


def deduplicated(folder: Path) -> tuple[Path, str]:
    rows = [
        {"id": f"d{n}", "text": text, "source": "s", "metadata": "{}"}
        for n, text in enumerate(TEXTS)
    ]
    parts = [folder / "part-00000.parquet"]
    write_table(parts[0], pl.DataFrame(rows), DOCUMENTS)
    settings = Settings(similarity=0.8, ngram=5, num_perm=128, bands=25, rows=5)
    task = Deduplication(parts, folder / "work", settings, Engine(1), SILENT)
    found = task.run(folder / "out")
    return folder / "out", report(found, parts, 0.8)


def test_a_cluster_explains_itself(tmp_path: Path) -> None:
    folder, _ = deduplicated(tmp_path)
    asked = explain(folder, "d2", 5)
    assert [row["id"] for row in asked.members] == ["d0", "d2", "d3"]
    assert asked.members[1]["reason"] == "near_duplicate"
    assert asked.matrix[0] == [1.0, asked.members[1]["similarity"], 1.0]
    assert asked.difference == [
        "  … w94 w95 w96 w97 w98 w99 [w100 → changed] w101 w102 w103 w104 w105 w106 …"
    ]
    assert explain(folder, "d0", 5).members[0]["id"] == "d0"
    assert explain(folder, "d1", 5).matrix == [[1.0]]
    with pytest.raises(InputError, match="no document 'd9'"):
        explain(folder, "d9", 5)


def test_the_report_shows_what_went(tmp_path: Path) -> None:
    _, page = deduplicated(tmp_path)
    for text in ("Similarities", "clusters by size", "kept: d0", "removed: d2", "Chains"):
        assert text in page


def test_long_texts_say_that_they_were_cut() -> None:
    lines = list(differences("a " * 6_000, "a " * 5_000))
    assert lines == ["(the first 5,000 of 6,000 words of the kept text)"]
