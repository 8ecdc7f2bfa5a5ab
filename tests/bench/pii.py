"""Personal data: recall and precision on labelled sentences, and speed beside dolma's and
datatrove's, one process each.

    python tests/bench/pii.py [FOLDER with *.jsonl or *.jsonl.gz whose rows have `text`]
        [--labelled FILE.jsonl.gz of presidio-research] [--each 200] [--seed 0] [--megabytes 30]

Without a folder the speed is taken on the generated sentences among plain words. Peers are timed
where they are installed: `pip install datatrove dolma`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import polars as pl
from pii_labels import Sentence, sentences

from llamakit.corpus.pii.detection import find_all
from llamakit.corpus.pii.spans import NAME_KINDS, STRUCTURED_KINDS

_PRESIDIO = {
    "CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban", "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone", "US_SSN": "ssn", "PERSON": "person", "STREET_ADDRESS": "address",
}  # fmt: skip
Labels = list[tuple[str, int, int]]


def quality(texts: list[str], labels: list[Labels], kinds: tuple[str, ...]) -> None:
    """Print recall and precision by kind; a find is right if it overlaps a label of its kind."""
    found = find_all(pl.Series(texts), kinds, ["all"])
    wanted, hit, exact, made, right = (Counter[str]() for _ in range(5))
    for row, expected in enumerate(labels):
        spans = found.get(row, [])
        for kind, start, end in expected:
            if kind in kinds:
                wanted[kind] += 1
                near = [s for s in spans if s.kind == kind and s.start < end and s.end > start]
                hit[kind] += bool(near)
                exact[kind] += (start, end, kind) in [(s.start, s.end, s.kind) for s in near]
        for span in spans:
            made[span.kind] += 1
            right[span.kind] += any(
                k == span.kind and span.start < end and span.end > start
                for k, start, end in expected
            )
    print(f"{'kind':12} {'labels':>7} {'recall':>7} {'exact':>7} {'finds':>7} {'precision':>9}")
    for kind in sorted(wanted | made):
        labelled, finds = max(wanted[kind], 1), max(made[kind], 1)
        print(
            f"{kind:12} {wanted[kind]:7} {hit[kind] / labelled:7.3f}"
            f" {exact[kind] / labelled:7.3f}"
            f" {made[kind]:7} {right[kind] / finds:9.3f}"
        )


def presidio(path: Path) -> tuple[list[str], list[Labels]]:
    """Texts and labels of a file of presidio-research's generator."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    labels = [
        [
            (_PRESIDIO[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]
            if span["entity_type"] in _PRESIDIO
        ]
        for row in rows
    ]
    return [row["full_text"] for row in rows], labels


def corpus(folder: Path | None, megabytes: float, planted: list[Sentence], seed: int) -> list[str]:
    """Documents of about so many megabytes; one in twenty gets a labelled sentence."""
    rng = random.Random(f"corpus/{seed}")
    texts: list[str] = []
    size = 0.0
    for text in _read(folder) if folder else _plain(planted, rng):
        if rng.random() < 0.05:
            text = f"{text}\n{rng.choice(planted).text}\n"  # noqa: PLW2901
        texts.append(text)
        size += len(text) / 1e6
        if size > megabytes:
            break
    return texts


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _read(folder: Path) -> Iterator[str]:
    """Rows of all files in turn, so that every source has its part."""
    files = [_open(path) for path in sorted(folder.glob("*.jsonl*"))]
    while files:
        for file in list(files):
            taken = 0
            while taken < 100_000:
                line = file.readline()
                if not line:
                    files.remove(file)
                    break
                text = json.loads(line)["text"]
                taken += len(text)
                yield text


def _plain(planted: list[Sentence], rng: random.Random) -> Iterator[str]:
    words = [*"aeiou", "the", "of", "and", "to", "in", "is", "that", "was", "with", "be"]
    while True:
        yield " ".join(rng.choices(words, k=400)) + " " + rng.choice(planted).text


def peers() -> dict[str, Callable[[str], object]]:
    """The peers' own functions of one text, where they are installed."""
    found: dict[str, Callable[[str], object]] = {}
    try:
        from datatrove.pipeline.formatters.pii import PIIFormatter

        found["datatrove (e-mail, IP)"] = PIIFormatter().format
    except ImportError as error:
        print(f"datatrove left out: {error}")
    try:
        from dolma.core.data_types import Document
        from dolma.taggers.pii import PiiRegexV2

        tagger = PiiRegexV2()
        found["dolma (e-mail, IP, phone)"] = lambda text: tagger.predict(
            Document(source="", id="", text=text)
        )
    except ImportError as error:
        print(f"dolma left out: {error}")
    return found


def speed(texts: list[str], runs: int = 3) -> None:
    """Megabytes per CPU-second of whole process, peers paired run by run with ours."""
    series = pl.Series(texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    contenders: dict[str, Callable[[], object]] = {
        "llamakit (nine kinds)": lambda: find_all(series, STRUCTURED_KINDS, ["all"])
    }
    for name, call in peers().items():
        contenders[name] = lambda call=call: [call(text) for text in texts]  # type: ignore[misc]
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    ours = seconds["llamakit (nine kinds)"]
    print(f"{megabytes:.1f} MB, {len(texts):,} documents; median of {runs}")
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, ours, strict=True))
        rate = megabytes / statistics.median(times)
        print(f"{name:28} {rate:6.1f} MB per CPU-s, {ratio:.2f} times our CPU")


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--megabytes", type=float, default=30)
    options = parser.parse_args()
    made = list(sentences(options.seed, options.each))
    labels: list[Labels] = [[(s.kind, s.start, s.end)] if s.kind else [] for s in made]
    print(f"generated sentences and decoys, seed {options.seed}")
    quality([s.text for s in made], labels, STRUCTURED_KINDS)
    if options.labelled:
        print(f"\n{options.labelled.name}, structured kinds")
        quality(*presidio(options.labelled), STRUCTURED_KINDS)
        print("\nthe same, guessed kinds")
        quality(*presidio(options.labelled), NAME_KINDS)
    print()
    speed(corpus(options.folder, options.megabytes, made, options.seed))


if __name__ == "__main__":
    main()
