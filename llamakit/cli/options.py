"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

COMMON = "Store and output"

StoreOption = Annotated[
    Path,
    typer.Option(
        "--store",
        envvar="LLAMAKIT_STORE",
        help="Folder of artifacts.",
        rich_help_panel=COMMON,
        show_default="./artifacts",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON on stdout.", rich_help_panel=COMMON)
]
QuietOption = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Warnings and errors only.", rich_help_panel=COMMON),
]
DEFAULT_STORE = Path("artifacts")
