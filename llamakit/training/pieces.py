"""Tensors in files of pieces, so that what many processes saved can be read by any other number.

A piece is a box of a tensor: all of it, or the rows or columns that one process holds. Each process
writes its pieces into one safetensors file; an index says for every file its digest and for every
piece the whole tensor's shape and where in it the piece begins. A reader asks for a box, whole or
not, and gets it from all pieces that overlap it, reading no more than those parts of the files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from llamakit.artifacts.digest import file_digest
from llamakit.artifacts.files import sync_file

Place = tuple[int, ...]
Index = dict[str, dict[str, Any]]
"""Of each file by its name: `sha256`, and `tensors`: of each piece by its tensor's name `shape` (of
the whole) and `offsets`."""


@dataclass(frozen=True)
class Piece:
    """A box of a tensor."""

    tensor: Tensor
    """The box's values."""
    shape: Place
    """Of the whole tensor."""
    offsets: Place
    """Where in the whole the box begins, in every dimension."""

    @classmethod
    def whole(cls, tensor: Tensor) -> Piece:
        """A tensor that one process holds entirely."""
        return cls(tensor, tuple(tensor.shape), (0,) * tensor.ndim)


def write_pieces(path: Path, pieces: Mapping[str, Piece | Tensor]) -> dict[str, Any]:
    """Write pieces into one safetensors file and force it to the disk.

    Args:
        pieces: by the tensors' names, on any device, in any dtype; a tensor stands for all of it.

    Returns:
        The file's entry in an `Index`.
    """
    boxes = {n: p if isinstance(p, Piece) else Piece.whole(p) for n, p in pieces.items()}
    save_file({n: p.tensor.detach().cpu().contiguous() for n, p in boxes.items()}, path)
    sync_file(path)
    return {
        "sha256": file_digest(path),
        "tensors": {
            n: {"shape": list(p.shape), "offsets": list(p.offsets)} for n, p in boxes.items()
        },
    }


class PieceFiles(Mapping[str, Tensor]):
    """The tensors of a folder of pieces by name, read when asked for, on the CPU."""

    def __init__(self, folder: Path, index: Index) -> None:
        self._folder = folder
        self._shapes: dict[str, Place] = {}
        self._holders: dict[str, list[tuple[str, Place]]] = {}
        self._opened: dict[str, Any] = {}
        for file, entry in index.items():
            for name, piece in entry["tensors"].items():
                shape = tuple(piece["shape"])
                if self._shapes.setdefault(name, shape) != shape:
                    raise ValueError(f"{name} has shape {shape} in {file}, another one elsewhere")
                self._holders.setdefault(name, []).append((file, tuple(piece["offsets"])))

    def __getitem__(self, name: str) -> Tensor:
        return self.box(name, (0,) * len(self._shapes[name]), self._shapes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def __len__(self) -> int:
        return len(self._shapes)

    def shape(self, name: str) -> Place:
        """The whole tensor's shape."""
        return self._shapes[name]

    def box(self, name: str, offsets: Place, shape: Place) -> Tensor:
        """The part of tensor `name` that begins at `offsets` and has `shape`.

        Raises:
            ValueError: the pieces do not cover it, or overlap in it.
        """
        parts: list[tuple[Place, Place, Tensor]] = []
        for file, begin in self._holders[name]:
            opened = self._open(file)
            lazy = opened.get_slice(name)
            low, high = _common(offsets, shape, begin, tuple(lazy.get_shape()))
            inside = _slices(low, high, begin)
            parts.append((low, high, lazy[inside] if inside else opened.get_tensor(name)))
        # Of a piece that lies elsewhere an empty slice has been read.
        found = sum(part.numel() for _, _, part in parts)
        if found != math.prod(shape):
            raise ValueError(
                f"the pieces of {name} hold {found:,} of {math.prod(shape):,} values at {offsets}"
            )
        for _, _, part in parts:
            if tuple(part.shape) == shape:
                return part.contiguous()
        result = parts[0][2].new_empty(shape)
        for low, high, part in parts:
            if part.numel():
                result[_slices(low, high, offsets)] = part
        return result

    def _open(self, file: str) -> Any:
        if file not in self._opened:
            self._opened[file] = safe_open(self._folder / file, framework="pt")
        return self._opened[file]


def _common(offsets: Place, shape: Place, begin: Place, extent: Place) -> tuple[Place, Place]:
    """Where two boxes overlap: the first place in it and the one past its last; where they do not,
    both are the same in some dimension.
    """
    low = tuple(map(max, offsets, begin))
    ends = (min(a + n, b + m) for a, n, b, m in zip(offsets, shape, begin, extent, strict=True))
    return low, tuple(map(max, low, ends))


def _slices(low: Place, high: Place, origin: Place) -> tuple[slice, ...]:
    """The box from `low` to `high`, counted from `origin`."""
    return tuple(slice(a - o, b - o) for a, b, o in zip(low, high, origin, strict=True))
