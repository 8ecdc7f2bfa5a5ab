from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, read_table, write_table
from llamakit.artifacts.mixture import DocumentShard
from llamakit.corpus.profiling.toxicity import Scoring, phrase_scorer, score_documents
from llamakit.errors import InputError

TEXTS = [
    "fine\n\nyou are stupid\n",  # one line of two
    "STUPID, really",
    "stupidity is another word\nshut  up!",
    " \n\n",  # no line at all
    None,
]


@pytest.fixture
def job(tmp_path: Path) -> Scoring:
    rows = {"id": [f"d{n}" for n in range(len(TEXTS))], "text": TEXTS}
    write_table(tmp_path / "part.parquet", pl.DataFrame(rows), DOCUMENTS)
    shard = DocumentShard(tmp_path / "part.parquet")
    return Scoring(shard, tmp_path / "worst.parquet", 1.0, 0.5, 0)


def test_a_document_is_the_mean_of_its_lines(tmp_path: Path, job: Scoring) -> None:
    (tmp_path / "list.txt").write_text("# insults\nstupid\n\nshut up\n")
    found = score_documents(job, phrase_scorer(tmp_path / "list.txt"))
    assert found == {
        "sampled": 3,
        "toxic": 3,
        "sum": 2_000_000,
        "lines": 5,
        "toxic_lines": 3,
        "bins": {"10": 2, "19": 1},
    }
    worst = read_table(job.excerpts)
    assert worst["id"].to_list() == ["d1", "d0", "d2"]
    assert worst["rank"].to_list() == [-1.0, -0.5, -0.5]


def test_each_line_is_scored_once(job: Scoring) -> None:
    asked: list[str] = []

    def scorer(lines: list[str]) -> list[float]:
        asked.extend(lines)
        return [0.25] * len(lines)

    found = score_documents(job, scorer)  # type: ignore[arg-type]
    assert len(asked) == len(set(asked)) == 5
    assert found["toxic"] == 0
    assert found["bins"] == {"5": 3}


def test_a_list_without_phrases_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing\n\n--\n")
    with pytest.raises(InputError, match="no phrase"):
        phrase_scorer(tmp_path / "list.txt")
    (tmp_path / "list.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no list of phrases"):
        phrase_scorer(tmp_path / "list.bin")
