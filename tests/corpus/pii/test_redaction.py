from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, UsageError
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
    sites = json.loads((version.path / "sites.json").read_text(encoding="utf-8"))
    assert [name for name, site in sites.items() if site["dropped"]] == ["full.example"]
    assert sites["full.example"]["density_low"] < sites["full.example"]["density"]
    page = (version.path / "log" / "report.html").read_text(encoding="utf-8")
    assert "full.example" in page
    assert "@b.example" not in page
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


def test_spans_table_has_its_types(store: Store, documents: Version[Any]) -> None:
    version = produce(Pii(documents=documents, kinds=["iban"]), store).version
    assert read_all(version.path / "spans").schema["start"] == pl.Int64


def pseudonyms(store: Store, documents: Version[Any], name: str, **config: Any) -> list[str]:
    stage = Pii(documents=documents, max_site_density=0.0, **config)
    return read_all(produce(stage, store, name=name).version.path / "data")["text"].to_list()


def test_pseudonyms_last_within_a_document_and_no_further(
    store: Store, documents: Version[Any], tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("a key of more than sixteen bytes\n")
    texts = pseudonyms(store, documents, "one", style="pseudonym", key_file=str(key))
    first, second = re.findall(r"<EMAIL_\w+>", texts[0])
    assert first != second
    assert re.fullmatch(r"<EMAIL_[0-9a-f]{4}>", first)
    assert first not in texts[1]
    linked = pseudonyms(store, documents, "all", style="linked", key_file=str(key))
    assert linked[0] == linked[1]
    key.write_text("another key of more than sixteen bytes")
    assert pseudonyms(store, documents, "other", style="linked", key_file=str(key)) != linked


def test_the_record_tells_keys_apart_and_holds_none(
    store: Store, documents: Version[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a key of more than sixteen bytes"
    key = tmp_path / "key"
    key.write_text(secret + "\n")
    monkeypatch.setenv("SOME_KEY", secret)
    from_file = Pii(documents=documents, style="linked", key_file=str(key))
    version = produce(from_file, store).version
    assert secret not in (version.path / "artifact.json").read_text(encoding="utf-8")
    again = produce(Pii(documents=documents, style="linked", key_env="SOME_KEY"), store)
    assert again.reused
    assert again.version.reference == version.reference
    monkeypatch.setenv("SOME_KEY", secret + "!")
    assert not produce(Pii(documents=documents, style="linked", key_env="SOME_KEY"), store).reused
    with pytest.raises(UsageError, match="digest"):
        Pii(documents="x", style="linked", key_env="SOME_KEY", key_digest=from_file.key_digest)


def test_wrong_keys_and_regions_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="need a key"):
        Pii(documents="x", style="pseudonym")
    with pytest.raises(UsageError, match="of no use"):
        Pii(documents="x", key_env="SOME_KEY")
    with pytest.raises(InputError, match="cannot be read"):
        Pii(documents="x", style="pseudonym", key_file=str(tmp_path / "none"))
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match="is not set"):
        Pii(documents="x", style="pseudonym", key_env="SOME_KEY")
    monkeypatch.setenv("SOME_KEY", "short")
    with pytest.raises(UsageError, match="needs 16"):
        Pii(documents="x", style="pseudonym", key_env="SOME_KEY")
    with pytest.raises(UsageError, match="no region 'UK'"):
        Pii(documents="x", regions=["UK"])
