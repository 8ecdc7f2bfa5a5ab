from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, part_name, read_all, read_parts, write_table
from llamakit.corpus.duplicates.deduplication import Deduplicated, Deduplication, lost_sources
from llamakit.corpus.duplicates.settings import Settings
from llamakit.engine.shards import Engine
from llamakit.events import SILENT

DEFAULT = Settings(similarity=0.8, ngram=5, num_perm=128, bands=25, rows=5)


def write_documents(
    folder: Path, texts: Sequence[str], per_part: int, sources: Sequence[str] = ()
) -> list[Path]:
    paths = []
    for index, start in enumerate(range(0, len(texts), per_part)):
        rows = [
            {"id": f"d{n}", "text": texts[n], "source": "s", "metadata": '{"k": 1}'}
            | ({"source": sources[n]} if sources else {})
            for n in range(start, min(start + per_part, len(texts)))
        ]
        paths.append(folder / part_name(index))
        write_table(paths[-1], pl.DataFrame(rows), DOCUMENTS)
    return paths


@dataclass
class Ran:
    found: Deduplicated
    kept: list[str]
    removed: dict[str, dict[str, Any]]


def run(
    folder: Path,
    texts: Sequence[str],
    per_part: int = 7,
    workers: int = 1,
    of: Sequence[str] = (),
    **changes: Any,
) -> Ran:
    """Deduplicate texts, `of` these sources, under changed settings."""
    parts = write_documents(folder / "in", texts, per_part, of)
    settings = replace(DEFAULT, **changes)
    task = Deduplication(parts, folder / "work", settings, Engine(workers), SILENT)
    found = task.run(folder / "out")
    kept = [i for frame in read_parts(folder / "out/data") for i in frame["id"].to_list()]
    removed = {
        row["id"]: {"reason": row["reason"], **json.loads(row["metadata"])}
        for frame in read_parts(folder / "out/rejected")
        for row in frame.iter_rows(named=True)
    }
    return Ran(found, kept, removed)


def words(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefgh", k=4)) for _ in range(count)]


def jaccard(one: str, other: str) -> float:
    """By definition."""
    sets = []
    for text in (one, other):
        split = re.findall(r"\w+", text.casefold())
        sets.append({tuple(split[n : n + 5]) for n in range(len(split) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def test_exact_copies_whatever_their_case_and_blanks(tmp_path: Path) -> None:
    texts = ["Hello  World", "other", "hello\nworld ", "!!!", "???", "!!!", "Other", "hello world."]
    ran = run(tmp_path, texts, similarity=1.0)
    assert ran.kept == ["d0", "d1", "d3", "d4", "d7"]
    assert ran.removed["d2"] == {
        "reason": "exact_duplicate",
        "k": 1,
        "duplicate_of": "d0",
        "similarity": 1.0,
    }
    assert (len(ran.found.verdicts), ran.found.documents, ran.found.candidates) == (3, 8, 0)


def test_copies_in_another_composition_are_exact(tmp_path: Path) -> None:
    texts = [
        "Caf\u0065\u0301 au lait",
        "other",
        "café au lait",
        "각 하나",
        "\u1100\u1161\u11a8 하나",
    ]
    ran = run(tmp_path, texts, similarity=1.0)
    assert ran.kept == ["d0", "d1", "d3"]


def test_near_copies_say_what_they_match(tmp_path: Path) -> None:
    base = words(200, 0)
    near = [*base[:100], "changed", *base[101:]]
    far = [*base[:100], *words(100, 1)]
    texts = [" ".join(w) for w in (base, far, near, words(200, 2))]
    ran = run(tmp_path, texts, per_part=2)
    assert ran.kept == ["d0", "d1", "d3"]
    assert ran.removed["d2"]["reason"] == "near_duplicate"
    assert ran.removed["d2"]["duplicate_of"] == "d0"
    assert ran.removed["d2"]["similarity"] == pytest.approx(jaccard(texts[0], texts[2]), abs=1e-4)
    assert ran.found.sizes.tolist() == [2]


def test_a_chain_names_how_alike_it_is_to_the_kept_and_through_whom_it_went(tmp_path: Path) -> None:
    base = words(260, 0)
    texts = [" ".join(base[15 * n : 15 * n + 200]) for n in range(3)]
    assert jaccard(texts[0], texts[1]) > 0.8 > jaccard(texts[0], texts[2])
    ran = run(tmp_path, texts)
    assert ran.kept == ["d0"]
    assert ran.removed["d2"] == {
        "k": 1,
        "reason": "near_duplicate",
        "duplicate_of": "d0",
        "similarity": pytest.approx(jaccard(texts[0], texts[2]), abs=1e-4),
        "matched": "d1",
        "matched_similarity": pytest.approx(jaccard(texts[1], texts[2]), abs=1e-4),
    }
    assert "matched" not in ran.removed["d1"]


def test_the_longest_or_the_best_source_survives(tmp_path: Path) -> None:
    base = words(200, 0)
    texts = [" ".join(w) for w in (base, [*base, "and", "more"], base, words(50, 1))]
    assert run(tmp_path / "1", texts).kept == ["d0", "d3"]
    longest = run(tmp_path / "2", texts, keep="longest")
    assert longest.kept == ["d1", "d3"]
    assert {row["reason"] for row in longest.removed.values()} == {"near_duplicate"}
    sources = ["web", "web", "books", "web"]
    ranked = run(tmp_path / "3", texts, of=sources, keep="source", sources=("books",))
    assert ranked.kept == ["d2", "d3"]
    assert ranked.removed["d0"]["reason"] == "exact_duplicate"
    assert ranked.removed["d1"]["duplicate_of"] == "d2"


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
    ran = run(tmp_path, texts, per_part=20)
    alike = [
        p for p in combinations(range(len(texts)), 2) if jaccard(texts[p[0]], texts[p[1]]) >= 0.8
    ]
    assert ran.found.verified == len(alike)
    assert {f"d{j}" for _, j in alike} & set(ran.kept) == set()


def test_scripts_without_spaces_are_compared_by_characters(tmp_path: Path) -> None:
    draw = random.Random(0)
    letters = [chr(draw.randrange(0x4E00, 0x9000)) for _ in range(300)]
    near = [*letters[:150], "新", *letters[151:]]
    far = [chr(draw.randrange(0x4E00, 0x9000)) for _ in range(300)]
    ran = run(tmp_path, ["".join(text) for text in (letters, near, far)])
    assert ran.kept == ["d0", "d2"]
    assert ran.removed["d1"]["similarity"] == pytest.approx(291 / 301, abs=1e-4)


def test_workers_and_shards_do_not_change_the_result(tmp_path: Path) -> None:
    texts = [" ".join(words(60, n % 17)) + " tail" * (n % 3) for n in range(60)]
    results = [
        run(tmp_path / str(number), texts, per_part=per_part, workers=workers)
        for number, (per_part, workers) in enumerate([(60, 1), (7, 1), (7, 2)])
    ]
    assert len({str((ran.kept, ran.removed, ran.found.verified)) for ran in results}) == 1


def test_a_rerun_continues(tmp_path: Path) -> None:
    texts = [" ".join(words(60, n % 5)) for n in range(20)]
    first = run(tmp_path, texts)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("[dr]*/*.parquet")}
    again = run(tmp_path, texts)
    assert (again.kept, again.removed) == (first.kept, first.removed)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("[dr]*/*.parquet")} == before


def test_losing_most_of_a_source_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, ["same text"] * 50, 50)
    assert ran.found.sources == {"s": (1, 49)}
    assert lost_sources({**ran.found.sources, "few": (0, 19), "half": (50, 50)}) == [("s", 1, 49)]


@pytest.mark.parametrize("texts", [[], ["", "", "!"]])
def test_nothing_to_compare(tmp_path: Path, texts: list[str]) -> None:
    write_table(tmp_path / "in/part-00000.parquet", pl.DataFrame(schema=dict(DOCUMENTS)), DOCUMENTS)
    ran = run(tmp_path, texts) if texts else None
    parts = [tmp_path / "in/part-00000.parquet"]
    if ran is None:
        task = Deduplication(parts, tmp_path / "work", DEFAULT, Engine(1), SILENT)
        assert task.run(tmp_path / "out").documents == 0
        assert len(read_all(tmp_path / "out/data")) == 0
    else:
        assert ran.kept == ["d0", "d2"]


def test_revisions_of_real_texts(real_data: Path, tmp_path: Path) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        with gzip.open(real_data / "neardup" / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    documents = rows("pep_revisions_docs.jsonl.gz")
    place = {row["id"]: n for n, row in enumerate(documents)}
    truth = {
        tuple(sorted((place[row["a"]], place[row["b"]])))
        for row in rows("pep_revisions_pairs.jsonl.gz")
        if row["jaccard_word5"] >= 0.8
    }
    ran = run(tmp_path, [row["text"] for row in documents], per_part=100)
    # A document goes exactly if an earlier one of its cluster stays, by the truth's pairs.
    linked = {f"d{max(pair)}" for pair in truth}
    true_positives = len(linked & set(ran.removed))
    precision, recall = true_positives / len(ran.removed), true_positives / len(linked)
    assert 2 * precision * recall / (precision + recall) > 0.99
    assert {row["duplicate_of"] for row in ran.removed.values()} <= set(ran.kept)
