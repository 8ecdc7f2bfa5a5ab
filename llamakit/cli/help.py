"""Help in panels, as plain text: quick to print, easy to read in a pipe.

The library's own boxed panels load a Markdown parser and a syntax highlighter first, which is more
than half of the time a help page takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from llamakit.cli.failures import reader_gone_is_a_stop

_OTHER = "Options"


class PanelCommand(TyperCommand):
    """A command whose options stand under their panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments first, then each panel in the order of its first option."""
        rows: list[tuple[str, tuple[str, str]]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            argument = parameter.param_type_name == "argument"
            panel = "Arguments" if argument else getattr(parameter, "rich_help_panel", None)
            rows.append((panel or _OTHER, record))
        # `--help` alone is in no panel; it reads best at the end.
        rows.sort(key=lambda row: row[0] == _OTHER)
        _write_panels(formatter, rows)


class PanelGroup(TyperGroup):
    """The root command: its commands stand under their panels."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Read the command line; `--help` prints while it is read."""
        # A command's `--help` is not the root's, for which Typer would load pydantic.
        self.add_help_option = not args or args[0] not in self.commands
        with reader_gone_is_a_stop():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with reader_gone_is_a_stop():
            return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the panels of commands, then the options."""
        self.format_commands(ctx, formatter)
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        _write_panels(formatter, [(_OTHER, record) for record in records if record])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each panel of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        _write_panels(
            formatter,
            [
                (
                    getattr(command, "rich_help_panel", None) or _OTHER,
                    (name, command.get_short_help_str(limit=200)),
                )
                for name, command in commands
                if command is not None
            ],
        )


def _write_panels(formatter: Any, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
    panels: dict[str, list[tuple[str, str]]] = {}
    for panel, row in rows:
        panels.setdefault(panel, []).append(row)
    for panel, content in panels.items():
        with formatter.section(typer.style(panel, bold=True)):
            formatter.write_dl(content)
