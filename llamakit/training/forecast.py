"""A training run foretold: what `--dry-run` says of its size, memory, time and energy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from llamakit.model.config import ModelConfig
from llamakit.training.estimate import (
    Assumed,
    Device,
    Footprint,
    device_hours,
    footprint,
    memory_parts,
)
from llamakit.training.plan import Precision
from llamakit.wording import counted

Memory = dict[str, int]
"""Bytes by part."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A run that is planned, and the devices it is planned for."""

    config: ModelConfig
    dtype: Precision
    seq_len: int
    rows: int
    """Rows of a step, on all devices together."""
    micro_rows: int
    """Rows of a forward pass on one device, at most."""
    steps: int
    tokens_per_epoch: int
    device: Device
    n_devices: int
    sharded: bool
    """Whether weights and optimizer are cut over the devices (FSDP), or each holds all of them."""
    tensor: int = 1
    """Devices that share each layer's matrices."""
    recompute: bool = False
    assumed: Assumed = field(default_factory=Assumed)

    @property
    def tokens(self) -> int:
        """Tokens of the whole run."""
        return self.steps * self.rows * self.seq_len

    @property
    def flops(self) -> float:
        """FLOPs of the whole run."""
        return self.tokens * self.config.flops_per_token(self.seq_len)

    @property
    def groups(self) -> int:
        """Devices, or groups of `tensor` devices, that read rows of their own."""
        return max(1, self.n_devices // self.tensor)

    @property
    def busy(self) -> float:
        """Share of the devices that have rows to read; all wait for the one with most."""
        return self.rows / (-(-self.rows // self.groups) * self.groups)

    @property
    def device_hours(self) -> float:
        """Hours of all devices together, at the assumed share of their peak."""
        return device_hours(self.flops, self.device.peak[self.dtype], self.assumed.mfu) / self.busy

    @property
    def days(self) -> float:
        """Days from begin to end."""
        return self.device_hours / self.n_devices / 24

    @property
    def watts(self) -> float | None:
        """Power of a device, where it is given or known."""
        return self.device.watts if self.assumed.watts is None else self.assumed.watts

    @property
    def footprint(self) -> Footprint | None:
        """Energy and carbon; None where nobody knows the device's power."""
        if self.watts is None:
            return None
        assumed = self.assumed
        return footprint(self.device_hours, self.watts, pue=assumed.pue, carbon=assumed.carbon)

    def memory(self, *, sharded: bool | None = None, recompute: bool | None = None) -> Memory:
        """Bytes that one device needs, by part; with other settings than the run's where given."""
        sharded = self.sharded if sharded is None else sharded
        return memory_parts(
            self.config,
            self.dtype,
            rows=min(self.micro_rows, -(-self.rows // self.groups)),
            seq_len=self.seq_len,
            recompute=self.recompute if recompute is None else recompute,
            shards=self.groups if sharded else 1,
            tensor=self.tensor,
        )

    def warnings(self) -> list[str]:
        """What will not go as planned."""
        found = []
        needed = sum(self.memory().values())
        if needed > self.device.memory:
            text = f"a device needs {_size(needed)} and has {_size(self.device.memory)}"
            found.append(f"{text}; {self._remedy()}")
        if self.busy < 0.95:
            found.append(
                f"{counted(self.rows, 'row')} a step leave {1 - self.busy:.0%} of the devices' time"
                f" unused: take a multiple of {self.groups:,} rows, or other devices"
            )
        return found

    def _remedy(self) -> str:
        """The least change after which a device has the memory."""
        changes = {
            "recomputing activations suffices": {"recompute": True},
            "cutting weights and optimizer over the devices (FSDP) suffices": {"sharded": True},
            "FSDP and recomputing activations suffice": {"sharded": True, "recompute": True},
        }
        for text, change in changes.items():
            if sum(self.memory(**change).values()) <= self.device.memory:
                return text
        return "take more devices, or a smaller micro-batch or model"

    def values(self) -> dict[str, Any]:
        """All of it for a program: bytes, FLOPs, hours and days as plain numbers."""
        made = self.footprint
        return {
            "parameters": self.config.parameters(),
            "steps": self.steps,
            "tokens_per_step": self.rows * self.seq_len,
            "tokens": self.tokens,
            "epochs": self.tokens / self.tokens_per_epoch,
            "flops_per_token": self.config.flops_per_token(self.seq_len),
            "flops": self.flops,
            "devices": self.n_devices,
            "device": {**asdict(self.device), "watts": self.watts},
            "assumed": {**asdict(self.assumed), "watts": self.watts},
            "memory_per_device": self.memory(),
            "device_hours": self.device_hours,
            "days": self.days,
            "kwh": made.kwh if made else None,
            "tco2eq": made.tonnes if made else None,
            "warnings": self.warnings(),
        }

    def text(self) -> str:
        """The same for a person, in lines."""
        config, device, made = self.config, self.device, self.footprint
        peak = f"{_flops(device.peak[self.dtype])}/s in {self.dtype}"
        power = "power not known" if self.watts is None else f"{self.watts:g} W"
        lines = [
            f"model    {config.parameters():,} parameters: {counted(config.n_layers, 'layer')} of"
            f" {config.dim:,}, vocabulary {config.vocab_size:,}, {self.dtype}",
            f"run      {counted(self.steps, 'step')} of {self.rows * self.seq_len:,} tokens"
            f" ({counted(self.rows, 'row')} of {self.seq_len:,}): {self.tokens:,} tokens,"
            f" {self.tokens / self.tokens_per_epoch:,.3g} epochs",
            f"compute  {_flops(config.flops_per_token(self.seq_len))} a token,"
            f" {_flops(self.flops)} in all",
            f"devices  {self.n_devices:,} x {device.name}: {peak}, {_size(device.memory)}, {power}"
            f" ({device.source})",
            *self._memory_lines(),
            f"time     {_time(self.days)} at an assumed MFU of {self.assumed.mfu:.0%}:"
            f" {_number(self.device_hours)} device-hours",
        ]
        if made is None:
            lines.append("energy   not reckoned: give the device's power, --assume watts=N")
        else:
            lines.append(
                f"energy   {_number(made.kwh / 1e3)} MWh at a PUE of {self.assumed.pue:g},"
                f" {_number(made.tonnes)} tCO2eq at {self.assumed.carbon:g} kg a kWh"
            )
        return "\n".join([*lines, *(f"warning: {line}" for line in self.warnings())])

    def _memory_lines(self) -> list[str]:
        """A table: parts down, and across the ways to hold the model that there are."""
        across = {"a copy on each": False}
        if self.n_devices > 1:
            across[f"cut over {self.groups:,}"] = True
        columns = {title: self.memory(sharded=cut) for title, cut in across.items()}
        thrifty = {title: self.memory(sharded=cut, recompute=True) for title, cut in across.items()}
        lines = [["memory a device", *columns]]
        for part in self.memory():
            if any(parts[part] for parts in columns.values()):
                cells = [_size(parts[part]) if parts[part] else "-" for parts in columns.values()]
                lines.append([f"  {part}", *cells])
        lines.append(["  in all", *(_size(sum(parts.values())) for parts in columns.values())])
        if not self.recompute:
            cells = [_size(sum(parts.values())) for parts in thrifty.values()]
            lines.append(["  recomputing activations", *cells])
        return [
            f"{label:<26}" + "".join(f"{cell:>16}" for cell in cells) for label, *cells in lines
        ]


def _size(size: float) -> str:
    for unit in ("MiB", "GiB", "TiB"):
        size /= 2**20 if unit == "MiB" else 2**10
        if size < 1000 or unit == "TiB":
            break
    return f"{size:,.1f} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _flops(flops: float) -> str:
    for unit, scale in (("M", 1e6), ("G", 1e9), ("T", 1e12), ("P", 1e15)):
        if flops < 1000 * scale:
            return f"{flops / scale:.3g} {unit}FLOP"
    return f"{flops:.3g} FLOP"


def _time(days: float) -> str:
    for unit, of_a_day in (("second", 86_400), ("minute", 1440), ("hour", 24)):
        if days * of_a_day < (120 if unit != "hour" else 48):
            return f"{days * of_a_day:,.3g} {unit}s"
    return f"{days:,.3g} days"
