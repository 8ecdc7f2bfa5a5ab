"""Polars' engine does not keep row order unless asked: one file owns the operations that matter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWNER = ROOT / "llamakit" / "artifacts" / "frames.py"
BANNED = {
    *("collect", "collect_async", "collect_batches", "group_by", "join", "join_where"),
    *("sink_parquet", "unique"),
}
STRING_JOIN_ARGUMENTS = 1


def _calls(path: Path) -> list[tuple[int, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not any(
        isinstance(node, (ast.Import, ast.ImportFrom)) and "polars" in ast.unparse(node)
        for node in ast.walk(tree)
    ):
        return []
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name, owner = node.func.attr, node.func.value
        text_join = name == "join" and len(node.args) == STRING_JOIN_ARGUMENTS and not node.keywords
        module = isinstance(owner, ast.Name) and owner.id in ("frames", "gc", "torch", "np")
        if name in BANNED and not text_join and not module:
            found.append((node.lineno, name))
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "llamakit").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_order_losing_operations_stay_in_one_file(path: Path) -> None:
    if path == OWNER:
        assert _calls(path), "the owner calls them, else this test looks for the wrong names"
    else:
        assert _calls(path) == []
