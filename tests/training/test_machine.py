"""Devices, threads and memory."""

from __future__ import annotations

import pytest
import torch

from llamakit.errors import LlamakitError, UsageError
from llamakit.events import Events
from llamakit.model.config import PRESETS, ModelConfig
from llamakit.training import machine
from llamakit.training.plan import Precision


def test_auto_takes_what_is_there() -> None:
    assert machine.pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert machine.pick_device("cpu") == "cpu"


def test_an_absent_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no GPU is found"):
        machine.pick_device("cuda")


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with machine.threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with machine.threads(0):
        assert torch.get_num_threads() == before


def test_too_large_a_model_fails_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(**PRESETS["llama2-7b"], vocab_size=32_000)
    monkeypatch.setattr(machine, "memory_bytes", lambda device: 24 * 2**30)
    machine.check_memory(config, "bf16", "cpu", shards=8)
    with pytest.raises(LlamakitError, match=r"at least 125\.5 GiB.*machine has 24\.0 GiB"):
        machine.check_memory(config, "bf16", "cpu")


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_this_machine_is_measured_once(dtype: Precision) -> None:
    found = machine.this_device("cpu", dtype)
    assert found.peak[dtype] > 1e7
    assert found.watts is None
    assert found.memory == machine.memory_bytes("cpu")
    assert machine.this_device("cpu", dtype) == found


def test_memory_is_bounded_by_the_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    limit = tmp_path_factory.mktemp("cgroup") / "memory.max"
    monkeypatch.setattr(machine, "_CGROUP_LIMIT", limit)
    whole = machine.memory_bytes("cpu")
    limit.write_text("max\n")
    assert machine.memory_bytes("cpu") == whole
    limit.write_text("1048576\n")
    assert machine.memory_bytes("cpu") == 1048576
    limit.with_name("memory.current").write_text("1000000\n")
    assert machine.available_bytes() == 48576


def test_available_memory_is_a_part_of_all() -> None:
    assert 0 < machine.available_bytes() < machine.memory_bytes("cpu")


def test_emulated_bf16_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Warnings(Events):
        n = 0

        def warn(self, text: str) -> None:
            self.n += 1

    events = Warnings()
    for native, dtype in ((True, "bf16"), (False, "fp32"), (False, "bf16")):
        has = {"architecture": "x86_64", "avx512_bf16": native, "amx_bf16": False}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        machine.warn_of_slow_bf16(dtype, "cpu", events)  # type: ignore[arg-type]
    assert events.n == 1


def test_compile_without_a_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    machine.check_compiler("cpu", wanted=False)
    with pytest.raises(UsageError, match=r"no C\+\+ compiler is found \(g\+\+, clang\+\+, c\+\+\)"):
        machine.check_compiler("cpu", wanted=True)
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/opt/c" if name == "mine" else None)
    monkeypatch.setenv("CXX", "mine")
    machine.check_compiler("cpu", wanted=True)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="Triton is not installed"):
        machine.check_compiler("cuda", wanted=True)
