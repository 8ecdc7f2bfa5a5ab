from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, part_name, read_all, read_parts, write_table
from llamakit.corpus.duplicates.deduplication import Deduplicated, Settings, deduplicate
from llamakit.corpus.duplicates.shingles import distinct, shingle
from llamakit.engine.shards import Engine
from llamakit.events import SILENT, Events

DEFAULT = Settings(similarity=0.8, ngram=5, num_perm=128, bands=25, rows=5)


def write_documents(folder: Path, texts: Sequence[str], per_part: int) -> list[Path]:
    paths = []
    for index, start in enumerate(range(0, len(texts), per_part)):
        rows = [
            {"id": f"d{start + n}", "text": text, "source": "s", "metadata": '{"k": 1}'}
            for n, text in enumerate(texts[start : start + per_part])
        ]
        paths.append(folder / part_name(index))
        write_table(paths[-1], pl.DataFrame(rows), DOCUMENTS)
    return paths


def run(
    folder: Path, texts: Sequence[str], per_part: int = 7, workers: int = 1, **changes: Any
) -> tuple[Deduplicated, list[str], dict[str, dict[str, Any]]]:
    parts = write_documents(folder / "in", texts, per_part)
    settings = Settings(**{**vars(DEFAULT), **changes})
    found = deduplicate(
        parts, folder / "out", folder / "work", settings, engine=Engine(workers), events=SILENT
    )
    kept = [i for frame in read_parts(folder / "out/data") for i in frame["id"].to_list()]
    removed = {
        row["id"]: {"reason": row["reason"], **json.loads(row["metadata"])}
        for frame in read_parts(folder / "out/rejected")
        for row in frame.iter_rows(named=True)
    }
    return found, kept, removed


def words(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefgh", k=4)) for _ in range(count)]


def jaccard(one: str, other: str) -> float:
    found = distinct(shingle([one, other]))
    a = set(found.hashes[: found.offsets[1]].tolist())
    b = set(found.hashes[found.offsets[1] :].tolist())
    return len(a & b) / len(a | b)


def test_exact_copies_whatever_their_case_and_blanks(tmp_path: Path) -> None:
    texts = ["Hello  World", "other", "hello\nworld ", "!!!", "???", "!!!", "Other"]
    found, kept, removed = run(tmp_path, texts, similarity=1.0)
    assert kept == ["d0", "d1", "d3", "d4"]
    assert removed["d2"] == {
        "reason": "exact_duplicate",
        "k": 1,
        "duplicate_of": "d0",
        "similarity": 1.0,
    }
    assert (found.exact, found.near, found.documents) == (3, 0, 7)


def test_near_copies_say_what_they_match(tmp_path: Path) -> None:
    base = words(200, 0)
    near = [*base[:100], "changed", *base[101:]]
    far = [*base[:100], *words(100, 1)]
    texts = [" ".join(w) for w in (base, far, near, words(200, 2))]
    found, kept, removed = run(tmp_path, texts, per_part=2)
    assert kept == ["d0", "d1", "d3"]
    assert removed["d2"]["reason"] == "near_duplicate"
    assert removed["d2"]["duplicate_of"] == "d0"
    assert removed["d2"]["similarity"] == pytest.approx(jaccard(texts[0], texts[2]), abs=1e-4)
    assert found.near == found.clusters == 1


def test_a_chain_keeps_its_first_and_names_the_match(tmp_path: Path) -> None:
    base = words(260, 0)
    texts = [" ".join(base[15 * n : 15 * n + 200]) for n in range(3)]
    assert jaccard(texts[0], texts[1]) > 0.8 > jaccard(texts[0], texts[2])
    _, kept, removed = run(tmp_path, texts)
    assert kept == ["d0"]
    assert removed["d2"]["duplicate_of"] == "d0"
    assert removed["d2"]["matched"] == "d1"


def test_all_pairs_are_found_and_no_other(tmp_path: Path) -> None:
    draw = random.Random(0)
    texts = []
    for cluster in range(30):
        base = words(150, cluster)
        texts.append(" ".join(base))
        for _ in range(draw.randint(0, 3)):
            copy = list(base)
            for place in draw.sample(range(150), draw.randint(1, 9)):
                copy[place] = "zz"
            texts.append(" ".join(copy))
    draw.shuffle(texts)
    found, kept, _ = run(tmp_path, texts, per_part=20)
    alike = [
        p for p in combinations(range(len(texts)), 2) if jaccard(texts[p[0]], texts[p[1]]) >= 0.8
    ]
    assert found.verified == len(alike)
    assert {f"d{j}" for _, j in alike} & set(kept) == set()


def test_workers_and_shards_do_not_change_the_result(tmp_path: Path) -> None:
    texts = [" ".join(words(60, n % 17)) + " tail" * (n % 3) for n in range(60)]
    results = [
        run(tmp_path / str(number), texts, per_part=per_part, workers=workers)
        for number, (per_part, workers) in enumerate([(60, 1), (7, 1), (7, 2)])
    ]
    assert results[0] == results[1] == results[2]


def test_a_rerun_continues(tmp_path: Path) -> None:
    texts = [" ".join(words(60, n % 5)) for n in range(20)]
    first = run(tmp_path, texts)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.parquet")}
    assert run(tmp_path, texts) == first
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("*.parquet")} == before


def test_losing_most_of_a_source_is_said(tmp_path: Path) -> None:
    warnings: list[str] = []

    class Listener(Events):
        def warn(self, text: str) -> None:
            warnings.append(text)

    parts = write_documents(tmp_path / "in", ["same text"] * 50, 50)
    deduplicate(parts, tmp_path / "o", tmp_path / "w", DEFAULT, engine=Engine(1), events=Listener())
    assert warnings == ["s loses 49 of its 50 documents"]


def test_no_documents(tmp_path: Path) -> None:
    write_table(tmp_path / "in/part-00000.parquet", pl.DataFrame(schema=dict(DOCUMENTS)), DOCUMENTS)
    parts = [tmp_path / "in/part-00000.parquet"]
    found = deduplicate(
        parts, tmp_path / "o", tmp_path / "w", DEFAULT, engine=Engine(1), events=SILENT
    )
    assert found.documents == 0
    assert len(read_all(tmp_path / "o/data")) == 0


def test_revisions_of_real_texts(real_data: Path, tmp_path: Path) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        with gzip.open(real_data / "neardup" / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    documents = rows("pep_revisions_docs.jsonl.gz")
    place = {row["id"]: f"d{n}" for n, row in enumerate(documents)}
    truth = {
        frozenset((place[row["a"]], place[row["b"]]))
        for row in rows("pep_revisions_pairs.jsonl.gz")
        if row["jaccard_word5"] >= 0.8
    }
    _, kept, removed = run(tmp_path, [row["text"] for row in documents], per_part=100)
    # By the truth's pairs a document goes exactly if an earlier member of its cluster stays.
    survivors = set(kept)
    linked = {max(pair, key=lambda d: int(d[1:])) for pair in truth}
    true_positives = len(linked & set(removed))
    precision, recall = true_positives / len(removed), true_positives / len(linked)
    assert 2 * precision * recall / (precision + recall) > 0.97
    assert all(row["duplicate_of"] in survivors for row in removed.values())
