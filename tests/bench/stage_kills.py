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
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scaling_text import pages

PARTS = 6
BEFORE = {"dedup": [], "pii": [], "filter": [], "tokenize": ["--vocabulary", "vocabulary"]}


def llamakit(store: Path, *words: str, kill_after: float | None = None) -> int | None:
    """The exit code of a command, or None where it was killed in time."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llamakit", *words, "--store", str(store), "--quiet"],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def record(store: Path, name: str) -> dict[str, Any]:
    """The record of the one version there must be."""
    versions = sorted(path.name for path in (store / name).iterdir())
    assert versions == ["v1"], versions
    drafts = [path.name for path in (store / ".drafts").iterdir()]
    assert not drafts, drafts
    told: dict[str, Any] = json.loads((store / name / "v1" / "artifact.json").read_text())
    return told


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
            started = time.monotonic()
            assert llamakit(whole, *words, "--workers", "2") == 0
            seconds = time.monotonic() - started
            wanted = record(whole, stage)["digest"]
            kills = finished = same = 0
            code: int | None = None
            while kills < given.kills or code is None:
                wait = None if kills >= given.kills else draw.uniform(0.1, 0.9) * seconds
                workers = str(1 + kills % 2)
                code = llamakit(killed, *words, "--workers", workers, kill_after=wait)
                if code is None:
                    kills += 1
                    continue
                finished += 1
                same += code == 0 and record(killed, stage)["digest"] == wanted
                shutil.rmtree(killed / stage)
            failed = failed or same < finished
            print(
                f"{stage}: killed {kills} times, finished {finished} times:"
                f" {same} times the same digest, one version and nothing stray",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
