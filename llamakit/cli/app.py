"""The commands, in recipe order and under their panels."""

from __future__ import annotations

from typing import Annotated

import typer

from llamakit import __version__
from llamakit.cli import export, pipeline_commands, store_commands, talk
from llamakit.cli.help import PanelGroup
from llamakit.cli.stage_command import add_stage
from llamakit.stages.registry import RECIPE

_HELP = """The whole Llama 2 recipe on your own data, one stage at a time or as a pipeline.

Every stage reads versioned artifacts and writes one new version; its path is what it prints.
Start with `llamakit run tiny`.
"""


def _version(asked: bool) -> None:
    if asked:
        print(f"llamakit {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The options before any command."""


def build(chosen: str | None, *, root_options: bool = True) -> typer.Typer:
    """The application. Stages other than `chosen` get their one line of help only; None builds
    every command in full, for shell completion.

    Without `root_options` those for completion are left out: Typer loads pydantic for them, a third
    of what the help of a command would take.
    """
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        cls=PanelGroup,
        pretty_exceptions_enable=False,
        add_completion=root_options,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for command in RECIPE:
        add_stage(app, command, full=chosen in (None, command))
    talk.add_to(app)
    store_commands.add_to(app)
    export.add_to(app)
    pipeline_commands.add_to(app)
    return app
