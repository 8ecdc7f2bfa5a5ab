"""The commands of the store: list, show, lineage, diff, verify, tag, gc."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import DEFAULT_STORE, JsonOption, QuietOption, StoreOption
from llamakit.wording import counted

if TYPE_CHECKING:
    from llamakit.artifacts.kinds import Kind
    from llamakit.artifacts.store import Store, Version

_PANEL = "Artifacts"
# Figures of two training runs that `diff` draws into the terminal; a page has all.
_IN_TERMINAL = ("loss", "validation_loss", "lr")
Reference = Annotated[
    str, typer.Argument(help="NAME, NAME:v3, NAME:TAG or a version's folder.", metavar="REF")
]


class LineageFormat(StrEnum):
    """How `lineage` prints its tree."""

    text = "text"
    mermaid = "mermaid"


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("list", cls=PanelCommand, rich_help_panel=_PANEL)(list_)
    for command in (show, lineage, diff, verify, tag, gc):
        app.command(cls=PanelCommand, rich_help_panel=_PANEL)(command)


def list_(
    name: Annotated[str | None, typer.Argument(help="Every version of this artifact only.")] = None,
    *,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
) -> None:
    """List the artifacts of the store: the newest version of each, or all versions of one."""
    place = _store(store)
    if name is None:
        newest = ((each, place.numbers(each)[-1]) for each in place.names())
        versions = _readable(place, newest)
    elif numbers := place.numbers(name):
        versions = _readable(place, ((name, number) for number in numbers))
    else:
        versions = [place.resolve(name)]
    if json_:
        print(json.dumps([_summary(place, version) for version in versions], indent=2))
        return
    if not versions:
        print(f"the store {place.root} holds no artifacts", file=sys.stderr)
    rows = [
        [
            version.reference,
            ", ".join(_tags_of(place, version)),
            version.kind,
            version.record.stage,
            show_bytes(sum(entry.bytes for entry in version.record.files)),
            version.record.headline,
        ]
        for version in versions
    ]
    print_table(["version", "tags", "kind", "stage", "size", "result"], rows)


def show(
    reference: Reference, *, store: StoreOption = DEFAULT_STORE, json_: JsonOption = False
) -> None:
    """Show a version's record: config, inputs, files, counts, metrics and provenance."""
    version = _store(store).resolve(reference)
    record = version.record
    if json_:
        print(json.dumps(record.to_json(), indent=2, ensure_ascii=False))
        return
    print(f"{version.reference}  {record.kind}  by {record.stage} (revision {record.revision})")
    print(f"path         {version.path}")
    print(f"digest       {record.digest}")
    print(f"fingerprint  {record.fingerprint}")
    print(
        f"made in      {record.elapsed_seconds:.1f} s, peak memory "
        f"{show_bytes(record.peak_memory_bytes)}"
    )
    # An input that takes several has a row for each.
    sections: list[tuple[str, list[tuple[str, Any]]]] = [
        ("config", list(record.config.items())),
        ("inputs", [(e.role, f"{e.reference}  {e.digest[:12]}") for e in record.inputs]),
        ("counts", [(key, f"{value:,}") for key, value in record.counts.items()]),
        ("metrics", list(record.metrics.items())),
        ("usage", list(record.usage.items())),
        ("files", [(entry.path, show_bytes(entry.bytes)) for entry in record.files]),
        ("provenance", list(record.provenance.items())),
    ]
    for title, rows in sections:
        if rows:
            width = max(len(key) for key, _ in rows)
            print(f"\n{title}")
            for key, value in rows:
                print(f"  {key:<{width}}  {value}")


def lineage(
    reference: Reference,
    *,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
    format_: Annotated[
        LineageFormat, typer.Option("--format", help="Text, or a Mermaid graph.")
    ] = LineageFormat.text,
) -> None:
    """Draw what a version was made from, back to raw files."""
    from llamakit.artifacts import upkeep
    from llamakit.cli.lineage_drawing import mermaid, tree

    place = _store(store)
    root = upkeep.lineage(place, place.resolve(reference))
    if json_:
        print(json.dumps(root.to_json(), indent=2, ensure_ascii=False))
    elif format_ is LineageFormat.mermaid:
        print("\n".join(mermaid(root)))
    else:
        print("\n".join(tree(root)))


def diff(
    left: Reference,
    right: Reference,
    *,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page: the differences, and the curves of both runs overlaid."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
) -> None:
    """Say in which config keys, inputs, content, counts and metrics two versions differ.

    Of two training runs, a terminal also shows the curves of both.
    """
    from llamakit.artifacts import upkeep

    place = _store(store)
    a, b = place.resolve(left), place.resolve(right)
    found = upkeep.differences(a, b)
    rows = [[d.section, d.key, _short(d.left), _short(d.right)] for d in found]
    if json_:
        print(json.dumps([one.to_json() for one in found], indent=2, ensure_ascii=False))
    elif rows:
        print_table(["", "key", a.reference, b.reference], rows)
    else:
        print(f"{a.reference} and {b.reference} do not differ")
    drawn = sys.stdout.isatty() and not json_
    if html is not None or (drawn and a.path != b.path):
        _overlay(a, b, rows, html=html, drawn=drawn)


def _overlay(
    a: Version[Kind], b: Version[Kind], rows: list[list[str]], *, html: Path | None, drawn: bool
) -> None:
    """Draw the curves of both: into the terminal, into a page, or both."""
    from llamakit.artifacts.files import atomic_file
    from llamakit.artifacts.record import LOG_FOLDER
    from llamakit.cli.console import make_console
    from llamakit.cli.curves import chart
    from llamakit.errors import UsageError
    from llamakit.training.comparison import comparison_page, curves, title_of

    found = curves({each.reference: each.path / LOG_FOLDER for each in (a, b)})
    if html is not None:
        title = f"{a.reference} and {b.reference}"
        text = comparison_page(title, found, rows, [a.reference, b.reference])
        try:
            with atomic_file(html) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--html {html}: cannot be written ({error.strerror})") from None
        print(f"wrote {html}", file=sys.stderr)
    if drawn:
        console = make_console(stderr=False)
        both = {name: series for name, series in found.figures.items() if len(series) > 1}
        for name in [name for name in _IN_TERMINAL if name in both] or list(both)[:1]:
            for line in chart(title_of(name), found.x_label, both[name], console.width):
                console.print(line, soft_wrap=True)
            console.print()


def verify(
    references: Annotated[
        list[str] | None,
        typer.Argument(help="Versions to check; none means every one.", metavar="[REF]..."),
    ] = None,
    *,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Digest every file again and hold it against the record; exit 4 if anything differs."""
    from llamakit.artifacts import upkeep
    from llamakit.artifacts.record import RECORD_FILE
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable
    from llamakit.errors import GateError, InputError

    place = _store(store)
    damaged: dict[str, list[dict[str, str]]] = {}
    versions = []
    if references:
        versions = [place.resolve(reference) for reference in references]
    for name in place.names() if not references else []:
        for number in place.numbers(name):
            try:
                versions.append(place.open(place.root / name / f"v{number}"))
            except InputError as error:
                damaged[f"{name}:v{number}"] = [{"path": RECORD_FILE, "problem": error.what}]
    with (
        ConsoleEvents(quiet=quiet) as events,
        stoppable(events),
        events.task("verify", total=len(versions), unit="versions") as task,
    ):
        for version in versions:
            found = upkeep.verify(version)
            damaged[version.reference] = [{"path": d.path, "problem": d.problem} for d in found]
            task.advance()
    if json_:
        print(json.dumps(damaged, indent=2))
    else:
        for reference, problems in damaged.items():
            print(f"{reference}  {'damaged' if problems else 'whole'}")
            for problem in problems:
                print(f"  {problem['path']}: {problem['problem']}")
    broken = [reference for reference, problems in damaged.items() if problems]
    if broken:
        raise GateError(
            f"{len(broken)} of {counted(len(damaged), 'version')} damaged: {', '.join(broken)}",
            fix="Make them again with --force, or restore the files.",
        )


def tag(
    reference: Reference,
    label: Annotated[str, typer.Argument(help="The tag: NAME:LABEL then means this version.")],
    *,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Name a version, so that NAME:LABEL means it."""
    from llamakit.artifacts import upkeep

    place = _store(store)
    version = place.resolve(reference)
    upkeep.tag(place, version, label)
    print(f"{version.name}:{label}")


def gc(
    *,
    store: StoreOption = DEFAULT_STORE,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove what is listed; without it nothing is.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """List, and with --delete remove, abandoned drafts and locks and unreachable versions."""
    from llamakit.artifacts import upkeep

    found = upkeep.find_garbage(_store(store))
    if delete:
        found = [garbage for garbage in found if upkeep.remove(garbage)]
    if json_:
        values = [{"path": str(g.path), "reason": g.reason, "bytes": g.bytes} for g in found]
        print(json.dumps({"deleted": delete, "garbage": values}, indent=2))
        return
    for garbage in found:
        print(f"{garbage.path}  {show_bytes(garbage.bytes)}  {garbage.reason}")
    total = show_bytes(sum(garbage.bytes for garbage in found))
    verb = "removed" if delete else "to remove with --delete"
    print(f"{counted(len(found), 'path')}, {total} {verb}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: drawn on a terminal, tab-separated in a pipe."""
    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(cell.replace("\t", " ") for cell in row))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from llamakit.cli.console import make_console

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    make_console(stderr=False).print(table)


def show_bytes(size: int) -> str:
    """A size as people read it: 1.5 MB."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


def _store(root: Any) -> Store:
    from llamakit.artifacts.store import Store

    return Store(root)


def _readable(place: Store, numbered: Iterable[tuple[str, int]]) -> list[Version[Kind]]:
    """The versions whose records can be read; the others are told on stderr."""
    from llamakit.errors import InputError

    versions = []
    for name, number in numbered:
        try:
            versions.append(place.open(place.root / name / f"v{number}"))
        except InputError as error:
            print(f"warning: {error}", file=sys.stderr)
    return versions


def _summary(place: Store, version: Version[Kind]) -> dict[str, Any]:
    record = version.record
    return {
        "reference": version.reference,
        "path": str(version.path),
        "tags": _tags_of(place, version),
        "kind": record.kind,
        "stage": record.stage,
        "bytes": sum(entry.bytes for entry in record.files),
        "digest": record.digest,
        "headline": record.headline,
    }


def _tags_of(place: Store, version: Version[Kind]) -> list[str]:
    label = f"v{version.record.version}"
    return [tag for tag, target in place.tags(version.name).items() if target == label]


def _short(value: Any, width: int = 60) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
