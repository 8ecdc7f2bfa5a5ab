"""Near-duplicate removal: speed, memory and quality beside other tools, whole processes.

    python tests/bench/near_duplicates.py [--documents 80000] [--python PYTHON] [--exact]
        [--python-of TOOL=PYTHON]

The corpus is generated from a seed, about 1.25 kB a document. `llamakit dedup` runs with all its
store work, its kernel compiled once before: as a whole process, like the peers, and warm, again and
again within one process that has its libraries loaded. Peers run in PYTHON, which may be another
environment's: `pip install daft gaoya rensa datasketch xxhash pyarrow "datatrove[processing,io]"`;
one that is missing is said and skipped. text-dedup wants other versions of their libraries, so an
environment of its own: `--python-of text_dedup=PYTHON`. Ratios are medians over rounds in which
every tool runs once. `--exact` joins all pairs exactly (minutes) and tells our pairs' recall and
precision.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
from exact_join import all_pairs, shingles
from generated_corpus import write_corpus
from near_duplicate_peers import TOOLS

OURS = "llamakit"


def measure(command: list[str], environment: dict[str, str]) -> tuple[float, float, int] | None:
    """Wall and CPU seconds and the peak memory (bytes, of its largest process) of a command."""
    before = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - before
    return (wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024) if status == 0 else None


WARM = """
import json, sys, time
from pathlib import Path
from llamakit.artifacts.store import Store
from llamakit.stages.dedup import Dedup
from llamakit.stages.produce import produce

for _ in range(1 + int(sys.argv[1])):
    wall, cpu = time.perf_counter(), time.process_time()
    produce(Dedup(documents="ingest"), Store(Path(sys.argv[2])), force=True)
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def warm(rounds: int, store: Path) -> list[list[float]]:
    """Wall and CPU seconds of runs within one process, after a first that loads the libraries."""
    command = [sys.executable, "-c", WARM, str(rounds), str(store)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()][1:]


def quality(folder: Path, pairs: Path) -> str:
    """Recall and precision of the pairs of a deduplicated version against an exact join."""
    frame = pl.concat([pl.read_parquet(p) for p in sorted(folder.glob("*.parquet"))])
    ids = frame["id"].to_list()
    truth = {(ids[a], ids[b]) for a, b in all_pairs([shingles(t) for t in frame["text"]], 0.8)}
    found = {(one, other) for one, other, _ in pl.read_parquet(pairs / "*.parquet").iter_rows()}
    both = len(truth & found)
    return (
        f"{len(truth):,} pairs: recall {both / len(truth):.4f}, precision {both / len(found):.4f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=80_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--python-of", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--only", nargs="*", default=list(TOOLS))
    parser.add_argument("--exact", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder, store = Path(home, "corpus"), Path(home, "store")
        files = write_corpus(folder, given.documents)
        size = sum(pl.read_parquet(file)["text"].str.len_bytes().sum() for file in files)
        run = [sys.executable, "-m", "llamakit"]
        listed = [str(file) for file in files]
        environment = {**os.environ, "LLAMAKIT_STORE": str(store)}
        # polars, loaded here, has written there what is for this process alone.
        environment.pop("_RJEM_MALLOC_CONF", None)
        subprocess.run(
            [*run, "ingest", *listed, "--as", "documents", "-q"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        version = subprocess.run(
            [*run, "dedup", "ingest", "-q"], env=environment, check=True, capture_output=True
        )
        peers = Path(__file__).with_name("near_duplicate_peers.py")
        commands = {OURS: [*run, "dedup", "ingest", "--force", "-q"]}
        pythons = dict(pair.split("=", 1) for pair in given.python_of)
        commands |= {
            tool: [pythons.get(tool, given.python), str(peers), tool, str(folder)]
            for tool in given.only
        }
        results: dict[str, list[tuple[float, float, int]]] = {}
        for _ in range(given.rounds):
            for tool, command in list(commands.items()):
                if (result := measure(command, environment)) is None:
                    print(f"{tool} does not run here: skipped")
                    del commands[tool]
                else:
                    results.setdefault(tool, []).append(result)
        print(f"{given.documents:,} documents, {size / 1e6:.1f} MB of text")
        print(
            "| tool | wall s | CPU s | MB/s | peak bytes a byte | times our wall |\n|---|"
            + "---|" * 5
        )
        for tool, runs in results.items():
            wall, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
            paired = zip(runs, results[OURS], strict=False)
            ratio = statistics.median(theirs[0] / ours[0] for theirs, ours in paired)
            print(
                f"| {tool} | {wall:.2f} | {cpu:.2f} | {size / 1e6 / wall:.0f} | {peak / size:.1f} "
                f"| {ratio:.2f} |"
            )
        runs = warm(given.rounds, store)
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"llamakit, warm: {wall:.2f} s, {cpu:.2f} CPU s, {size / 1e6 / wall:.0f} MB/s")
        if given.exact:
            made = Path(version.stdout.decode().strip())
            print(quality(folder, made / "pairs"))


if __name__ == "__main__":
    main()
