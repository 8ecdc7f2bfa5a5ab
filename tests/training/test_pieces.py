"""Tensors in pieces: any box comes back, and gaps and overlaps are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from llamakit.training.pieces import Index, Piece, PieceFiles, write_pieces

SHAPE = (6, 5, 4)
WHOLE = torch.arange(120, dtype=torch.float64).view(SHAPE)


def cut(tensor: Tensor, rows: list[int], columns: list[int]) -> list[Piece]:
    """A grid of pieces, as rows over one group of processes and columns over another give."""
    pieces = []
    for a, b in zip([0, *rows], [*rows, SHAPE[0]], strict=True):
        for c, d in zip([0, *columns], [*columns, SHAPE[1]], strict=True):
            pieces.append(Piece(tensor[a:b, c:d], SHAPE, (a, c, 0)))
    return pieces


def write(folder: Path, pieces: list[Piece]) -> PieceFiles:
    index: Index = {}
    for rank, piece in enumerate(pieces):
        index[f"{rank}.safetensors"] = write_pieces(folder / f"{rank}.safetensors", {"w": piece})
    return PieceFiles(folder, index)


def split(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, size), max_size=3).map(sorted)  # empty pieces too


@st.composite
def box(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in SHAPE]
    return tuple(a for a, _ in ends), tuple(b - a for a, b in ends)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=split(6), columns=split(5), wanted=box())
def test_any_box_out_of_any_grid(
    tmp_path: Path,
    rows: list[int],
    columns: list[int],
    wanted: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    files = write(tmp_path, cut(WHOLE, rows, columns))
    assert torch.equal(files["w"], WHOLE)
    offsets, shape = wanted
    expected = WHOLE[tuple(slice(a, a + n) for a, n in zip(offsets, shape, strict=True))]
    found = files.box("w", offsets, shape)
    assert torch.equal(found, expected)
    assert found.is_contiguous()


def test_a_gap_is_noticed_where_it_is_asked_for(tmp_path: Path) -> None:
    files = write(tmp_path, cut(WHOLE, [2, 4], [])[:2])
    assert torch.equal(files.box("w", (1, 0, 0), (3, 5, 4)), WHOLE[1:4])
    with pytest.raises(ValueError, match="the pieces of w hold 80 of 120 values"):
        files["w"]


def test_an_overlap_is_noticed(tmp_path: Path) -> None:
    twice = [Piece(WHOLE[:4], SHAPE, (0, 0, 0)), Piece(WHOLE[3:], SHAPE, (3, 0, 0))]
    with pytest.raises(ValueError, match="the pieces of w hold 140 of 120 values"):
        write(tmp_path, twice)["w"]


def test_shapes_that_contradict_each_other_are_noticed(tmp_path: Path) -> None:
    pieces = [Piece(WHOLE[:4], SHAPE, (0, 0, 0)), Piece(WHOLE[4:], (7, 5, 4), (4, 0, 0))]
    with pytest.raises(ValueError, match="shape"):
        write(tmp_path, pieces)


@pytest.mark.parametrize(
    "tensor", [torch.tensor(2.5), torch.zeros(0, 3), torch.ones(3, dtype=torch.bfloat16)]
)
def test_scalars_and_empty_tensors_come_back(tmp_path: Path, tensor: Tensor) -> None:
    index = {"f": write_pieces(tmp_path / "f", {"t": tensor})}
    files = PieceFiles(tmp_path, index)
    assert torch.equal(files["t"], tensor)
    assert files["t"].dtype == tensor.dtype
    assert len(files) == 1
    assert files.shape("t") == tensor.shape
