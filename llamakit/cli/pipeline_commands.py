"""The commands of pipelines: run and plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import DEFAULT_STORE, JsonOption, QuietOption, StoreOption

if TYPE_CHECKING:
    from llamakit.pipeline.run import Done
    from llamakit.pipeline.spec import PipelineSpec, StageSpec

_PANEL = "Pipelines"
PipelineFile = Annotated[
    str,
    typer.Argument(help="A TOML file, or the name of a shipped one: tiny, real, …", metavar="FILE"),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="stages.NAME.KEY=VALUE or params.KEY=VALUE; may repeat.", metavar="KEY=VALUE"
    ),
]
OnlyOption = Annotated[str | None, typer.Option(help="Run this stage alone.", metavar="STAGE")]
UntilOption = Annotated[
    str | None, typer.Option(help="Run what this stage needs, and it.", metavar="STAGE")
]
FromOption = Annotated[
    str | None, typer.Option("--from", help="Start at this stage.", metavar="STAGE")
]
_EXIT_WORK_TO_DO = 10


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (run, plan):
        app.command(cls=PanelCommand, rich_help_panel=_PANEL)(command)


def run(
    file: PipelineFile,
    *,
    set_: SetOption = None,
    only: OnlyOption = None,
    until: UntilOption = None,
    from_: FromOption = None,
    jobs: Annotated[int, typer.Option(min=1, help="Stages that may run side by side.")] = 1,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline: make what is missing or changed, reuse the rest, end with a table.

    Stopped or failed half-way, the same command continues. Prints the path of the last artifact.
    """
    from llamakit.artifacts.store import Store
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable
    from llamakit.engine.ranks import here
    from llamakit.errors import GateError, UsageError
    from llamakit.pipeline.plan import plan as make_plan
    from llamakit.pipeline.run import run_pipeline

    if here().world > 1:
        raise UsageError(
            "a pipeline is run by one process, and torchrun started several",
            fix="Run it without torchrun, and a stage that needs many devices by itself under it.",
        )
    place = Store(store)
    spec, chosen = _select(file, set_, only, until, from_)
    make_plan(spec, chosen, place)  # finds missing and wrong inputs before anything runs
    with ConsoleEvents(quiet=quiet) as events, stoppable(events):
        done = run_pipeline(spec, chosen, place, jobs=jobs, events=events)
        if not quiet:
            _show_table(done)
    if json_:
        values = [
            {
                "stage": item.name,
                "reference": item.version.reference,
                "path": str(item.version.path),
                "reused": item.reused,
                "seconds": round(item.seconds, 3),
                "headline": item.version.record.headline,
            }
            for item in done
        ]
        print(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        print(done[-1].version.path)
    unmet = [f"{item.name}: {text}" for item in done for text in item.unmet]
    if unmet:
        raise GateError("; ".join(unmet))


def plan(
    file: PipelineFile,
    *,
    set_: SetOption = None,
    only: OnlyOption = None,
    until: UntilOption = None,
    from_: FromOption = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 10 when something would run.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
) -> None:
    """Show what a pipeline would run or reuse, and why; runs nothing."""
    from llamakit.artifacts.store import Store
    from llamakit.cli.store_commands import print_table
    from llamakit.pipeline.plan import plan as make_plan

    spec, chosen = _select(file, set_, only, until, from_)
    steps = make_plan(spec, chosen, Store(store))
    if json_:
        values = [
            {"stage": s.spec.name, "uses": s.spec.stage.command(), "plan": s.verdict, "why": s.why}
            for s in steps
        ]
        print(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        rows = [[s.spec.name, s.spec.stage.command(), s.verdict, s.why] for s in steps]
        print_table(["artifact", "stage", "plan", "why"], rows)
    if exit_code and any(step.verdict != "reuse" for step in steps):
        raise typer.Exit(_EXIT_WORK_TO_DO)


def _select(
    file: str, set_: list[str] | None, only: str | None, until: str | None, start: str | None
) -> tuple[PipelineSpec, list[StageSpec]]:
    from llamakit.errors import UsageError
    from llamakit.pipeline.spec import find_pipeline, read_pipeline

    if only and (until or start):
        raise UsageError("--only goes with neither --until nor --from")
    spec = read_pipeline(find_pipeline(file), set_ or [])
    return spec, spec.select(only=only, until=until, start=start)


def _show_table(done: list[Done]) -> None:
    """The closing table, on stderr: it is news, not the result."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from llamakit.cli.console import make_console

    table = Table("stage", "version", "", "time", "result", box=box.SIMPLE_HEAD)
    for item in done:
        table.add_row(
            item.name,
            f"v{item.version.record.version}",
            "reused" if item.reused else "run",
            f"{item.seconds:.1f} s",
            Text(item.version.record.headline),
        )
    total = sum(item.seconds for item in done)
    table.add_section()
    table.add_row("total", "", "", f"{total:.1f} s", "")
    make_console(stderr=True).print(table)
