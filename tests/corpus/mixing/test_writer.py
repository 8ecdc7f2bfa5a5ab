from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from llamakit.artifacts import mixture
from llamakit.artifacts.mixture import document_shards, is_mixture, iter_documents, read_shard
from llamakit.artifacts.store import Store, Version
from llamakit.errors import InputError, UsageError
from llamakit.events import Events
from llamakit.stages.dedup import Dedup
from llamakit.stages.ingest import Ingest
from llamakit.stages.mix import Mix
from llamakit.stages.produce import produce


def documents(store: Store, tmp_path: Path, name: str, count: int) -> Version[Any]:
    rows = [{"id": f"{name}{n}", "text": f"{name} " + "word " * 20 + str(n)} for n in range(count)]
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return produce(Ingest(files=(str(path),), as_="documents"), store, name=name).version


@pytest.fixture
def pair(store: Store, tmp_path: Path) -> tuple[Version[Any], Version[Any]]:
    return documents(store, tmp_path, "facts", 10), documents(store, tmp_path, "web", 30)


def repeats(version: Version[Any]) -> dict[str, int]:
    return {
        name: count
        for frame in iter_documents(version)
        for name, count in frame.select("id", "repeats").iter_rows()
    }


def test_upsampling_is_a_count_and_no_text_is_copied(store: Store, pair: Any) -> None:
    version = produce(Mix(documents=pair, upsample={"facts": 2.5}), store).version
    found = repeats(version)
    assert sorted(found.values()) == [1] * 30 + [2] * 5 + [3] * 5
    assert version.record.counts["reads"] == 55
    assert version.record.counts["reads_facts"] == 25
    assert is_mixture(version)
    payload = b"".join(p.read_bytes() for p in version.path.rglob("*") if p.is_file())
    assert b"word word" not in payload
    frame = next(iter_documents(version))
    assert frame["text"][0].startswith("facts word")
    assert frame["metadata"][0] == "{}"


def test_weights_budget_and_seed(store: Store, pair: Any) -> None:
    def mix(seed: int) -> dict[str, int]:
        stage = Mix(documents=pair, weights={"facts": 1, "web": 1}, max_documents=16, seed=seed)
        return repeats(produce(stage, store, force=True).version)

    found = mix(0)
    assert sum(name.startswith("facts") for name in found) == 8
    assert len(found) == 16
    assert mix(0) == found != mix(1)


def test_sources_left_out_and_the_cap_are_told(store: Store, pair: Any) -> None:
    told: list[str] = []

    class Listener(Events):
        def note(self, text: str) -> None:
            told.append(text)

        warn = note

    stage = Mix(documents=pair, weights={"facts": 1}, max_documents=100)
    version = produce(stage, store, events=Listener()).version
    assert set(repeats(version).values()) == {4}
    assert any("facts: read 4 times, the cap" in line for line in told)
    assert any("40 of 100" in line for line in told)


def test_shards_are_small_and_travel(store: Store, pair: Any) -> None:
    version = produce(Mix(documents=pair), store).version
    shards = pickle.loads(pickle.dumps(document_shards(version)))  # noqa: S301 - as a worker does
    assert [len(read_shard(shard, ["text"])) for shard in shards] == [10, 30]
    assert [len(read_shard(s)) for s in document_shards(pair[0])] == [10]
    assert read_shard(document_shards(pair[0])[0])["repeats"].to_list() == [1] * 10


def test_an_input_is_found_by_content_and_missed_by_name(
    store: Store, pair: Any, tmp_path: Path
) -> None:
    version = produce(Mix(documents=pair), store).version
    shutil.move(store.root / "web", store.root / "renamed")
    assert len(repeats(version)) == 40
    shutil.move(store.root / "renamed", tmp_path / "gone")
    with pytest.raises(InputError, match="mixed from web:v1, which is gone"):
        document_shards(version)


def test_equal_inputs_give_equal_bytes_whatever_their_names(
    store: Store, pair: Any, tmp_path: Path
) -> None:
    first = produce(Mix(documents=pair), store, name="one").version
    other = Store(tmp_path / "other")
    (tmp_path / "again").mkdir()
    copies = tuple(
        documents(other, tmp_path / "again", name, n) for name, n in (("facts", 10), ("web", 30))
    )
    assert produce(Mix(documents=copies), other, name="two").version.digest == first.digest


def test_a_mixture_goes_no_way_back(store: Store, pair: Any) -> None:
    version = produce(Mix(documents=pair), store).version
    with pytest.raises(InputError, match="is a mixture, and dedup comes before mixing"):
        produce(Dedup(documents=version), store)


def test_wrong_wishes(store: Store, pair: Any) -> None:
    with pytest.raises(UsageError, match="weights or upsample, not both"):
        Mix(documents=pair, weights={"a": 1}, upsample={"b": 1})
    with pytest.raises(UsageError, match="must be 0 or more"):
        Mix(documents=pair, weights={"a": -1})
    with pytest.raises(UsageError, match="Did you mean 'facts'"):
        produce(Mix(documents=pair, weights={"fact": 1}), store)


def test_a_damaged_listing_is_named(store: Store, pair: Any) -> None:
    version = produce(Mix(documents=pair), store).version
    (version.path / mixture.MIXTURE_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="mixture cannot be read"):
        document_shards(version)
