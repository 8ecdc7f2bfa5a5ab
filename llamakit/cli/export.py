"""The command that writes a model in another program's format: export."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import DEFAULT_STORE, QuietOption, StoreOption
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.artifacts.upkeep import Ancestor

_PANEL = "Artifacts"
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class ExportFormat(StrEnum):
    """Formats a model is written in."""

    huggingface = "huggingface"
    safetensors = "safetensors"
    gguf = "gguf"
    meta = "meta"


class ExportDtype(StrEnum):
    """Precisions a model is written in."""

    f32 = "f32"
    f16 = "f16"
    bf16 = "bf16"
    q8_0 = "q8_0"


def add_to(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(cls=PanelCommand, rich_help_panel=_PANEL)(export)


def export(
    model: Annotated[
        str,
        typer.Argument(help="A model or reward model (NAME, NAME:v3, a folder).", metavar="MODEL"),
    ],
    *,
    format_: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="A Hugging Face folder; the weights alone as safetensors; a file for llama.cpp"
            ' (needs "llamakit[export]"); or Meta\'s params.json and consolidated.00.pth.',
        ),
    ] = ExportFormat.huggingface,
    to: Annotated[
        Path | None,
        typer.Option(help="Folder to make.", metavar="FOLDER", show_default="NAME-vN-FORMAT here"),
    ] = None,
    dtype: Annotated[
        ExportDtype | None,
        typer.Option(
            help="Precision of the weights; q8_0 is gguf's.",
            show_default="the model's own; f16 for gguf",
        ),
    ] = None,
    shard_size: Annotated[
        str,
        typer.Option(
            help="Largest file of weights: 500MB, 5GB, or bytes (huggingface, safetensors).",
            metavar="SIZE",
        ),
    ] = "5GB",
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export at the same place.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    quiet: QuietOption = False,
) -> None:
    """Write a model for other programs, with its card and a use policy; print where it is."""
    from llamakit.artifacts.integrity import check_payload
    from llamakit.artifacts.kinds import Model, RewardModel
    from llamakit.artifacts.store import Store
    from llamakit.artifacts.upkeep import lineage
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable
    from llamakit.errors import InputError

    shard_bytes = _bytes(shard_size)
    place = Store(store)
    version = place.resolve(model)
    if version.kind not in (Model.name, RewardModel.name):
        raise InputError(f"{version.reference} is {version.kind}, a model is needed")
    with ConsoleEvents(quiet=quiet) as events, stoppable(events):
        check_payload(version)
        from llamakit.evaluation.candidate import knows_chat
        from llamakit.model.exchange.export import Export, export_model
        from llamakit.model.exchange.model_card import model_card
        from llamakit.model.weights import load_config

        label = f"{version.name}-v{version.record.version}"
        reward = version.kind == RewardModel.name
        chat = not reward and knows_chat(version.path)
        config = load_config(version.path)
        ancestors = _ancestors(lineage(place, version))

        def card(precision: str) -> str:
            return model_card(
                label,
                config,
                format_=format_.value,
                dtype=precision,
                kind="reward" if reward else "chat" if chat else "base",
                ancestors=ancestors,
                metrics=version.record.metrics,
            )

        made = export_model(
            version.path,
            to or Path(f"{label}-{format_.value}"),
            Export(format_.value, None if dtype is None else dtype.value, shard_bytes),
            reward=reward,
            chat=chat,
            name=label,
            card=card,
            force=force,
            events=events,
        )
    print(made)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", text.strip().upper())
    size = float(match[1]) * _UNITS[(match[2] or "").removeprefix("B")] if match else 0
    if size < 1:
        raise UsageError(f"--shard-size {text!r} is no size", fix="Write 500MB, 5GB or bytes.")
    return int(size)


def _ancestors(root: Ancestor) -> list[tuple[str, str, str, str]]:
    """Every version of a lineage once, the model first; of files their names only, since a path
    tells more of its owner than a card should."""
    found: dict[tuple[str, str], tuple[str, str, str, str]] = {}

    def visit(node: Ancestor) -> None:
        record = node.version.record if node.version else None
        shown = node.shown if record else Path(node.reference).name
        row = (shown, record.stage if record else "", record.headline if record else "a file")
        found.setdefault((shown, node.digest), (*row, node.digest[:16]))
        for each in node.inputs:
            visit(each)

    visit(root)
    return list(found.values())
