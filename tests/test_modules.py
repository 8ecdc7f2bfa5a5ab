"""Each module says in one line what it is: the file tree of the docs is made of these lines."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 100


@pytest.mark.parametrize(
    "path", sorted((ROOT / "llamakit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_module_says_in_one_line_what_it_is(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = text.split("\n\n")[0]
    assert first.endswith("."), "a sentence is wanted"
    assert "\n" not in first, "a blank line is wanted after the first"
    assert len(first) <= LONGEST
