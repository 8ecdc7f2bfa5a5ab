from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from llamakit.errors import Stopped, UsageError
from llamakit.events import Events, Task
from llamakit.model.exchange.export import Export, export_model
from llamakit.model.transformer import Transformer
from llamakit.model.weights import reward_from_model, save_model, save_reward_model
from llamakit.text.vocabulary import Vocabulary

Make = Callable[..., Transformer]


@pytest.fixture
def source(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> Path:
    """A chat model as llamakit saves one."""
    save_model(tmp_path / "m", make_model(), vocabulary, chat=True, card="# Tiny\n")
    return tmp_path / "m"


def export(source: Path, target: Path, wanted: Export, **changes: Any) -> Path:
    return export_model(
        source,
        target,
        wanted,
        **{
            "reward": False,
            "chat": True,
            "name": "tiny-v1",
            "card": lambda dtype: f"# Card, {dtype}\n",
            "force": False,
            "events": Events(),
            **changes,
        },
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_hugging_face_folder_is_the_model_s_own(source: Path, tmp_path: Path) -> None:
    made = export(source, tmp_path / "out", Export("huggingface"))
    assert made == tmp_path / "out"
    assert names(made) == names(source) | {"MODEL_CARD.md", "USE_POLICY.md"}
    for path in source.iterdir():
        assert (made / path.name).read_bytes() == path.read_bytes(), path.name
    assert (made / "MODEL_CARD.md").read_text() == "# Card, f32\n"
    policy = (made / "USE_POLICY.md").read_text(encoding="utf-8")
    for part in ("rights of others", "Where bodies", "To deceive", "known dangers"):
        assert part in policy


def test_precision_and_shards(source: Path, tmp_path: Path) -> None:
    made = export(source, tmp_path / "out", Export("huggingface", "bf16", shard_bytes=40_000))
    shards = sorted(made.glob("*.safetensors"))
    assert len(shards) > 3
    assert json.loads((made / "config.json").read_text())["torch_dtype"] == "bfloat16"
    index = json.loads((made / "model.safetensors.index.json").read_text())
    wanted = load_file(source / "model.safetensors")
    assert set(index["weight_map"]) == set(wanted)
    for path in shards:
        for name, value in load_file(path).items():
            assert index["weight_map"][name] == path.name
            assert torch.equal(value, wanted[name].bfloat16())


def test_safetensors_are_the_weights_alone(source: Path, tmp_path: Path) -> None:
    made = export(source, tmp_path / "out", Export("safetensors"))
    cards = {"README.md", "MODEL_CARD.md", "USE_POLICY.md"}
    assert names(made) == {"config.json", "model.safetensors"} | cards


def test_files_others_may_read(source: Path, tmp_path: Path) -> None:
    made = export(source, tmp_path / "out", Export("huggingface"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()}
    assert len(modes) == 1


def test_a_gguf_file(source: Path, tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    made = export(source, tmp_path / "out", Export("gguf"))
    assert made == tmp_path / "out" / "tiny-v1-f16.gguf"
    reader = gguf.GGUFReader(made)
    template = json.loads((source / "tokenizer_config.json").read_text())["chat_template"]
    assert reader.get_field("tokenizer.chat_template").contents() == template
    plain = export(source, tmp_path / "base", Export("gguf", "q8_0"), chat=False)
    assert gguf.GGUFReader(plain).get_field("tokenizer.chat_template") is None


def test_a_policy_of_the_model_s_own_is_kept(source: Path, tmp_path: Path) -> None:
    (source / "USE_POLICY.md").write_text("ours", encoding="utf-8")
    (source / "LICENSE.txt").write_text("terms", encoding="utf-8")
    for format_ in ("safetensors", "meta"):
        made = export(source, tmp_path / format_, Export(format_))
        assert (made / "USE_POLICY.md").read_text() == "ours"
        assert (made / "LICENSE.txt").read_text() == "terms"


def test_reward_models(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    reward = reward_from_model(make_model(), seed=4)
    save_reward_model(tmp_path / "rm", reward, vocabulary, card="# R\n")
    made = export(tmp_path / "rm", tmp_path / "out", Export("huggingface"), reward=True)
    for path in (tmp_path / "rm").iterdir():
        assert (made / path.name).read_bytes() == path.read_bytes()
    for format_ in ("gguf", "meta"):
        with pytest.raises(UsageError, match="reward model has no place"):
            export(tmp_path / "rm", tmp_path / "no", Export(format_), reward=True)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Export("huggingface", "q8_0"), "q8_0 is a precision of gguf"),
        (Export("gguf", shard_bytes=100), "no shards"),
        (Export("meta", shard_bytes=100), "no shards"),
    ],
)
def test_what_does_not_go_together(source: Path, tmp_path: Path, wanted: Export, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        export(source, tmp_path / "out", wanted)
    assert names(tmp_path) == {"m"}


def test_nothing_is_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    export(source, target, Export("huggingface"))
    with pytest.raises(UsageError, match=r"exists.*--force"):
        export(source, target, Export("safetensors"))
    assert (target / "tokenizer.model").exists()
    export(source, target, Export("safetensors"), force=True)
    assert not (target / "tokenizer.model").exists()
    assert names(tmp_path) == {"m", "out"}


@pytest.mark.parametrize("strange", ["thesis.docx", "photos/"])
def test_force_spares_what_no_export_wrote(source: Path, tmp_path: Path, strange: str) -> None:
    target = tmp_path / "out"
    target.mkdir()
    if strange.endswith("/"):
        (target / strange).mkdir()
    else:
        (target / strange).write_text("years of work")
    with pytest.raises(UsageError, match="no export wrote"):
        export(source, target, Export("huggingface"), force=True)
    assert names(target) == {strange.rstrip("/")}
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="no folder"):
        export(source, tmp_path / "file", Export("huggingface"), force=True)


class Stops(Events):
    """Stops the work at its third weight."""

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        events = self

        class Counted(Task):
            def advance(self, n: int = 1, **figures: Any) -> None:
                super().advance(n)
                if self.done == 3:
                    events.stop(signal.SIGINT)

        return Counted(label, total, unit)


@pytest.mark.parametrize("format_", ["huggingface", "gguf", "meta"])
def test_a_stop_leaves_nothing(source: Path, tmp_path: Path, format_: Any) -> None:
    with pytest.raises(Stopped):
        export(source, tmp_path / "out", Export(format_), events=Stops())
    assert names(tmp_path) == {"m"}


def test_a_stop_leaves_the_earlier_export(source: Path, tmp_path: Path) -> None:
    made = export(source, tmp_path / "out", Export("huggingface"))
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    with pytest.raises(Stopped):
        export(source, tmp_path / "out", Export("meta"), events=Stops(), force=True)
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    assert names(tmp_path) == {"m", "out"}


KILLED = """
import os, signal, sys
from pathlib import Path
from llamakit.events import Events, Task
from llamakit.model.exchange.export import Export, export_model

class Kills(Task):
    def advance(self, n=1, **figures):
        super().advance(n)
        if self.done == 4:
            os.kill(os.getpid(), signal.SIGKILL)

class Told(Events):
    def task(self, *words, **keys):
        return Kills("export", None, "")

export_model(Path(sys.argv[1]), Path(sys.argv[2]), Export("huggingface", shard_bytes=1000),
             reward=False, chat=True, name="m", card=str, force=False, events=Told())
"""


def test_a_kill_leaves_no_export_and_the_next_clears_up(source: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(source), str(tmp_path / "out")],
        check=False,
        env={**os.environ},
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert (tmp_path / ".out.partial").is_dir()
    export(source, tmp_path / "out", Export("huggingface"))
    assert names(tmp_path) == {"m", "out"}
