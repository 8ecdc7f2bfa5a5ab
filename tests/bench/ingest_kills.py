"""Ingest of a gigabyte and of hostile files under a memory limit, killed at random many times.

    python tests/bench/ingest_kills.py [--mb 1000] [--kills 50] [--limit-mb 2048] [--seed 0]

Makes the input from the seed: JSON lines of words, plain, gzip and zstd, and beside them files
that are cut in the middle, in another encoding, with lines of 500 MB, with other fields and types
in each file, empty, deep, or no data at all. Ingests it once undisturbed; then again in another
store with SIGKILL after a random time, as often as asked, until a last run finishes. Says whether
both made the same bytes and exactly one version, and the peak of all processes' memory together
(their proportional set sizes, every 50 ms): a run that goes over the limit is killed and fails.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import zstandard

_WORDS = ("harbour", "lamp", "ferry", "morning", "rain", "letter", "window", "river", "stone")
MB = 2**20


def rows(draw: random.Random, mb: float, tag: str) -> Iterator[bytes]:
    """About `mb` of JSON lines; one in twenty ids occurred before."""
    size, number = 0.0, 0
    while size < mb * MB:
        words = draw.choices(_WORDS, k=int(draw.lognormvariate(4.6, 0.9)))
        row = {
            "text": " ".join(words) + f" {tag} {number}",
            "url": f"https://{tag}.example/{number}",
        }
        row["id"] = f"d{draw.randrange(number + 1) if number % 20 == 0 else f'{tag}-{number}'}"
        line = json.dumps(row).encode() + b"\n"
        size += len(line)
        number += 1
        yield line


def make_input(folder: Path, mb: int, seed: int) -> None:
    """The files to ingest: `mb` of text in good ones, and hostile ones among them."""
    draw = random.Random(seed)
    with (folder / "a_large.jsonl").open("wb") as out:
        out.writelines(rows(draw, mb * 0.6, "large"))
    with gzip.open(folder / "b_packed.jsonl.gz", "wb", compresslevel=3) as packed:
        packed.writelines(rows(draw, mb * 0.15, "gz"))
    with zstandard.open(folder / "c_packed.jsonl.zst", "wb") as out:
        for line in rows(draw, mb * 0.15, "zst"):
            out.write(line)
    table = [json.loads(line) for line in rows(draw, mb * 0.1, "table")]
    pl.DataFrame(table).write_parquet(folder / "d_table.parquet")
    hostile(folder, draw)


def hostile(folder: Path, draw: random.Random) -> None:
    """Files of which only a part can be read, or nothing."""
    good = b"".join(rows(draw, 2, "hostile"))
    (folder / "h_cut.jsonl.gz").write_bytes(gzip.compress(good)[:-100_000])
    (folder / "h_cut.jsonl.zst").write_bytes(zstandard.compress(good)[:-50_000])
    (folder / "h_cut.parquet").write_bytes((folder / "d_table.parquet").read_bytes()[:100_000])
    (folder / "h_wide.jsonl").write_bytes(good[: 2**18].decode().encode("utf-16"))
    (folder / "h_latin1.txt").write_bytes("Zürich, café, señor".encode("latin-1"))
    (folder / "h_empty.jsonl").write_bytes(b"")
    (folder / "h_noise.json").write_bytes(draw.randbytes(MB))
    (folder / "h_deep.jsonl").write_bytes(b"[" * MB + b"\n" + b'{"text":' * 1000 + b"\n" + good)
    with (folder / "h_long.jsonl").open("wb") as out:
        out.write(b'{"text": "before"}\n{"text": "')
        for _ in range(500):
            out.write(b"x" * MB)
        out.write(b'"}\n{"text": "after"}\n')
    with zstandard.open(folder / "h_bomb.jsonl.zst", "wb") as out:
        for _ in range(500):
            out.write(b"y" * MB)
    with (folder / "h_array.json").open("wb") as out:
        out.write(b"[")
        for line in rows(draw, 100, "array"):
            out.write(line.rstrip() + b",\n")
        out.write(b'{"text": "last"}]')
    shapes = [
        {"text": "a"},
        {"content": "b", "id": 7},
        {"body": "c", "id": None, "n": [1, {"x": 2}]},
    ]
    shapes += [{"text": "d", "id": 1.5, "n": "now a text"}, {"text": "\ud800"}, {"text": "\0 nul"}]
    for number, shape in enumerate(shapes):
        (folder / f"h_shape{number}.jsonl").write_text(json.dumps(shape) + "\r\n")


def tree(root: int) -> list[int]:
    """The process and all that it started."""
    found = [root]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def memory(root: int) -> int:
    """Bytes: the proportional set sizes of a process and all it started."""
    total = 0
    for pid in tree(root):
        try:
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * int(told.partition("\nPss:")[2].split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return total


def run(store: Path, folder: Path, limit: int, kill_after: float | None) -> tuple[int | None, int]:
    """Ingest the folder: the exit code (None: killed in time) and the peak of memory in bytes."""
    words = [sys.executable, "-m", "llamakit", "ingest", str(folder), "--as", "documents"]
    words += ["--store", str(store), "--workers", "2", "--quiet", "--name", "docs"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    started, peak = time.monotonic(), 0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        late = kill_after is not None and time.monotonic() - started > kill_after
        if late or peak > limit:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if peak > limit:
                sys.exit(f"{peak / MB:,.0f} MB, over the limit of {limit / MB:,.0f}")
            return None, peak
        time.sleep(0.05)
    return process.returncode, peak


def record(store: Path) -> dict[str, object]:
    """The record of the one version there must be."""
    versions = sorted((store / "docs").iterdir())
    assert [path.name for path in versions] == ["v1"], versions
    drafts = [path.name for path in (store / ".drafts").iterdir()]
    assert not drafts, drafts
    told: dict[str, object] = json.loads((versions[0] / "artifact.json").read_text())
    return told


def main() -> None:
    """Run the study and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "input"
        folder.mkdir()
        make_input(folder, given.mb, given.seed)
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(f"input: {size / 1e6:,.0f} MB on disk in {len(list(folder.iterdir()))} files")
        started = time.monotonic()
        code, peak = run(Path(home) / "whole", folder, given.limit_mb * MB, None)
        seconds = time.monotonic() - started
        assert code == 0, f"the undisturbed run ended with {code}"
        whole = record(Path(home) / "whole")
        print(f"undisturbed: {seconds:.0f} s, peak {peak / MB:,.0f} MB, {whole['headline']}")
        print(json.dumps(whole["counts"], indent=1))
        kills = 0
        for _ in range(given.kills):
            wait = draw.uniform(0.3, max(1.0, seconds / 8))
            code, top = run(Path(home) / "killed", folder, given.limit_mb * MB, wait)
            peak = max(peak, top)
            if code is not None:
                break
            kills += 1
        if kills == given.kills:
            code, top = run(Path(home) / "killed", folder, given.limit_mb * MB, None)
            peak = max(peak, top)
        same = record(Path(home) / "killed")["digest"] == whole["digest"]
        print(f"killed {kills} times, then {code}: {'the same' if same else 'OTHER'} digest, "
              f"one version, nothing stray; peak {peak / MB:,.0f} MB")  # fmt: skip
        sys.exit(0 if same and code == 0 else 1)


if __name__ == "__main__":
    main()
