"""Which files to read and what they are: JSON, tables, text, web archives, plain or compressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from llamakit.corpus.reading.datasets import Dataset, open_dataset
from llamakit.errors import InputError

Format = Literal["jsonl", "json", "parquet", "arrow", "text", "warc", "binary"]
Compression = Literal["gzip", "zstd"]

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".warc": "warc",
    ".wet": "warc",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


@dataclass(frozen=True)
class DataFile:
    """One file to read. `name` is what ids, sources and messages call it: never a full path."""

    path: Path
    name: str
    format: Format
    compression: Compression | None
    dataset: str | None = None
    """The name of the dataset folder it lies in, for its shards' names say little."""

    @property
    def stem(self) -> str:
        """What its rows' source is called: the dataset's name, else the file's without folders and
        known endings (`a/wiki.jsonl.gz` -> `wiki`)."""
        if self.dataset is not None:
            return self.dataset
        base = Path(self.name)
        if base.suffix.lower() in COMPRESSIONS:
            base = base.with_suffix("")
        return base.stem if base.suffix.lower() in FORMATS else base.name


@dataclass
class Found:
    """The files to read, the names passed over because of their ending, and the splits of a
    dataset folder that are read and left."""

    files: list[DataFile] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    splits_left: list[str] = field(default_factory=list)


def find_data_files(path: Path, name: str, splits: Sequence[str] = ()) -> Found:
    """The files at `path`: itself, or everything of a known kind under the folder, sorted by name.

    Of a Hugging Face dataset folder, the files of the splits asked for: by default of `train`
    where there is one, else of all; `all` names them all.

    Raises:
        InputError: nothing is there, the folder holds nothing of a known kind, or it is a dataset
            folder without a split asked for.
    """
    if path.is_file():
        kind = _format_by_name(path) or _format_by_content(path)
        return Found([DataFile(path, name, kind, _compression(path))])
    if not path.is_dir():
        raise InputError("no such file or folder", where=str(path))
    dataset = open_dataset(path)
    belongs = None if dataset is None else name
    found = Found()
    inside = [p for p in path.rglob("*") if p.is_file()]
    for child in sorted(inside, key=lambda p: p.relative_to(path).as_posix()):
        relative = child.relative_to(path)
        if any(part.startswith(".") for part in relative.parts):
            continue
        kind_by_name = _format_by_name(child)
        if dataset is not None and dataset.is_description(relative):
            continue
        if kind_by_name is None:
            found.passed.append(relative.as_posix())
            continue
        file = DataFile(child, relative.as_posix(), kind_by_name, _compression(child), belongs)
        found.files.append(file)
    if not found.files:
        raise InputError(
            f"the folder holds no file ending in {', '.join(FORMATS)} (also with .gz or .zst)",
            where=str(path),
            fix="A file named by itself is read whatever its ending.",
        )
    if dataset is not None:
        _choose_splits(found, dataset, path, splits)
    return found


def _choose_splits(found: Found, dataset: Dataset, path: Path, wanted: Sequence[str]) -> None:
    """Keep the files of the wanted splits; notes beside the data (text) are no rows of a set."""
    if any(file.format != "text" for file in found.files):
        found.passed += [file.name for file in found.files if file.format == "text"]
        found.files = [file for file in found.files if file.format != "text"]
    split_of = {file.name: dataset.split(Path(file.name)) for file in found.files}
    there = list(dict.fromkeys(split_of.values()))
    chosen = list(wanted) or (["train"] if "train" in there else ["all"])
    if "all" in chosen:
        chosen = there
    missing = [split for split in chosen if split not in there]
    if missing:
        raise InputError(
            f"the dataset has no split {missing[0]!r}",
            where=str(path),
            fix=f"It has: {', '.join(there)}.",
        )
    found.files = [file for file in found.files if split_of[file.name] in chosen]
    found.splits = [split for split in there if split in chosen]
    found.splits_left = [split for split in there if split not in chosen]


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
    if head[:6] == b"ARROW1":
        return "arrow"
    if head[:5] == b"WARC/":
        return "warc"
    if b"\0" in head:
        return "binary"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return "json" if start in (b"{", b"[") else "text"
