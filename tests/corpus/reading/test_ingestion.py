from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store
from llamakit.corpus.reading.limits import Limits
from llamakit.errors import InputError, UsageError
from llamakit.events import SILENT, Events
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import Made, produce


def write_lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def ingest(store: Store, *files: str, events: Events = SILENT, **config: Any) -> Made:
    return produce(Ingest(files=files, **{"as_": "documents", **config}), store, events=events)


def test_documents_keep_their_fields_and_ids_are_made_unique(store: Store, tmp_path: Path) -> None:
    one = write_lines(tmp_path / "one.jsonl", [{"id": "a", "text": "1"}, {"text": "2"}])
    two = write_lines(tmp_path / "two.jsonl", [{"id": "a", "text": "3", "source": "s"}])
    version = ingest(store, one, two).version
    frame = read_all(version.path / "data")
    assert frame["id"].to_list() == ["a", "one.jsonl:2", "a~2"]
    assert frame["source"].to_list() == ["one", "one", "s"]
    assert version.kind == "documents"
    assert version.record.counts["ids_renamed"] == 1


def test_broken_rows_are_set_aside_with_their_place(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'{"text": "x"}\n{"text": \n{"text": "caf\xe9"}\n{"text": ""}\n{"text": "y"}\n'
    )
    version = ingest(store, str(path)).version
    rejected = read_all(version.path / "rejected")
    assert rejected["line"].to_list() == [2, 3, 4]
    assert rejected["file"].unique().to_list() == ["a.jsonl"]
    counts = version.record.counts
    assert (counts["documents"], counts["rejected"]) == (2, 3)
    assert {name: n for name, n in counts.items() if name.startswith("rejected_")} == {
        "rejected_empty_text": 1,
        "rejected_not_json": 1,
        "rejected_not_utf8": 1,
    }


def test_too_many_broken_rows_stop_the_run_and_are_named(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{\n')
    with pytest.raises(InputError, match=r"1 of 2 rows are broken: a\.jsonl:2 \(not_json\)"):
        ingest(store, str(path), max_broken=0)
    assert ingest(store, str(path), max_broken=1).version.record.counts["documents"] == 1


def test_nothing_usable_is_an_error(store: Store, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(InputError, match="no rows"):
        ingest(store, str(empty))
    other = write_lines(tmp_path / "other.jsonl", [{"body_text": "x"}] * 3)
    with pytest.raises(InputError, match="no_text"):
        ingest(store, other)
    assert ingest(store, other, text_field="body_text").version.record.counts["documents"] == 3
    assert store.names() == ["ingest"]


class Told(Events):
    """Events that keep the warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_another_encoding_is_named_with_its_cure(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "old.txt"
    path.write_bytes("café".encode("latin-1"))
    with pytest.raises(InputError, match=r"not_utf8.*iconv"):
        ingest(store, str(path))


def test_a_truncated_file_gives_what_it_has(store: Store, tmp_path: Path) -> None:
    import random

    draw = random.Random(0)
    rows = [{"text": f"text {draw.random()}"} for _ in range(5_000)]
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(data[: len(data) // 2])
    told = Told()
    version = ingest(store, str(path), events=told).version
    assert version.record.counts["rejected_truncated_file"] == 1
    assert any("cut.jsonl.gz cannot be read from row" in text for text in told.warnings)
    assert read_all(version.path / "rejected")["file"].to_list() == ["cut.jsonl.gz"]
    assert version.record.counts["documents"] > 100


def test_limit_and_source(store: Store, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [{"text": str(n), "source": "x"} for n in range(9)])
    version = ingest(store, path, limit=4, source="mine").version
    assert read_all(version.path / "data")["source"].to_list() == ["mine"] * 4


def test_a_malformed_dialogue_is_set_aside(store: Store, tmp_path: Path) -> None:
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    bad = {"messages": good["messages"][::-1]}
    version = ingest(store, write_lines(tmp_path / "d.jsonl", [good, bad, good]), as_="dialogues")
    assert version.version.kind == "dialogues"
    assert version.version.record.counts["rejected_roles_do_not_alternate"] == 1


def test_the_same_bytes_from_any_folder(store: Store, tmp_path: Path) -> None:
    digests = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = write_lines(tmp_path / folder / "x.jsonl", [{"text": "1"}, {"text": "2"}])
        digests.add(ingest(store, path).version.digest)
    assert len(digests) == 1


def test_the_kind_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="as = 'poems'"):
        Ingest(files=("x",), as_="poems")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "rows", "limit", "exceeded"),
    [
        (1, 3, 0.01, False),
        (10, 50, 0.01, False),
        (11, 50, 0.01, True),
        (2, 3, 0.01, True),
        (100, 10_000, 0.01, False),
        (101, 10_000, 0.01, True),
        (1, 3, 0.0, True),
        (5, 6, 5, False),
        (6, 100, 5, True),
    ],
)
def test_limits(broken: int, rows: int, limit: float, exceeded: bool) -> None:
    assert Limits(limit).exceeded(broken, rows) is exceeded


@pytest.mark.parametrize(
    ("kind", "folder"), [("dialogues", "sft"), ("preferences", "pref"), ("documents", "neardup")]
)
def test_real_files(store: Store, real_data: Path, kind: str, folder: str) -> None:
    for path in sorted((real_data / folder).glob("*.jsonl.gz")):
        if "pairs" in path.name:
            continue
        counts = ingest(store, str(path), as_=kind, limit=700).version.record.counts
        assert counts[kind] > 0.7 * (counts[kind] + counts["rejected"]), path.name


def test_a_share_is_drawn_by_ids_and_holds_the_smaller_shares(store: Store, tmp_path: Path) -> None:
    rows = [{"id": f"row-{i}", "text": "x", "source": "ab"[i % 2]} for i in range(4000)]
    path = write_lines(tmp_path / "a.jsonl", rows)
    back = write_lines(tmp_path / "back.jsonl", rows[::-1])

    def drawn(share: float, file: str = path, **config: Any) -> set[str]:
        version = ingest(store, file, share=share, **config).version
        ids = read_all(version.path / "data")["id"].to_list()
        assert version.record.counts["documents"] == len(ids)
        assert sum(version.record.counts[n] for n in ("not_drawn", "other_sources")) == 4000 - len(
            ids
        )
        return set(ids)

    hundredth, tenth, half = drawn(0.01), drawn(0.1), drawn(0.5)
    assert hundredth < tenth < half < drawn(1.0)
    assert len(hundredth) == pytest.approx(40, abs=25)
    assert len(half) == pytest.approx(2000, abs=130)
    # Whatever the order and whatever else is left out.
    assert drawn(0.1, back) == tenth
    assert drawn(0.1, sources=["a"]) == {name for name in tenth if int(name[4:]) % 2 == 0}


def test_a_share_of_nothing_is_an_empty_table_and_said(store: Store, tmp_path: Path) -> None:
    class Hears(Events):
        said = ""

        def warn(self, text: str) -> None:
            self.said = text

    events = Hears()
    path = write_lines(tmp_path / "a.jsonl", [{"text": "x"}, {"text": "y"}])
    version = ingest(store, path, share=0.0, events=events).version
    assert read_all(version.path / "data").height == 0
    assert events.said == "a share of 0 of 2 rows is none of them"
