"""Which files to read and what they are: JSON lines, JSON, Parquet or text, plain or compressed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llamakit.errors import InputError

Format = Literal["jsonl", "json", "parquet", "text", "binary"]
Compression = Literal["gzip", "zstd"]

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


@dataclass(frozen=True)
class DataFile:
    """One file to read. `name` is what ids, sources and messages call it: never a full path."""

    path: Path
    name: str
    format: Format
    compression: Compression | None

    @property
    def stem(self) -> str:
        """The name without folders and known endings: `a/wiki.jsonl.gz` -> `wiki`."""
        base = Path(self.name)
        if base.suffix.lower() in COMPRESSIONS:
            base = base.with_suffix("")
        return base.stem if base.suffix.lower() in FORMATS else base.name


def find_data_files(path: Path, name: str) -> tuple[list[DataFile], list[str]]:
    """The files at `path`: itself, or everything of a known kind under the folder, sorted by name.

    Returns:
        the files, and the names in the folder that were passed over because of their ending.

    Raises:
        InputError: nothing is there, or the folder holds nothing of a known kind.
    """
    if path.is_file():
        return [_data_file(path, name, _format_by_name(path) or _format_by_content(path))], []
    if not path.is_dir():
        raise InputError("no such file or folder", where=str(path))
    found: list[DataFile] = []
    passed: list[str] = []
    inside = [p for p in path.rglob("*") if p.is_file()]
    for child in sorted(inside, key=lambda p: p.relative_to(path).as_posix()):
        relative = child.relative_to(path)
        if any(part.startswith(".") for part in relative.parts):
            continue
        kind = _format_by_name(child)
        if kind is None:
            passed.append(relative.as_posix())
        else:
            found.append(_data_file(child, relative.as_posix(), kind))
    if not found:
        raise InputError(
            f"the folder holds no file ending in {', '.join(FORMATS)} (also with .gz or .zst)",
            where=str(path),
            fix="A file named by itself is read whatever its ending.",
        )
    return found, passed


def _data_file(path: Path, name: str, kind: Format) -> DataFile:
    return DataFile(path, name, kind, _compression(path))


def _format_by_name(path: Path) -> Format | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def _compression(path: Path) -> Compression | None:
    """By content: a `.gz` that a download tool has already unpacked is common."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstd" if head == b"\x28\xb5\x2f\xfd" else None


def _format_by_content(path: Path) -> Format:
    from llamakit.corpus.reading.streams import DamagedFileError, chunks

    head = b""
    try:
        head = next(chunks(path, _compression(path)), b"")[:65_536]
    except DamagedFileError:
        return "binary"
    if head[:4] == b"PAR1":
        return "parquet"
    if b"\0" in head and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return "binary"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return "json" if start in (b"{", b"[") else "text"
