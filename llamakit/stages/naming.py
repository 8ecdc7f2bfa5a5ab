"""What the versions that a stage compares are called in its report."""

from collections.abc import Sequence
from typing import TypeVar

from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Version
from llamakit.errors import UsageError

K = TypeVar("K", bound=Kind)


def by_name(versions: Sequence[Version[K]], what: str, stage: str) -> dict[str, Version[K]]:
    """Versions by name, by reference where two have one name.

    Raises:
        UsageError: one is given twice; `what` says what it is.
    """
    plain = [version.name for version in versions]
    names = [v.name if plain.count(v.name) == 1 else v.reference for v in versions]
    if len(set(names)) < len(names):
        raise UsageError(f"a {what} is given twice: {', '.join(names)}", where=stage)
    return dict(zip(names, versions, strict=True))
