"""The filter's rules beside datatrove's: speed, and how often the two decide alike.

    python tests/bench/filtering.py [FILE.jsonl.gz …] [--documents N]

Files of rows with a `text`; without any, the documents of the embedded world. With `pip install
datatrove spacy` its filters run on the same texts, with the same thresholds. Times are CPU-seconds
of one thread, reading and writing left out; medians of three runs that take turns.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from llamakit.artifacts.frames import DOCUMENTS, write_table
from llamakit.corpus.quality.filtering import LanguageRule, Sieve, sieve
from llamakit.corpus.quality.judgement import Judgement
from llamakit.corpus.quality.rules import chosen
from llamakit.corpus.quality.survey import Findings

FAMILIES = {
    "gopher": ["gopher"],
    "gopher without repetition": ["gopher"],
    "c4": ["c4"],
    "fineweb's own": ["fineweb"],
}
SKIPPED = {"gopher without repetition": ["gopher.repetition"], "c4": ["c4.bad_words"]}

Judge = Callable[[list[str]], list[str | None]]


def main() -> None:
    """Print a line for each family of rules, then where the two differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--documents", type=int, default=2_000)
    given = parser.parse_args()
    texts = read(given.files, given.documents) if given.files else world(given.documents)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} documents, {size:.1f} MB")
    for preset in ("light", "gopher", "fineweb"):
        print(f"whole shards, languages and {preset:8} {size / whole(texts, preset):6.1f} MB/s")
    peers = theirs()
    print(f"{'':28}{'MB/s':>8}{'datatrove':>12}{'ratio':>8}{'kept':>8}{'by it':>8}{'alike':>8}")
    for name, family in FAMILIES.items():
        mine = ours(family, SKIPPED.get(name, []))
        mine(texts[:10])
        peer = peers.get(name)
        times: list[float] = []
        peer_times: list[float] = []
        for _ in range(3):
            reasons = timed(mine, texts, times)
            other = timed(peer, texts, peer_times) if peer else []
        line = f"{name:28}{size / statistics.median(times):8.1f}"
        if peer:
            pairs = zip(times, peer_times, strict=True)
            ratio = statistics.median(slow / fast for fast, slow in pairs)
            alike = sum((a is None) == (b is None) for a, b in zip(reasons, other, strict=True))
            line += f"{size / statistics.median(peer_times):12.2f}{ratio:7.0f}x"
            line += f"{reasons.count(None):8}{other.count(None):8}{alike / len(texts):8.1%}"
        print(line)
        if peer:
            differ = Counter(
                pair
                for pair in zip(reasons, other, strict=True)
                if (pair[0] is None) != (pair[1] is None)
            )
            for (a, b), count in differ.most_common(5):
                print(f"    {count:5}  ours: {a or 'kept'}, datatrove: {b or 'kept'}")


def timed(judge: Judge, texts: list[str], times: list[float]) -> list[str | None]:
    """The judge's reasons; the CPU-seconds it took go to the end of `times`."""
    started = time.thread_time()
    reasons = judge(texts)
    times.append(time.thread_time() - started)
    return reasons


def whole(texts: list[str], preset: str) -> float:
    """CPU-seconds for a shard from file to file: languages, rules, survey; the second of two."""
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "part.parquet"
        rows = [{"id": f"{place}", "text": text} for place, text in enumerate(texts)]
        write_table(part, pl.DataFrame(rows), DOCUMENTS)
        rules = tuple(chosen(preset, [], [], {}).items())
        language = LanguageRule(frozenset(), 0.5, relabel=False)
        shard = Sieve(part, Path(folder), 0, language, rules, (), None)
        sieve(shard)
        started = time.process_time()
        sieve(shard)
        return time.process_time() - started


def ours(families: list[str], skip: list[str]) -> Judge:
    """Our rules of some families, over texts in English."""
    rules = chosen("off", families, skip, {})

    def judge(texts: list[str]) -> list[str | None]:
        names = [f"{place}" for place in range(len(texts))]
        reasons: list[str | None] = [None] * len(texts)
        judgement = Judgement(names, texts, ["en"] * len(texts), reasons, Findings())
        judgement.judge(rules, None)
        return judgement.reasons

    return judge


def theirs() -> dict[str, Judge]:
    """The same of datatrove; empty when it is not installed."""
    try:
        from datatrove.data import Document
        from datatrove.pipeline.filters import (
            C4QualityFilter,
            FineWebQualityFilter,
            GopherQualityFilter,
            GopherRepetitionFilter,
        )
    except ImportError as error:
        print(f"datatrove cannot be imported ({error}): skipped")
        return {}

    def all_of(*filters: object) -> Judge:
        def one(text: str) -> str | None:
            document = Document(text=text, id="x")
            for each in filters:
                said = each.filter(document)  # type: ignore[attr-defined]
                passed, reason = said if isinstance(said, tuple) else (said, "")
                if not passed:
                    return str(reason)
            return None

        return lambda texts: [one(text) for text in texts]

    quality, repetition = GopherQualityFilter(), GopherRepetitionFilter()
    return {
        "gopher": all_of(quality, repetition),
        "gopher without repetition": all_of(quality),
        "c4": all_of(C4QualityFilter()),
        "fineweb's own": all_of(FineWebQualityFilter()),
    }


def read(files: list[Path], limit: int) -> list[str]:
    """The texts of files, as many from each."""

    def rows(path: Path) -> Iterator[str]:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]

    share = -(-limit // len(files))
    return [text for path in files for text, _ in zip(rows(path), range(share), strict=False)]


def world(limit: int) -> list[str]:
    """Documents of the embedded world."""
    from llamakit.artifacts.store import Store
    from llamakit.stages.produce import produce
    from llamakit.stages.world import World

    with tempfile.TemporaryDirectory() as folder:
        made = produce(World(docs=limit), Store(Path(folder))).version
        with (made.path / "documents.jsonl").open(encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines][:limit]


if __name__ == "__main__":
    main()
