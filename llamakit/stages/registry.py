"""The stages in the order of the recipe. A stage's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword

from llamakit.errors import UsageError, nearest
from llamakit.stages.stage import Stage

RECIPE = (
    "world",
    "ingest",
    "dedup",
    "pii",
    "filter",
    "mix",
    "profile",
    "audit",
    "tokenizer",
    "tokenize",
    "pretrain",
    "import",
    "sft",
    "gatt",
    "annotate",
    "rm",
    "dpo",
    "distill",
    "rejection",
    "ppo",
    "eval",
    "rmeval",
    "study",
)


def load_stage(command: str) -> type[Stage]:
    """The stage class behind a command's word.

    Raises:
        UsageError: there is no such stage; the nearest is named.
    """
    if command not in RECIPE:
        guess = nearest(command, list(RECIPE))
        fix = f"Did you mean {guess!r}?" if guess else f"There are: {', '.join(RECIPE)}."
        raise UsageError(f"there is no stage {command!r}", fix=fix)
    # A module cannot be called like a keyword of Python: `import` is in `import_.py`.
    module = import_module(f"llamakit.stages.{command}{'_' * iskeyword(command)}")
    stage: type[Stage] = getattr(module, command.capitalize())
    return stage
