"""How the stages that work by shards scale: shards, sizes, engines; and what that foretells.

    python tests/bench/scaling.py           10 and 100 MB, 1 2 4 8 shards, both engines
    python tests/bench/scaling.py --sizes 10 100 1000 --engines local
    python tests/bench/scaling.py --stages dedup --shards 8

Text is generated from a seed. Every run is a process of its own. `wall s` is the stage, without the
start of Python and of a cluster; `driver s` the part of it that was not spent on shards (pairing,
digests, moving into place): what more machines do not shorten. `alone` is one worker, and `CPU s`
its processor time on shards. At the end stand the constants of the cost model and its tables for
1 TB and 15 TB (see docs/scale.md). `--save FILE` keeps the runs, `--model FILE` tells the model
from kept ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from scaling_model import Run, told
from scaling_text import pages

STAGES = ("ingest", "dedup", "pii", "filter", "profile", "tokenize")
VOCABULARY = 8_000


def main() -> None:
    """Measure, print the table, then the model."""
    asked = _arguments()
    if asked.model:
        print(told([Run(**row) for row in json.loads(asked.model.read_text())]))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="llamakit-scaling-") as folder:
        root = Path(folder)
        if asked.one:
            _measure(json.loads(asked.one))
            return
        runs = []
        print(f"{os.cpu_count()} processors, {asked.workers} workers")
        print(_HEADER)
        _warm_up(asked, root)
        for size in asked.sizes:
            for shards in asked.shards:
                store = _filled(root / f"{size}-{shards}", size, shards)
                runs += _all(asked, store, size, shards)
                if asked.save:
                    asked.save.write_text(json.dumps([asdict(run) for run in runs], indent=1))
                shutil.rmtree(store)
        _check(runs)
        print(told(runs))


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100], help="MB of text")
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--engines", nargs="*", default=["local", "ray"])
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--folder", help="where to put the data (some 5 times the largest size)")
    parser.add_argument("--save", type=Path, help="keep the runs in this file")
    parser.add_argument("--model", type=Path, help="measure nothing; tell the model of this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


_HEADER = (
    f"{'stage':9} {'engine':6} {'MB':>6} {'shards':>6} {'wall s':>7} {'driver s':>8} {'MB/s':>7} "
    f"{'speedup':>7} {'CPU s':>7} {'peak MB':>7} {'payload':>7} {'scratch':>7}"
)


def _all(asked: Any, store: Path, size: int, shards: int) -> list[Run]:
    runs = []
    for stage in asked.stages:
        if not _works_by_shards(stage):
            continue
        alone = None
        # One worker on as many shards is what the others are held against.
        for engine, workers in [("local", 1), *((name, asked.workers) for name in asked.engines)]:
            run = _one(stage, store, engine, workers)
            alone = alone or run
            runs.append(run)
            label = engine if workers > 1 else "alone"
            print(
                f"{stage:9} {label:6} {size:6,} {shards:6} {run.elapsed:7.2f} {run.driver:8.2f} "
                f"{run.text / 1e6 / run.elapsed:7.1f} {alone.elapsed / run.elapsed:7.2f} "
                f"{run.cpu_sharded:7.1f} {run.peak / 1e6:7.0f} {run.payload / run.text:7.2f} "
                f"{run.scratch / run.text:7.2f}",
                flush=True,
            )
    return runs


def _warm_up(asked: Any, root: Path) -> None:
    """Run every stage once, so that what is compiled at first use is compiled before the clock."""
    store = _filled(root / "warm-up", 1, 1)
    for stage in filter(_works_by_shards, asked.stages):
        _one(stage, store, "local", 1)


def _works_by_shards(stage: str) -> bool:
    from llamakit.stages.registry import RECIPE, load_stage
    from llamakit.stages.sharded import Sharded

    return stage in RECIPE and issubclass(load_stage(stage), Sharded)


def _one(stage: str, store: Path, engine: str, workers: int) -> Run:
    job = {"stage": stage, "store": str(store), "engine": engine, "workers": workers}
    answer = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(job)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Run(**json.loads(answer.stdout))


def _measure(job: dict[str, Any]) -> None:
    """Make one stage's artifact in this process, and print what it took as JSON."""
    from llamakit.artifacts.store import Store
    from llamakit.events import Events, Task
    from llamakit.stages.produce import produce
    from llamakit.stages.registry import load_stage

    store = Store(job["store"])
    text = json.loads((store.root / "text.json").read_text())

    class Timing(Events):
        sharded = 0.0
        cpu = 0.0
        watching = 0.0
        cpu_watching = 0.0
        scratch = 0

        def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
            return Timed(label, total, unit)

    events = Timing()

    class Timed(Task):
        def __enter__(self) -> Task:
            self.started, self.cpu = time.monotonic(), time.process_time()
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            ended = time.monotonic()
            events.sharded += ended - self.started
            cpu = time.process_time()
            events.cpu += cpu - self.cpu
            events.scratch = max(events.scratch, _size_of(store.root / ".drafts"))
            events.watching += time.monotonic() - ended
            events.cpu_watching += time.process_time() - cpu

    inputs: dict[str, Any] = {"documents": "documents"}
    if job["stage"] == "ingest":
        inputs = {
            "files": tuple(map(str, sorted(store.root.glob("raw-*.jsonl")))),
            "as": "documents",
        }
    elif job["stage"] in ("profile", "tokenize"):
        inputs["vocabulary"] = "vocabulary"
    if job["stage"] == "profile":
        inputs["documents"] = ("documents",)
    execution = {"engine": job["engine"], "workers": job["workers"]}
    stage = load_stage(job["stage"]).from_config({**inputs, **execution})
    if job["engine"] == "ray":
        _start_ray(job["workers"])
    started, cpu_started = time.monotonic(), time.process_time()
    version = produce(stage, store, name=job["stage"], force=True, events=events).version
    elapsed = time.monotonic() - started - events.watching
    run = Run(
        stage=job["stage"],
        engine=job["engine"],
        text=text["bytes"],
        documents=text["documents"],
        shards=text["shards"],
        workers=job["workers"],
        elapsed=elapsed,
        sharded=events.sharded,
        cpu_sharded=events.cpu,
        cpu_driver=time.process_time() - cpu_started - events.cpu - events.cpu_watching,
        peak=_peak(),
        payload=sum(entry.bytes for entry in version.record.files if entry.payload),
        scratch=events.scratch,
        digest=version.digest,
    )
    print(json.dumps(asdict(run)))


def _peak() -> int:
    """Bytes that this process or a worker held at most. The peak that `getrusage` tells of a
    process itself begins with what it was started from held: here, the whole corpus."""
    import resource

    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) * 1024


def _start_ray(workers: int) -> None:
    """Start the cluster and its workers before the clock: those of a real one run already."""
    from llamakit.engine.shards import Engine, map_shards
    from llamakit.events import SILENT

    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(workers, "ray")
        map_shards(
            _load,
            range(4 * workers),
            done=Path(folder),
            engine=engine,
            events=SILENT,
            label="start",
        )


def _load(number: int) -> dict[str, Any]:
    import polars as pl

    return {"threads": pl.thread_pool_size()}


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _filled(root: Path, megabytes: int, shards: int) -> Path:
    """A store with generated documents in as many parts, as files too, and a vocabulary."""
    import polars as pl

    from llamakit.artifacts.frames import DOCUMENTS, part_name, write_table
    from llamakit.artifacts.kinds import Documents
    from llamakit.artifacts.store import Store
    from llamakit.stages.produce import produce
    from llamakit.stages.stage import Outcome, Stage
    from llamakit.stages.tokenizer import Tokenizer

    rows = list(pages(megabytes * 10**6))
    size = -(-len(rows) // shards)

    @dataclass(frozen=True, kw_only=True)
    class Generated(Stage):
        """Documents in parts."""

        makes = Documents
        revision = 1
        panel = "Corpus"

        def run(self, draft: Any) -> Outcome:
            for index in range(shards):
                frame = pl.DataFrame(
                    rows[index * size : (index + 1) * size], schema=dict(DOCUMENTS)
                )
                write_table(draft.path / "data" / part_name(index), frame, DOCUMENTS)
                frame.drop("metadata").write_ndjson(root / f"raw-{index:03d}.jsonl")
            return Outcome()

    store = Store(root)
    root.mkdir()
    produce(Generated(), store, name="documents")
    produce(
        Tokenizer(documents="documents", vocab_size=VOCABULARY, input_sentences=20_000),
        store,
        name="vocabulary",
    )
    known = {
        "bytes": sum(len(row["text"]) for row in rows),
        "documents": len(rows),
        "shards": shards,
    }
    (root / "text.json").write_text(json.dumps(known))
    return root


def _check(runs: list[Run]) -> None:
    """The engines must have written the same."""
    found: dict[tuple[str, int, int], set[str]] = {}
    for run in runs:
        found.setdefault((run.stage, run.text, run.shards), set()).add(run.digest)
    different = [key for key, digests in found.items() if len(digests) > 1]
    print("\npayload digests differ: " + str(different) if different else "\nsame payload digests")


if __name__ == "__main__":
    main()
