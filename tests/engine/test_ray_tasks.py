"""What the Ray engine says when it cannot work; the cluster itself is in test_cluster.py."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from llamakit import __version__
from llamakit.engine.ray_tasks import Place, run_shard
from llamakit.engine.shards import Engine, map_shards
from llamakit.errors import LlamakitError, UsageError
from llamakit.events import SILENT
from tests.engine.small import square


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LlamakitError, match=r'pip install "llamakit\[ray\]"'):
        map_shards(square, [1], done=tmp_path, engine=Engine(kind="ray"), events=SILENT, label="x")


def test_nothing_to_do_starts_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "00000.json").write_text("{}")
    assert map_shards(
        square, [1], done=tmp_path, engine=Engine(kind="ray"), events=SILENT, label="x"
    ) == [{}]


def test_a_ray_client_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install llamakit[ray]")
    monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    with pytest.raises(UsageError, match="on a node of the cluster, with RAY_ADDRESS=auto"):
        map_shards(square, [1], done=tmp_path, engine=Engine(kind="ray"), events=SILENT, label="x")


def test_a_cluster_that_does_not_answer_is_told_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is an extra: pip install llamakit[ray]")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(LlamakitError, match=rf"RAY_ADDRESS={address}: no Ray cluster answers"):
            map_shards(
                square, [1], done=tmp_path, engine=Engine(kind="ray"), events=SILENT, label="x"
            )


def test_a_node_that_does_not_see_the_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Place(tmp_path, tmp_path / "elsewhere" / "witness", __version__)
    with pytest.raises(LlamakitError, match=r"^node .*elsewhere\. With --engine ray the store"):
        run_shard(square, 2, place)
    place.witness.parent.mkdir()
    place.witness.touch()
    assert run_shard(square, 2, place)["square"] == 4


def test_a_node_with_another_version_is_named(tmp_path: Path) -> None:
    with pytest.raises(LlamakitError, match=r"started by 0\.0\.0\. Install the same version"):
        run_shard(square, 2, Place(tmp_path, tmp_path, "0.0.0"))
