from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store, Version
from llamakit.corpus.pii.sites import SiteCount, SiteRule, site_of
from llamakit.errors import UsageError
from llamakit.stages.ingest import Ingest
from llamakit.stages.pii import Pii
from llamakit.stages.produce import produce

FULL = {"text": "a@b.example c@d.example", "url": "http://www.full.example/x"}
FINE = {"text": "plain words " * 30 + "a@b.example", "url": "https://fine.example"}
ROWS = [
    *({"id": f"bad{n}", **FULL} for n in range(6)),
    *({"id": f"good{n}", **FINE} for n in range(6)),
    {"id": "free", "text": "call 212-555-0123"},
]


@pytest.fixture
def documents(store: Store, tmp_path: Path) -> Version[Any]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return produce(Ingest(files=(str(path),), as_="documents"), store).version


def test_placeholders_spans_and_dropped_sites(store: Store, documents: Version[Any]) -> None:
    version = produce(Pii(documents=documents, workers=1), store).version
    kept = read_all(version.path / "data")
    assert kept["id"].to_list() == [*(f"good{n}" for n in range(6)), "free"]
    assert kept["text"][0].endswith("<EMAIL>")
    assert kept["text"][-1] == "call <PHONE>"
    rejected = read_all(version.path / "rejected")
    assert set(rejected["reason"]) == {"site_full_of_pii"}
    assert "@" not in "".join(rejected["text"])
    spans = read_all(version.path / "spans")
    texts = {row["id"]: row["text"] for row in ROWS}
    found = [(texts[i][start:end], kind) for i, start, end, kind in spans.iter_rows()]
    assert found.count(("a@b.example", "email")) == 12
    assert found[-1] == ("212-555-0123", "phone")
    sites = json.loads((version.path / "dropped_sites.json").read_text(encoding="utf-8"))
    assert list(sites) == ["full.example"]
    assert version.record.counts["rejected_site_full_of_pii"] == 6


def test_drop_instead_of_replace(store: Store, documents: Version[Any]) -> None:
    stage = Pii(documents=documents, action="drop", max_site_density=0.0, kinds=["email"])
    version = produce(stage, store).version
    assert read_all(version.path / "data")["id"].to_list() == ["free"]
    assert version.record.counts["rejected_holds_email"] == 12
    assert version.record.counts["sites_dropped"] == 0


def test_workers_do_not_change_the_bytes(store: Store, documents: Version[Any]) -> None:
    one = produce(Pii(documents=documents, workers=1), store, name="one").version
    two = produce(Pii(documents=documents, workers=2), store, name="two", force=True).version
    assert one.digest == two.digest


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'phone'"):
        Pii(documents="x", kinds=["phones"])


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.A.example:80/x", "a.example"),
        ("b.example/path", "b.example"),
        ("", None),
        (None, None),
        ("http://[broken", None),
    ],
)
def test_site_of(url: str | None, site: str | None) -> None:
    assert site_of(url) == site


def test_site_rule() -> None:
    site = SiteCount(pages=10, characters=1_000, spans=3, hits=6)
    assert SiteRule(2.9, 0, 10).drops(site)
    assert not SiteRule(3.0, 0, 10).drops(site)
    assert SiteRule(0, 0.5, 10).drops(site)
    assert not SiteRule(0, 0, 1).drops(site)
    assert not SiteRule(2.9, 0.5, 11).drops(site)


def test_spans_table_has_its_types(store: Store, documents: Version[Any]) -> None:
    version = produce(Pii(documents=documents, kinds=["iban"]), store).version
    assert read_all(version.path / "spans").schema["start"] == pl.Int64
