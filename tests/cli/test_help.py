from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from llamakit.stages.fields import fields_of
from llamakit.stages.registry import RECIPE, load_stage

COMMANDS = [
    "generate", "chat", "list", "show", "lineage", "diff", "verify", "tag", "gc", "run", "plan",
]  # fmt: skip
HEAVY = {
    "torch", "polars", "numpy", "scipy", "sentencepiece", "matplotlib", "jinja2", "pydantic",
}  # fmt: skip
PROBE = """
import sys, json, io, contextlib
sys.argv = ["llamakit", *json.loads(sys.argv[1])]
from llamakit.cli.main import main
out = io.StringIO()
with contextlib.redirect_stdout(out):
    try:
        main()
    except SystemExit:
        pass
print(json.dumps([out.getvalue(), sorted(sys.modules)]))
"""


def _probe(*words: str) -> tuple[str, set[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(words)], capture_output=True, text=True, check=True
    )
    text, modules = json.loads(done.stdout)
    return text, set(modules)


@pytest.mark.parametrize("command", ["", *RECIPE, *COMMANDS])
def test_help_is_light(command: str) -> None:
    text, modules = _probe(*([command] if command else []), "--help")
    assert "Usage:" in text
    assert modules & HEAVY == set()


def test_root_help_lists_the_recipe_in_order_under_its_panels() -> None:
    text, _ = _probe("--help")
    places = [re.search(rf"^  {command} ", text, re.MULTILINE) for command in [*RECIPE, *COMMANDS]]
    assert all(places)
    panels = [
        "Corpus",
        "Tokenizer",
        "Training",
        "Alignment",
        "Evaluation",
        "Artifacts",
        "Pipelines",
    ]
    found = [text.index(f"{panel}:\n") for panel in panels]
    assert found == sorted(found)


def test_version_needs_no_command_line_library() -> None:
    text, modules = _probe("--version")
    assert re.fullmatch(r"llamakit \d+\.\d+\.\d+\n", text)
    assert "typer" not in modules


def test_sections_stand_before_fields_that_exist() -> None:
    for command in RECIPE:
        stage = load_stage(command)
        assert set(stage.sections) <= set(fields_of(stage)), command
    answer = subprocess.run(
        [sys.executable, "-m", "llamakit", "pretrain", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    shape = answer[answer.index("Shape:") : answer.index("Length and batch:")]
    assert "--n-kv-heads" in shape
    assert "--lr" not in shape
