"""JSON lines to documents in Parquet: bytes a second of one core, beside peers.

    python tests/bench/reading.py [--mb 200] [--repeats 3] [--file X.jsonl] [--peers PYTHON]

Each contender is a process of its own on one processor; its time is that of the work without
the imports. Peers that are not installed are named and passed over: `pip install "datatrove[io]"
datasets orjson trafilatura lxml_html_clean` makes them, in a virtual environment whose interpreter
--peers names. The second table is the main text of web pages, by llamakit's library and by
trafilatura.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ingest_kills import rows

_FRAME = """
import os, sys, time, json, resource
os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[0]])
os.environ["POLARS_MAX_THREADS"] = "1"
source, target = sys.argv[1:3]
{imports}
wall, cpu = time.perf_counter(), time.process_time()
{work}
told = dict(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, rows=rows,
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps(told))
"""

OURS = (
    """
from pathlib import Path
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.ingestion import ingest_files
from llamakit.corpus.reading.limits import Limits
from llamakit.corpus.reading.shards import Reading
from llamakit.corpus.reading.sources import find_data_files
from llamakit.engine.shards import Engine
from llamakit.events import SILENT
""",
    """
rows = ingest_files(find_data_files(Path(source), "x.jsonl").files, Path(target),
                    Path(target, "work"), Reading("documents", FieldNames(), Limits(0.01)),
                    engine=Engine(1), events=SILENT).kept
""",
)
PEERS = {
    "polars, read_ndjson, whole in memory": (
        "import polars as pl",
        """
os.makedirs(target)
frame = pl.read_ndjson(source)
frame.write_parquet(target + "/x.parquet", compression="zstd", compression_level=3)
rows = frame.height
""",
    ),
    "polars, scan_ndjson, streamed": (
        "import polars as pl",
        """
os.makedirs(target)
pl.scan_ndjson(source).sink_parquet(target + "/x.parquet", compression="zstd", compression_level=3)
rows = pl.scan_parquet(target + "/x.parquet").select(pl.len()).collect().item()
""",
    ),
    "datatrove, JsonlReader to ParquetWriter": (
        """
import logging
from loguru import logger
logger.remove()
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.parquet import ParquetWriter
""",
        """
folder, name = os.path.split(source)
reader = JsonlReader(folder, glob_pattern=name, doc_progress=False)
rows = 0
with ParquetWriter(target, compression="zstd") as writer:
    for document in reader.run():
        writer.write(document)
        rows += 1
""",
    ),
    "datasets, load_dataset to to_parquet": (
        "import datasets; datasets.disable_progress_bars()",
        """
found = datasets.load_dataset("json", data_files=source, split="train", cache_dir=target + "/c")
found.to_parquet(target + "/x.parquet")
rows = found.num_rows
""",
    ),
}
_PAGES = """
pages = json.load(open(source))
extract(pages[0])
"""
EXTRACTORS = {
    "resiliparse": "from llamakit.corpus.reading.warc_rows import _main_text as extract",
    "trafilatura": "from trafilatura import extract",
}


def timed(python: str, imports: str, work: str, source: Path) -> dict[str, float] | None:
    """What one run in a process of its own tells; None when something it needs is missing."""
    with tempfile.TemporaryDirectory() as home:
        code = _FRAME.format(imports=imports, work=work)
        words = [python, "-c", code, str(source), f"{home}/out"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        if "ModuleNotFoundError" not in done.stderr:
            print(done.stderr[-2_000:], file=sys.stderr)
        return None
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def compare(contenders: dict[str, tuple[str, str, str]], source: Path, repeats: int) -> None:
    """Print a table; ratios are medians over the repeats, each paired with its own run of ours."""
    size = source.stat().st_size / 1e6
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, (python, imports, work) in contenders.items():
            if (told := timed(python, imports, work, source)) is not None:
                runs[name].append(told)
    first = next(iter(contenders))
    print(f"| {size:,.0f} MB | MB/s | MB per CPU-s | CPU / ours | peak MB | rows |")
    print("|---|---|---|---|---|---|")
    for name, told in runs.items():
        if len(told) < repeats:
            print(f"| {name} | not installed | | | | |")
            continue
        wall, cpu = (statistics.median(size / t[key] for t in told) for key in ("wall", "cpu"))
        ratio = statistics.median(
            t["cpu"] / o["cpu"] for t, o in zip(told, runs[first], strict=True)
        )
        peak = max(t["peak"] for t in told)
        print(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {ratio:.2f} | {peak:,.0f} | {told[0]['rows']:,} |"
        )


def make_pages(path: Path, count: int = 400) -> None:
    """Web pages of navigation, paragraphs and comments, as one JSON list."""
    draw = random.Random(0)
    texts = [json.loads(line)["text"] for line in rows(draw, 3, "page")]
    menu = "".join(f'<li><a href="/{n}">Section {n}</a></li>' for n in range(40))
    pages = []
    for _ in range(count):
        body = "".join(f"<p>{text}</p>" for text in draw.sample(texts, 8))
        side = "".join(
            f'<div class="card"><a href="#">{text[:40]}</a></div>' for text in texts[:30]
        )
        pages.append(
            f"<html><head><title>A page</title></head><body><nav><ul>{menu}</ul></nav><main>"
            f"<article><h1>A page</h1>{body}</article></main><aside>{side}</aside></body></html>"
        )
    path.write_text(json.dumps(pages))


def main() -> None:
    """Read the arguments, run the contenders, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--peers", default=sys.executable)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        source = given.file
        if source is None:
            source = Path(home) / "made.jsonl"
            with source.open("wb") as out:
                out.writelines(rows(random.Random(0), given.mb, "made"))
        jobs = {"llamakit": (sys.executable, *OURS)}
        jobs |= {name: (given.peers, *code) for name, code in PEERS.items()}
        compare(jobs, source, given.repeats)
        pages = Path(home) / "pages.json"
        make_pages(pages)
        work = _PAGES + "rows = sum(bool(extract(page)) for page in pages)\n"
        compare(
            {
                name: (sys.executable if name == "resiliparse" else given.peers, imports, work)
                for name, imports in EXTRACTORS.items()
            },
            pages,
            given.repeats,
        )


if __name__ == "__main__":
    main()
