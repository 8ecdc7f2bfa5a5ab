from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from llamakit.artifacts.frames import DOCUMENTS, write_table
from llamakit.artifacts.mixture import DocumentShard
from llamakit.corpus.profiling.scan import NOWHERE, Scan, Settings, add, scan
from llamakit.corpus.profiling.websites import densest, largest, load_sites

SETTINGS = Settings({"x": ("page",)}, None, 0.5, 1.0, ("US",), 0)


def _scanned(folder: Path, rows: dict[str, list[Any]], settings: Settings = SETTINGS) -> Any:
    write_table(folder / "part.parquet", pl.DataFrame(rows), DOCUMENTS)
    shard = Scan(DocumentShard(folder / "part.parquet"), folder, settings)
    return shard, scan(shard)


def test_nulls_in_every_column(tmp_path: Path) -> None:
    shard, found = _scanned(tmp_path, {"text": ["This is the plain page of a book.", None]})
    assert (found["documents"], found["english"]) == (2, 1)
    assert list(found["sources"]) == [NOWHERE]
    assert set(found["languages"]) == {"en", "unknown"}
    assert found["identity"] == {"x": {"any": 1, "terms": {"page": 1}}}
    assert load_sites([shard.sites]).is_empty()


def test_an_empty_shard_has_no_counts(tmp_path: Path) -> None:
    shard, found = _scanned(tmp_path, {"text": []})
    assert found == {}
    assert load_sites([shard.sites]).is_empty()


def test_english_under_its_other_names(tmp_path: Path) -> None:
    languages = ["en", "EN-us", "eng", "English", "enm", "de"]
    _, found = _scanned(tmp_path, {"text": ["page"] * 6, "language": languages})
    assert found["english"] == 4


def test_samples_are_of_the_asked_share_and_nested(tmp_path: Path) -> None:
    ids = [f"d{n}" for n in range(2_000)]
    rows = {"id": ids, "text": ["mail a@b.example"] * len(ids), "language": ["en"] * len(ids)}
    sampled = [
        _scanned(tmp_path, rows, Settings(SETTINGS.terms, None, 0.5, share, (), 0))[1]["pii"]
        for share in (0.0, 0.1, 0.5, 1.0)
    ]
    assert sampled[0]["sampled"] == 0
    assert 150 < sampled[1]["sampled"] < 250
    assert sampled[3]["sampled"] == sampled[3]["hits"] == 2_000
    other = _scanned(tmp_path, rows, Settings(SETTINGS.terms, None, 0.5, 0.5, (), 1))[1]["pii"]
    assert other["sampled"] != sampled[2]["sampled"]


def test_sites_by_size_and_by_density(tmp_path: Path) -> None:
    mail = "x@y.example " * 2
    rows = {
        "text": ["plain text"] * 9 + [mail] * 5 + [mail * 3],
        "url": ["http://www.big.example/"] * 9 + ["http://full.example"] * 5 + ["few.example/a"],
        "language": ["en"] * 15,
    }
    shard, _ = _scanned(tmp_path, {"id": [str(n) for n in range(15)], **rows})
    table = load_sites([shard.sites])
    assert [site["site"] for site in largest(table, 2)] == ["big.example", "full.example"]
    assert [site["site"] for site in densest(table, 9, 5)] == ["full.example"]
    assert densest(table, 9, 5)[0]["density"] == 1_000 * 10 / (5 * len(mail))
    assert load_sites([shard.sites] * 130)["documents"].to_list() == [1170, 130, 650]


def test_counts_add_up_however_deep() -> None:
    total: dict[str, Any] = {"a": 1, "b": {"c": 2}}
    add(total, {"a": 1, "b": {"c": 1, "d": 1}, "e": {"f": 1}})
    assert total == {"a": 2, "b": {"c": 3, "d": 1}, "e": {"f": 1}}
