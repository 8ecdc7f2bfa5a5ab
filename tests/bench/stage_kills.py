"""Stages killed at random many times, each time begun again: do they make the same bytes?

    python tests/bench/stage_kills.py [--mb 30] [--kills 12] [--seed 0]
        [--stages dedup pii filter tokenize]

Pages from the seed are ingested in several parts. Each stage runs once undisturbed; then in another
store with SIGKILL after a random time, with one worker and with two by turns, each run going on
where the one before was killed. A version that comes to its end must have the same digest, be the
only one and leave no draft; it is deleted, until there were as many kills as asked.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from killing import llamakit, survives
from scaling_text import pages

PARTS = 6
BEFORE = {"dedup": [], "pii": [], "filter": [], "tokenize": ["--vocabulary", "vocabulary"]}


def main() -> None:
    """Run the study and print a line a stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=30)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=list(BEFORE), choices=list(BEFORE))
    given = parser.parse_args()
    draw = random.Random(given.seed)
    failed = False
    with tempfile.TemporaryDirectory() as home:
        whole, killed, folder = Path(home, "whole"), Path(home, "killed"), Path(home, "text")
        folder.mkdir()
        files = [(folder / f"{n}.jsonl").open("w", encoding="utf-8") for n in range(PARTS)]
        for number, page in enumerate(pages(given.mb * 10**6)):
            files[number % PARTS].write(json.dumps(page) + "\n")
        for file in files:
            file.close()
        for store in (whole, killed):
            assert llamakit(store, "ingest", str(folder), "--as", "documents") == 0
            if "tokenize" in given.stages:
                words = ("--name", "vocabulary", "--vocab-size", "2000")
                assert llamakit(store, "tokenizer", "ingest", *words) == 0
        for stage in given.stages:
            words = (stage, "ingest", *BEFORE[stage])
            workers = (("--workers", "1"), ("--workers", "2"))
            failed |= not survives(stage, words, whole, killed, given.kills, draw, workers)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
