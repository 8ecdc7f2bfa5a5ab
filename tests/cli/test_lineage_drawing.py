from __future__ import annotations

from llamakit.artifacts.upkeep import Ancestor
from llamakit.cli.lineage_drawing import mermaid


def test_versions_of_equal_content_are_nodes_of_their_own() -> None:
    left, right = (Ancestor("first", f"{name}:v1", "same", None) for name in ("a", "b"))
    root = Ancestor("", "c:v1", "other", None, inputs=[left, right, left])
    assert mermaid(root) == [
        "graph LR",
        '  n0["c:v1"]',
        '  n1["a:v1"]',
        '  n2["b:v1"]',
        '  n1 -->|"first"| n0',
        '  n2 -->|"first"| n0',
        '  n1 -->|"first"| n0',
    ]


def test_the_file_that_was_read_stands_at_the_edge() -> None:
    world = Ancestor("files", "world:v1", "d", None, file="documents.jsonl")
    root = Ancestor("", "c:v1", "e", None, inputs=[world])
    assert mermaid(root)[-1] == '  n1 -->|"files: documents.jsonl"| n0'
