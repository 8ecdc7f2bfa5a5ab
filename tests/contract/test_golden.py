"""What stages wrote when their revision was set: other bytes from the same config need another one.

    python tests/contract/test_golden.py write      renew golden.json

Held against `golden.json`: of the stages that compute with whole numbers and text, what they write
(rows and bytes, so that another encoding of parquet changes nothing); of all stages, the revision
and the defaults of what shapes a result. Stages that train round differently on each machine:
`test_contract.py` makes them twice on the same one instead.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from worker import MICRO

from llamakit.artifacts.digest import content_digest
from llamakit.artifacts.frames import read_table
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.mixture import MIXTURE_FILE
from llamakit.artifacts.store import Store, Version
from llamakit.events import Events
from llamakit.pipeline.run import run_pipeline
from llamakit.pipeline.spec import read_pipeline
from llamakit.stages.fields import fields_of
from llamakit.stages.registry import RECIPE, load_stage

GOLDEN = Path(__file__).with_name("golden.json")
EXACT = {"world", "ingest", "dedup", "pii", "filter", "mix", "tokenizer", "tokenize"}
SPEC = read_pipeline(MICRO)
CHOSEN = [each for each in SPEC.stages if each.stage.command() in EXACT]
RENEW = f"`python tests/contract/{Path(__file__).name} write`"


def decoded(version: Version[Kind]) -> str:
    """A digest of a payload's rows and bytes."""
    return content_digest(
        (entry.path, hashlib.sha256(_content(version.path / entry.path)).hexdigest())
        for entry in version.record.files
        if entry.payload
    )


def _content(path: Path) -> bytes:
    if path.name == MIXTURE_FILE:
        # It names its inputs by the digest of their files, parquet's encoding included.
        mixture = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps({**mixture, "inputs": len(mixture["inputs"])}, sort_keys=True).encode()
    if path.suffix != ".parquet":
        return path.read_bytes()
    rows = read_table(path).iter_rows(named=True)
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows).encode()


def written(root: Path) -> dict[str, str]:
    """Make the exact stages of the micro pipeline in a store; what they wrote, by name."""
    done = run_pipeline(SPEC, CHOSEN, Store(root), events=Events())
    return {each.name: decoded(each.version) for each in done}


def declared(command: str) -> dict[str, Any]:
    """A stage's revision, and the defaults and presets of what shapes its result."""
    stage = load_stage(command)
    identity = {
        key: "must be given" if item.required else item.default
        for key, item in fields_of(stage).items()
        if item.role.name == "identity"
    }
    found = {"revision": stage.revision, "identity": identity, "presets": stage.presets}
    plain: dict[str, Any] = json.loads(json.dumps(found, default=dict))
    return plain


def golden() -> dict[str, Any]:
    """What `golden.json` holds."""
    held: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return held


@pytest.fixture(scope="module")
def payloads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return written(tmp_path_factory.mktemp("golden") / "artifacts")


@pytest.mark.parametrize("name", [each.name for each in CHOSEN])
def test_the_same_config_gives_what_it_gave(payloads: dict[str, str], name: str) -> None:
    held = golden()["payloads"]
    spec = next(each for each in CHOSEN if each.name == name)
    if payloads[name] == held.get(name):
        return
    changed = [each for each in spec.needs if payloads[each] != held.get(each)]
    if changed:
        pytest.fail(f"{name} follows {', '.join(changed)}, which changed: see there", pytrace=False)
    command = spec.stage.command()
    pytest.fail(
        f"{command} writes something else for the same config and inputs: raise `revision` in "
        f"llamakit/stages/{command}.py, note it in docs/changelog.md and renew with {RENEW}",
        pytrace=False,
    )


def test_another_encoding_of_parquet_is_no_change(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", "b"], "n": [1, None]})
    paths = [tmp_path / f"{compression}.parquet" for compression in ("zstd", "uncompressed")]
    for path in paths:
        frame.write_parquet(path, compression=path.stem)  # type: ignore[arg-type]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    assert _content(paths[0]) == _content(paths[1])


@pytest.mark.parametrize("command", RECIPE)
def test_revision_and_defaults_are_the_known_ones(command: str) -> None:
    assert declared(command) == golden()["stages"].get(command), (
        f"{command}: a default, a key, a preset or the revision changed, so results of before are "
        f"not reused. If that is meant, renew with {RENEW}"
    )


def write() -> None:
    """Renew `golden.json`."""
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "payloads": written(Path(folder) / "artifacts"),
            "stages": {command: declared(command) for command in RECIPE},
        }
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    write()
