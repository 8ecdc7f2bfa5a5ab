"""Counting pronouns and identity terms: speed beside regular expressions and sets of words.

    python tests/bench/profile_words.py [--data FOLDER] [--megabytes N] [--runs N]

FOLDER holds `*.jsonl` or `*.jsonl.gz` files with a `text`; without it text is generated from a
seed. One thread of one process; CPU-seconds, the median of paired runs. Every way must find the
same: documents by pronoun set, and by axis. Then the whole of what a profile counts in a shard,
with and without its costly parts.
"""

from __future__ import annotations

import os

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import argparse
import gzip
import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from llamakit.artifacts.frames import DOCUMENTS, write_table
from llamakit.artifacts.mixture import DocumentShard
from llamakit.corpus.profiling.scan import Scan, Settings, scan
from llamakit.corpus.profiling.terms import GENDER_SETS, PERSONS, identity_terms
from llamakit.corpus.profiling.words import as_patterns, contains_any, found_on, spelled

LISTS = {**GENDER_SETS, **PERSONS, **identity_terms()}
AXES = identity_terms()
Found = dict[str, int]


def by_llamakit(texts: list[str]) -> Found:
    """As a profile counts."""
    spelt = spelled(pl.Series(texts))
    sets = {**GENDER_SETS, **PERSONS}
    found = {name: int(contains_any(spelt, words).sum()) for name, words in sets.items()}
    rows = found_on(spelt, AXES)
    return found | {a: rows.filter(pl.col("list") == a)["row"].n_unique() for a in AXES}


def by_expressions(texts: list[str]) -> Found:
    """One alternation a list, as counters of terms are mostly written."""
    found = {}
    for name, words in LISTS.items():
        # Any gap between words, since hyphens and line ends part them too.
        spellings = (r"\W+".join(map(re.escape, p.split())) for p in as_patterns(words))
        expression = re.compile(rf"(?<!\w)(?:{'|'.join(spellings)})(?!\w)", re.IGNORECASE)
        found[name] = sum(expression.search(text) is not None for text in texts)
    return found


def by_sets(texts: list[str]) -> Found:
    """Sets of the words, and of the pairs and triples that terms of several words need."""
    word = re.compile(r"\w+")
    terms = {name: {tuple(p.split()) for p in as_patterns(w)} for name, w in LISTS.items()}
    sizes = sorted({len(term) for each in terms.values() for term in each})
    found = dict.fromkeys(LISTS, 0)
    for text in texts:
        words = word.findall(text.lower())
        held = {t for n in sizes for t in zip(*(words[k:] for k in range(n)), strict=False)}
        for name, some in terms.items():
            found[name] += not some.isdisjoint(held)
    return found


def corpus(folder: Path | None, size: int) -> list[str]:
    """Texts of about `size` bytes in all."""
    texts, left = [], size
    for text in _read(folder) if folder else _made():
        texts.append(text)
        left -= len(text)
        if left < 0:
            break
    return texts


def _read(folder: Path) -> Iterator[str]:
    paths = sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")])
    files = [(gzip.open if path.suffix == ".gz" else open)(path, "rt") for path in paths]
    while files:
        for file in list(files):
            line = file.readline()
            if line:
                yield json.loads(line)["text"]
            else:
                files.remove(file)


def _made() -> Iterator[str]:
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(20_000)]
    rare = [term for terms in LISTS.values() for term in terms]
    while True:
        text = rng.choices(words, k=rng.randint(20, 600))
        for place in range(0, len(text), 25):
            text[place] = rng.choice(rare).title()
        yield " ".join(text)


def seconds(work: Callable[[], object]) -> float:
    """CPU-seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    texts = corpus(asked.data, int(asked.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} texts, {size:.1f} MB")
    ways = {"llamakit": by_llamakit, "re, one a list": by_expressions, "sets of words": by_sets}
    times: dict[str, list[float]] = {name: [] for name in ways}
    found = {name: way(texts) for name, way in ways.items()}
    for _ in range(asked.runs):
        for name, way in ways.items():
            times[name].append(seconds(lambda way=way: way(texts)))
    print(f"\n{'way':<18}{'MB a CPU-s':>12}{'ratio':>8}  same counts")
    for name, spent in times.items():
        ratio = statistics.median(
            other / own for own, other in zip(times["llamakit"], spent, strict=True)
        )
        apart = sum(found[name][key] != n for key, n in found["llamakit"].items())
        same = "yes" if not apart else f"{apart} of {len(LISTS)} differ"
        print(f"{name:<18}{size / statistics.median(spent):>12.1f}{ratio:>8.2f}  {same}")
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.parquet"
        rows = {"id": [str(n) for n in range(len(texts))], "text": texts}
        print(f"\n{'a shard, counted with':<38}{'MB a CPU-s':>12}")
        for language, share, label in (
            ("en", 0.0, "words, lengths, copies, excerpts"),
            (None, 0.0, "… and languages identified"),
            (None, 0.1, "… and a tenth searched for PII"),
            (None, 1.0, "… and all searched for PII"),
        ):
            frame = pl.DataFrame(rows).with_columns(pl.lit(language, pl.String).alias("language"))
            write_table(part, frame, DOCUMENTS)
            settings = Settings(AXES, None, 0.5, share, ("US", "GB"), 0)
            job = Scan(DocumentShard(part), Path(folder), settings)
            scan(job)
            spent = statistics.median(seconds(lambda job=job: scan(job)) for _ in range(3))
            print(f"{label:<38}{size / spent:>12.1f}")


if __name__ == "__main__":
    main()
