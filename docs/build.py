"""Keep the docs true: help texts, config tables and the file tree are made from the code.

    python docs/build.py          check; exit 1 and say what is stale
    python docs/build.py write    renew what is stale

Text between `<!-- made: WHAT -->` and `<!-- /made -->` is made here; all else is written by hand.
A command's page that is missing is begun with an empty section for a real run.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from llamakit.stages.registry import RECIPE, load_stage

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
OTHERS = (
    "generate", "chat", "list", "show", "lineage", "diff", "verify", "tag", "gc", "export", "run",
    "plan",
)  # fmt: skip
_BLOCK = re.compile(r"(<!-- made: (.+?) -->\n).*?(<!-- /made -->)", re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def made(what: str) -> str:
    """The text of one block."""
    kind, _, argument = what.partition(" ")
    if kind == "help":
        return f"```console\n$ llamakit {argument} --help\n{help_text(argument)}```\n"
    if kind == "tree":
        return "```text\n" + "\n".join(tree(ROOT / "llamakit")) + "\n```\n"
    if kind == "commands":
        return "".join(f"- [`{name}`](commands/{name}.md)\n" for name in (*RECIPE, *OTHERS))
    if kind == "stages":
        return _stages()
    raise ValueError(f"unknown block {what!r}")


def _stages() -> str:
    """The recipe as a table, for the README."""
    rows = ["| stage | what it does |", "|---|---|"]
    for name in RECIPE:
        summary = (load_stage(name).__doc__ or "").strip().splitlines()[0]
        rows.append(f"| [`{name}`](docs/commands/{name}.md) | {summary} |")
    return "\n".join(rows) + "\n"


def help_text(command: str) -> str:
    """What `--help` prints, at a fixed width."""
    answer = subprocess.run(
        [sys.executable, "-m", "llamakit", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    )
    text = answer.stdout.replace("python -m llamakit", "llamakit")
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def tree(folder: Path, depth: int = 0) -> list[str]:
    """The files below a folder, each with the first line of its docstring."""
    lines = [_entry(depth, f"{folder.name}/", _summary(folder / "__init__.py"))]
    children = sorted(folder.iterdir(), key=lambda p: (p.is_file(), p.name))
    for child in children:
        if child.is_dir() and (child / "__init__.py").exists():
            lines += tree(child, depth + 1)
        elif child.suffix == ".py" and child.name != "__init__.py":
            lines.append(_entry(depth + 1, child.name, _summary(child)))
    return lines


def _entry(depth: int, name: str, summary: str) -> str:
    return f"{'  ' * depth}{name:<{26 - 2 * depth}}{summary}".rstrip()


def _summary(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(doc.split("\n\n")[0].split())


def renewed(text: str) -> str:
    """A page with its made blocks made anew."""
    return _BLOCK.sub(lambda match: match[1] + made(match[2]) + match[3], text)


def dead_links(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    targets = (match[1] for match in _LINK.finditer(page.read_text(encoding="utf-8")))
    return [t for t in targets if "://" not in t and not (page.parent / t).exists()]


def main() -> int:
    """Check, or with `write` renew, every page."""
    write = sys.argv[1:] == ["write"]
    problems = []
    for name in (*RECIPE, *OTHERS):
        page = DOCS / "commands" / f"{name}.md"
        if not page.exists():
            problems.append(f"{page.relative_to(ROOT)} is missing")
            if write:
                page.parent.mkdir(exist_ok=True)
                page.write_text(
                    f"# llamakit {name}\n\n<!-- made: help {name} -->\n<!-- /made -->\n",
                    encoding="utf-8",
                )
    for page in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = renewed(before)
        if after != before:
            problems.append(f"{page.relative_to(ROOT)} is stale")
            if write:
                page.write_text(after, encoding="utf-8")
        problems += [f"{page.relative_to(ROOT)}: dead link {t}" for t in dead_links(page)]
    for problem in problems:
        print(("renewed: " if write else "") + problem)
    if problems and not write:
        print("Run `python docs/build.py write`.")
    return 1 if problems and not write else 0


if __name__ == "__main__":
    sys.exit(main())
