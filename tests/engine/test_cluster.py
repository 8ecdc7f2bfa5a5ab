"""The Ray engine on a cluster of two nodes, simulated on this machine: `nox -s cluster`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamakit.artifacts.store import Store
from llamakit.engine.shards import Engine, map_shards
from llamakit.errors import InputError, LlamakitError
from llamakit.events import SILENT, Events
from llamakit.stages.produce import produce
from llamakit.stages.registry import RECIPE, load_stage
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Stage
from llamakit.stages.tokenizer import Tokenizer
from llamakit.stages.world import World
from tests.engine.parts import Parts
from tests.engine.small import (
    Mortal,
    die_on_three,
    die_once,
    fail_on_three,
    slow_square,
    where,
)

pytestmark = [
    pytest.mark.cluster,
    # Ray leaves sockets and processes to the end of the interpreter.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

RAY = Engine(kind="ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one processor each; this process becomes the driver."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    pytest.importorskip("ray", reason="Ray is an extra: pip install llamakit[ray]")
    import ray
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    nodes.add_node(**size)
    os.environ["RAY_ADDRESS"] = nodes.address
    yield nodes
    ray.shutdown()
    nodes.shutdown()
    del os.environ["RAY_ADDRESS"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with a world, its documents in six parts, and a vocabulary."""
    store = Store(tmp_path_factory.mktemp("ray") / "artifacts")
    produce(World(docs=240), store, name="raw")
    produce(Parts(files=("raw/documents.jsonl",)), store, name="documents")
    produce(Tokenizer(documents="documents", vocab_size=512), store, name="vocabulary")
    return store


SHARDED = [name for name in RECIPE if issubclass(load_stage(name), Sharded)]
INPUTS: dict[str, dict[str, Any]] = {
    "ingest": {"files": ("raw/documents.jsonl", "raw/heldout.jsonl"), "as_": "documents"},
    "mix": {"documents": ("documents",)},
    "profile": {"documents": ("documents",), "vocabulary": "vocabulary"},
    "tokenize": {"documents": "documents", "vocabulary": "vocabulary"},
}


def of_stage(name: str, **fields: Any) -> Stage:
    kind: Any = load_stage(name)
    return kind(**INPUTS.get(name, {"documents": "documents"}), **fields)


@pytest.mark.parametrize("name", SHARDED)
def test_the_same_payload_on_any_engine(cluster: Any, filled: Store, name: str) -> None:
    engines = {
        "one": {"workers": 1},
        "two": {"workers": 2},
        "ray": {"engine": "ray"},
    }
    digests = {
        label: produce(of_stage(name, **execution), filled, name=f"{name}-{label}").version.digest
        for label, execution in engines.items()
    }
    assert len(set(digests.values())) == 1, digests


class Heard(Events):
    """Keeps the notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_every_node_works_where_the_driver_is(cluster: Any, tmp_path: Path) -> None:
    results = map_shards(where, range(8), done=tmp_path, engine=RAY, events=SILENT, label="x")
    assert len({r["node"] for r in results}) == 2
    assert {r["folder"] for r in results} == {os.getcwd()}
    assert {r["threads"] for r in results} == {"1"}


def test_an_error_keeps_its_words_and_the_finished_shards(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"here: three\. Leave it out\."):
        map_shards(fail_on_three, range(6), done=tmp_path, engine=RAY, events=SILENT, label="x")
    assert not (tmp_path / "00003.json").exists()


def test_a_killed_worker_is_survived(cluster: Any, tmp_path: Path) -> None:
    shards = [Mortal(number, tmp_path / f"grave-{number}") for number in range(5)]
    results = map_shards(
        die_once, shards, done=tmp_path / "done", engine=RAY, events=SILENT, label="x"
    )
    assert [r["number"] for r in results] == list(range(5))


def test_a_shard_that_always_kills_is_named(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(LlamakitError, match=r"x, shard 3 of 6: 3: a worker process died 3 times"):
        map_shards(die_on_three, range(6), done=tmp_path, engine=RAY, events=SILENT, label="x")
    assert "00000.json" in {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".*"))


def test_a_lost_node_is_survived(cluster: Any, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20)

    class Removing(type(SILENT)):  # type: ignore[misc]
        def task(self, *words: Any, **options: Any) -> Any:
            task = super().task(*words, **options)
            advance = task.advance

            def advanced(n: int = 1, **figures: Any) -> None:
                advance(n, **figures)
                if task.done == 5:
                    cluster.remove_node(node, allow_graceful=False)

            task.advance = advanced
            return task

    results = map_shards(
        slow_square, range(24), done=tmp_path, engine=RAY, events=Removing(), label="x"
    )
    assert [r["square"] for r in results] == [n * n for n in range(24)]
    assert not node.any_processes_alive()


def command(store: Store, name: str, similarity: float) -> subprocess.Popen[str]:
    words = ["dedup", "documents", "--engine", "ray", "--store", str(store.root), "--name", name]
    words += ["--similarity", str(similarity)]
    return subprocess.Popen(
        [sys.executable, "-m", "llamakit", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
    )


def first_shard_done(store: Store, process: subprocess.Popen[str]) -> None:
    while not list(store.root.glob(".drafts/*/work/*/00*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_leaves_its_shards_and_no_process(
    filled: Store, number: signal.Signals
) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install llamakit[ray]")
    name, similarity, heard = f"stopped{number}", 0.7 + number / 100, Heard()
    process = command(filled, name, similarity)
    first_shard_done(filled, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out == "", err
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 128 + number, err
        assert err.splitlines()[-1].startswith(f"stopped by {number.name}"), err
    assert list(filled.root.glob(".drafts/*/work/*/00*.json"))
    deadline = time.monotonic() + 30
    while alive := _processes_of(process.pid):
        assert time.monotonic() < deadline, alive
        time.sleep(0.2)
    # The other engine continues what this one left.
    made = produce(of_stage("dedup", similarity=similarity), filled, name=name, events=heard)
    assert "continuing what an earlier attempt left" in heard.notes
    plain = produce(of_stage("dedup", similarity=similarity), filled, name=f"{name}-plain")
    assert made.version.digest == plain.version.digest


def _processes_of(driver: int) -> list[str]:
    """Ray processes whose session was begun by process `driver`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if f"_{driver}/" in words and "/ray/" in words:
            found.append(words[:120])
    return found


def test_nothing_but_the_result_on_stdout_when_a_worker_dies(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install llamakit[ray]")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from llamakit.engine.shards import Engine, map_shards\n"
        "from llamakit.events import SILENT\n"
        "from tests.engine.small import Mortal, die_once\n"
        "done = Path(sys.argv[1])\n"
        "shards = [Mortal(0, done / 'grave'), Mortal(1, done / 'grave')]\n"
        "map_shards(die_once, shards, done=done / 'done', engine=Engine(kind='ray'),"
        " events=SILENT, label='x')\n"
        "time.sleep(2)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={
            **{key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
            "PYTHONPATH": os.pathsep.join(["", *sys.path]),
        },
    )
    assert (tmp_path / "grave").exists()
    assert (answer.stdout, answer.stderr) == ("", "")
