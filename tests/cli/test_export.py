from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llamakit.artifacts.store import Store
from llamakit.stages.import_ import Import
from llamakit.stages.produce import produce


def llamakit(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llamakit", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def store(real_data: Path, tmp_path: Path) -> Store:
    store = Store(tmp_path / "artifacts")
    produce(Import(files=(str(real_data / "stories260K"),)), store, name="stories")
    return store


def test_the_place_goes_to_stdout(store: Store) -> None:
    here = store.root.parent
    done = llamakit(here, "export", "stories", "--quiet")
    assert (done.stdout, done.stderr, done.returncode) == ("stories-v1-huggingface\n", "", 0)
    card = (here / "stories-v1-huggingface" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| stories:v1 | import |" in card
    assert "| stories260K |  | a file |" in card
    assert str(here) not in card, "a path tells more than a card should"
    again = llamakit(here, "export", "stories")
    assert again.returncode == 2
    assert "it exists" in again.stderr
    assert llamakit(here, "export", "stories", "--force").returncode == 0


def test_a_file_for_llama_cpp(store: Store) -> None:
    pytest.importorskip("gguf")
    here = store.root.parent
    done = llamakit(here, "export", "stories", "--format", "gguf", "--dtype", "q8_0", "--to", "g")
    assert done.stdout == "g/stories-v1-q8_0.gguf\n"
    assert (here / "g" / "stories-v1-q8_0.gguf").read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["stories", "--shard-size", "big"], 2, "no size"),
        (["stories", "--shard-size", "0"], 2, "no size"),
        (["stories", "--dtype", "q8_0"], 2, "q8_0 is a precision of gguf"),
        (["stories", "--format", "onnx"], 2, "onnx"),
        (["storys"], 3, "Did you mean 'stories'"),
    ],
)
def test_errors(store: Store, words: list[str], code: int, says: str) -> None:
    done = llamakit(store.root.parent, "export", *words)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stdout == ""
    assert {path.name for path in store.root.parent.iterdir()} == {"artifacts"}
