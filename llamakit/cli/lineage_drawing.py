"""A lineage as text: a tree for a terminal, a Mermaid graph for a page."""

from __future__ import annotations

from llamakit.artifacts.upkeep import Ancestor


def tree(node: Ancestor, indent: str = "", last: bool = True, top: bool = True) -> list[str]:
    """The lines of a tree, the version at its root; a version that several read stands in it
    several times."""
    made = f"  {node.version.record.stage}" if node.version else "  (file, or gone)"
    branch = "" if top else ("└─ " if last else "├─ ")
    role = f"{node.role}: " if node.role else ""
    lines = [f"{indent}{branch}{role}{node.shown}  {node.digest[:12]}{made}"]
    below = indent if top else indent + ("   " if last else "│  ")
    for index, child in enumerate(node.inputs):
        lines += tree(child, below, index == len(node.inputs) - 1, top=False)
    return lines


def mermaid(root: Ancestor) -> list[str]:
    """The lines of a Mermaid graph, from raw files at the left to the version at the right."""
    return ["graph LR", *_mermaid(root, {})]


def _mermaid(node: Ancestor, ids: dict[tuple[str, str], str]) -> list[str]:
    """A node and what it was made from, each once; `ids` holds those drawn already.

    Versions of equal content are nodes of their own, and a version that is read by several of its
    files is one.
    """
    ids[_mermaid_key(node)] = here = f"n{len(ids)}"
    lines = [f'  {here}["{node.reference}"]']
    edges = []
    for child in node.inputs:
        if _mermaid_key(child) not in ids:
            lines += _mermaid(child, ids)
        label = f"{child.role}: {child.file}" if child.file else child.role
        edges.append(f'  {ids[_mermaid_key(child)]} -->|"{label}"| {here}')
    return lines + edges


def _mermaid_key(node: Ancestor) -> tuple[str, str]:
    return node.reference, node.version.digest if node.version else node.digest
