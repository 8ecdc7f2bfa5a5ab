"""The store: a plain folder of artifacts, and how a reference finds a version in it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.record import RECORD_FILE, Record
from llamakit.errors import InputError, UsageError, nearest

K_co = TypeVar("K_co", bound=Kind, covariant=True)

DRAFTS = ".drafts"
FETCHED = ".fetched"
TAGS_FILE = "tags.json"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION_PATTERN = re.compile(r"v([1-9][0-9]*)")


@dataclass(frozen=True)
class Version(Generic[K_co]):
    """One whole version of an artifact, on disk. `path` is its folder."""

    path: Path
    record: Record

    @property
    def name(self) -> str:
        """The artifact's name."""
        return self.record.name

    @property
    def kind(self) -> str:
        """The artifact's kind, as in `KINDS`."""
        return self.record.kind

    @property
    def digest(self) -> str:
        """The content digest: equal bytes of payload, equal digest."""
        return self.record.digest

    @property
    def reference(self) -> str:
        """`NAME:vN`."""
        return f"{self.record.name}:v{self.record.version}"

    def parts(self, sub: str = "data") -> list[Path]:
        """The parquet parts in a folder of the payload, in order."""
        return sorted((self.path / sub).glob("part-*.parquet"))


class Store:
    """A folder of artifacts: `ROOT/NAME/vN/artifact.json`. Need not exist yet."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(
                "the store is a file, a folder is needed",
                where=str(self.root),
                fix="Name another place with --store.",
            )

    def names(self) -> list[str]:
        """Names that have at least one version, sorted."""
        return [name for name in self.folders() if self.numbers(name)]

    def folders(self) -> list[str]:
        """Names that have a folder, with a whole version in it or not, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(
            p.name for p in self.root.iterdir() if p.is_dir() and not p.name.startswith(".")
        )

    def numbers(self, name: str) -> list[int]:
        """The numbers of a name's whole versions, ascending."""
        folder = self.root / name
        return [n for n in self.taken(name) if (folder / f"v{n}" / RECORD_FILE).is_file()]

    def taken(self, name: str) -> list[int]:
        """The numbers that have a folder, ascending: of whole versions, and of what is left of one
        that was removed half-way."""
        folder = self.root / name
        if name.startswith(".") or not folder.is_dir():
            return []
        matches = (_VERSION_PATTERN.fullmatch(child.name) for child in folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def versions(self, name: str) -> list[Version[Kind]]:
        """A name's versions, oldest first."""
        return [self.open(self.root / name / f"v{n}") for n in self.numbers(name)]

    def newest(self, name: str) -> Version[Kind] | None:
        """A name's newest version, if it has any."""
        numbers = self.numbers(name)
        return self.open(self.root / name / f"v{numbers[-1]}") if numbers else None

    def find(self, name: str, fingerprint: str) -> Version[Kind] | None:
        """The newest version of `name` with this fingerprint, if any."""
        for version in reversed(self.versions(name)):
            if version.record.fingerprint == fingerprint:
                return version
        return None

    def open(self, folder: Path) -> Version[Kind]:
        """The version in `folder` (InputError when there is none)."""
        return Version(path=folder, record=Record.read(folder))

    def resolve(self, reference: str | Path | Version[K_co]) -> Version[Kind]:
        """The version a reference names: `NAME`, `NAME:v3`, `NAME:TAG`, or a version's folder.

        Raises:
            InputError: nothing has that name, version or tag.
        """
        if isinstance(reference, Version):
            return reference
        text = str(reference)
        if _is_version(Path(text)):
            return self.open(Path(text))
        name, colon, label = text.partition(":")
        numbers = self.numbers(name) if NAME_PATTERN.fullmatch(name) else []
        if not numbers:
            raise self._missing(text, name)
        if not colon:
            return self.open(self.root / name / f"v{numbers[-1]}")
        match = _VERSION_PATTERN.fullmatch(label) or _VERSION_PATTERN.fullmatch(
            self.tags(name).get(label, "")
        )
        if match and int(match[1]) in numbers:
            return self.open(self.root / name / match[0])
        known = [f"v{n}" for n in numbers] + sorted(self.tags(name))
        raise InputError(
            f"{name!r} has no version or tag {label!r}",
            where=str(self.root),
            fix=f"It has {', '.join(known)}.",
        )

    def _missing(self, text: str, name: str) -> InputError:
        guess = nearest(name, self.names())
        if guess:
            fix = f"Did you mean {guess!r}?"
        elif "/" in text:
            fix = f"A path must be a version's folder, one that holds {RECORD_FILE}."
        else:
            fix = "`llamakit list` shows what is there; --store names another store."
        return InputError(f"no artifact {text!r} in the store", where=str(self.root), fix=fix)

    def tags(self, name: str) -> dict[str, str]:
        """A name's tags: tag -> `vN`."""
        path = self.root / name / TAGS_FILE
        if not path.is_file():
            return {}
        try:
            tags = json.loads(path.read_text(encoding="utf-8"))
            return {str(tag): str(label) for tag, label in tags.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise InputError(
                f"the tags cannot be read ({error})",
                where=str(path),
                fix='Restore the file ({"TAG": "v1"}), or remove it and tag again.',
            ) from None


def _is_version(folder: Path) -> bool:
    try:
        return (folder / RECORD_FILE).is_file()
    except (OSError, ValueError):  # longer than a path may be, or with a NUL in it
        return False


def check_name(name: str) -> str:
    """Return `name` if an artifact may be called so, else raise UsageError."""
    if not NAME_PATTERN.fullmatch(name) or _VERSION_PATTERN.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name an artifact",
            fix="Use at most 100 letters, digits, '.', '_' and '-', the first a letter or digit.",
        )
    return name
