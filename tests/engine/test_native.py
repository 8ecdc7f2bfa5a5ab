from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llamakit.engine import native

MODULE = """
import sys
from pathlib import Path
import numpy as np
from llamakit.engine.native import helper, kernel

FACTOR = 3

@helper
def times(value):
    return value * np.int64(FACTOR)

@kernel("i64[] u32[,] i64 -> i64")
def total(values, table, more):
    found = more
    for index in range(len(values)):
        found += times(values[index]) + np.int64(table[index, 1])
        table[index, 0] = np.uint32(0)
    return found

if __name__ == "__main__":
    import sums
    table = np.ones((4, 2), np.uint32)
    print(sums.total(np.arange(4), table, 10), int(table.sum()), "numba" in sys.modules)
"""


def run(folder: Path, **variables: str) -> list[str]:
    environment = {"PATH": "", "PYTHONPATH": ":".join([str(folder), *sys.path]), **variables}
    done = subprocess.run(
        [sys.executable, str(folder / "sums.py")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return done.stdout.split()


def test_compiled_once_then_loaded_without_numba(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(MODULE, encoding="utf-8")
    assert run(tmp_path) == ["32", "4", "True"]
    assert run(tmp_path) == ["32", "4", "False"]
    kept = next((tmp_path / "__pycache__").glob("sums-*.bin"))
    kept.write_bytes(kept.read_bytes()[:-1])
    assert run(tmp_path) == ["32", "4", "True"]
    assert run(tmp_path) == ["32", "4", "False"]
    (tmp_path / "sums.py").write_text(MODULE.replace("FACTOR = 3", "FACTOR = 4"), encoding="utf-8")
    assert run(tmp_path)[0] == "38"


def test_an_install_that_cannot_be_written_to_keeps_it_in_the_cache(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(MODULE, encoding="utf-8")
    # Not even root writes into a folder that is a file.
    (tmp_path / "__pycache__").write_text("", encoding="utf-8")
    cache = tmp_path / "cache"
    assert run(tmp_path, XDG_CACHE_HOME=str(cache))[2] == "True"
    assert run(tmp_path, XDG_CACHE_HOME=str(cache))[2] == "False"
    assert len(list((cache / "llamakit").glob("sums-*.bin"))) == 1


USE = """
import sys
from llamakit.corpus.quality.language_model import language_model
from llamakit.corpus.quality.measures import measure
from llamakit.text.contamination import protect, word_tokens

def use(_):
    (tokens,) = word_tokens(["the market opens early"])
    return [
        language_model().classify([b"The market opens early."])[0][0],
        int(measure(["One line. One line."])[0, 0]),
        len(list(protect([tokens], length=3).matches([tokens]))),
        "numba" in sys.modules,
    ]

if __name__ == "__main__":
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing import get_context

    use(None)
    with ThreadPoolExecutor(4) as threads:
        assert len({str(found[:3]) for found in threads.map(use, range(8))}) == 1
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        print(*next(processes.map(use, range(1))))
"""


def test_a_spawned_worker_loads_the_package_s_kernels_without_numba(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(USE, encoding="utf-8")
    assert run(tmp_path) == ["en", "4", "2", "False"]


def test_only_kernels_are_compiled() -> None:
    """numba's own cache is made of pickles: nothing but `native` may ask numba for anything."""
    package = Path(native.__file__).parents[1]
    asking = [path for path in package.rglob("*.py") if "import numba" in path.read_text("utf-8")]
    assert asking == [Path(native.__file__)]
    assert "cache=True" not in asking[0].read_text("utf-8")


def test_arguments_are_checked() -> None:
    from llamakit.corpus.duplicates.kernel import union

    with pytest.raises(TypeError, match=r"union takes i64\[\], not int32\[3\]"):
        union(np.zeros((1, 2), np.int64), np.zeros(3, np.int32))
    with pytest.raises(TypeError, match="union takes"):
        union(np.zeros((2, 1), np.int64).T[:, ::-1], np.zeros(3, np.int64))
