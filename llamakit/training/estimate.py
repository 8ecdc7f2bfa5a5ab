"""What training takes, reckoned before it begins: memory by part, time, energy, carbon.

Pure functions of a model's shape and of numbers that are stated; nothing is built or measured here.
`machine.py` tells what this machine is, `model/config.py` what a token costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from llamakit.errors import UsageError, nearest
from llamakit.model.blocked_attention import kept_probabilities
from llamakit.model.config import ModelConfig
from llamakit.model.loss import ROWS_AT_ONCE
from llamakit.training.plan import Precision

PUE = 1.1
"""Energy of the whole computing centre over that of its devices (Llama 1's figure)."""
CARBON = 0.385
"""kg of CO2 equivalent a kWh: the average of the US grid, as Llama 1 and 2 take it."""
MFU = 0.4
"""Share of the peak that a run is assumed to reach. The paper's own four runs, by their GPU hours
and our count of FLOPs, reached 0.38 to 0.46."""


@dataclass(frozen=True)
class Assumed:
    """What a forecast of time and energy rests on and no shape tells."""

    mfu: float = MFU
    """Share of the peak that the run reaches (0-1)."""
    watts: float | None = None
    """Power of a device, instead of its kind's."""
    pue: float = PUE
    carbon: float = CARBON

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Assumed:
        """The defaults, with `values` in their place.

        Raises:
            UsageError: a key is unknown, or a value is out of its range.
        """
        known = [item.name for item in fields(cls)]
        for key, value in values.items():
            if key not in known:
                guess = nearest(key, known)
                hint = f"Did you mean {guess!r}? " if guess else ""
                raise UsageError(f"assume: {key!r}", fix=f"{hint}There are: {', '.join(known)}.")
            least, most = {"mfu": (0.0, 1.0), "pue": (1.0, math.inf)}.get(key, (0.0, math.inf))
            if not least <= value <= most or (key == "mfu" and not value):
                raise UsageError(f"assume: {key} = {value:g} is out of range")
        return cls(**values)


@dataclass(frozen=True)
class Device:
    """A kind of device: what its data sheet says, or what was measured."""

    name: str
    peak: Mapping[Precision, float]
    """FLOP/s of dense matrix products by precision, accumulated in fp32, fp32 without TF32."""
    memory: int
    """Bytes."""
    watts: float | None
    """Power at full load; None where nobody has said."""
    source: str


def _sheet(
    name: str, bf16: float, fp32: float, gigabytes: int, watts: float, source: str
) -> Device:
    peak: dict[Precision, float] = {"bf16": bf16 * 1e12, "fp32": fp32 * 1e12}
    return Device(name, peak, gigabytes * 10**9, watts, f"NVIDIA's data sheet of {source}")


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        _sheet("a100-80gb", 312, 19.5, 80, 400, "A100 80GB SXM"),
        _sheet("h100", 989, 67, 80, 700, "H100 SXM"),
        _sheet("h200", 989, 67, 141, 700, "H200 SXM"),
        _sheet("b200", 2250, 75, 180, 1000, "HGX B200"),
        _sheet("l4", 121, 30.3, 24, 72, "L4"),
    )
}
"""Peaks are dense: data sheets that print twice as much do so of sparse matrices."""


def named_devices(text: str) -> tuple[int, Device]:
    """`2048xa100-80gb` or `h100`: how many devices of which kind.

    Raises:
        UsageError: the number is none, or the kind is not in the table.
    """
    number, cross, name = text.lower().rpartition("x")
    if cross and not (number.isdigit() and int(number)):
        raise UsageError(f"{text!r}: {number!r} is no number of devices", fix="As in 8xh100.")
    if name not in DEVICES:
        guess = nearest(name, list(DEVICES))
        hint = f"Did you mean {guess!r}? " if guess else ""
        raise UsageError(
            f"no kind of device is called {name!r}",
            fix=f"{hint}There are: {', '.join(DEVICES)}; several as in 8xh100.",
        )
    return int(number) if cross else 1, DEVICES[name]


def kind_of(name: str) -> Device | None:
    """The table's entry for a GPU by the name its driver gives it, like `NVIDIA H200`; the table
    holds SXM modules, so that slower cards of the same name (PCIe, NVL) are not in it."""
    words = name.lower().replace("-", " ").split()
    if {"pcie", "nvl"} & {*words}:
        return None
    for device in DEVICES.values():
        model, _, memory = device.name.partition("-")
        if model in words and (not memory or memory in words):
            return device
    return None


def memory_parts(
    config: ModelConfig,
    dtype: Precision,
    *,
    rows: int = 0,
    seq_len: int = 0,
    recompute: bool = False,
    shards: int = 1,
    tensor: int = 1,
    trained: int | None = None,
) -> dict[str, int]:
    """Bytes that one device needs, by part, 0 of parts there are none of. Training has no
    key-value cache.

    Weights, gradients and optimizer are exact. Activations are those the uncompiled model keeps
    for its backward pass; what a kernel needs for a moment comes on top, so leave a tenth free.

    Args:
        rows: rows of a micro-batch on one device; 0 leaves activations and logits out.
        recompute: keep each layer's input only, and run the layer again in the backward pass.
        shards: devices over which weights, gradients and optimizer are cut (FSDP). Each layer is
            gathered in `dtype` while it is at work, and the next one meanwhile; embedding and
            output layer for the whole step.
        tensor: devices that share each layer's matrices (tensor parallelism); norms, embedding and
            output layer are copied.
        trained: weights of adapters, where the model's own are frozen; None trains those.
    """
    size = 4 if dtype == "fp32" else 2
    copied = _embeddings(config) + 2 * config.n_layers * config.dim
    owned = -(-(copied + (config.parameters() - copied) // tensor) // shards)
    # In bf16 a model on one device holds rounded copies of its masters all the time; a sharded one
    # rounds a layer when it gathers it.
    copies = dtype == "bf16" and shards == 1
    moving = owned if trained is None else -(-trained // shards)
    parts = {
        "weights": (owned if trained is None else owned + moving) * (2 if copies else 4),
        "gradients": moving * (2 if copies else 4),
        "master weights": moving * 4 if copies else 0,
        "master gradients": moving * 4 if copies else 0,
        "moments": moving * 8,
        "gathered layers": 0 if shards == 1 else size * _gathered(config, tensor),
    }
    if rows:
        tokens = rows * seq_len
        layer = _layer_activations(config, size, tensor, seq_len) * tokens
        kept = size * config.dim * tokens
        parts["activations"] = (
            layer + config.n_layers * kept if recompute else config.n_layers * layer
        ) + (4 + 2 * size) * config.dim * tokens
        at_once = min(ROWS_AT_ONCE, tokens)
        # Logits, which become their gradient, and a GPU's copy in fp32; the matrix's gradient.
        parts["logits"] = at_once * config.vocab_size * (4 + size) + (
            config.vocab_size * config.dim * (4 + size)
        )
    return parts


def _layer_activations(config: ModelConfig, size: int, tensor: int, seq_len: int) -> int:
    """Bytes a token that a layer keeps: of two norms the result before and after its gains, and the
    divisor; what goes into the other two groups of products; q, k, v, and what comes out; of the
    feed-forward layer gate, its SiLU, up, and their product. fp32 repeats k and v to all heads; in
    bf16 a processor keeps the probabilities of short rows."""
    whole = 4 * size * config.dim + 8
    keys = config.n_heads if size == 4 else config.n_kv_heads
    cut = (3 * config.n_heads + 2 * keys) * size * config.head_dim
    cut += 4 * size * config.ffn_dim + 4 * config.n_heads
    if size == 2:
        cut += size * config.n_heads * kept_probabilities(seq_len)
    return whole + cut // tensor


def _embeddings(config: ModelConfig) -> int:
    """Weights outside of the layers: embedding, output layer, last norm."""
    return config.vocab_size * config.dim * (1 if config.tie_embeddings else 2) + config.dim


def _gathered(config: ModelConfig, tensor: int) -> int:
    """Weights of which a sharded model holds all at a time."""
    outside = _embeddings(config)
    layers = min(2, config.n_layers)
    return outside + layers * (config.parameters() - outside) // config.n_layers // tensor


def device_hours(flops: float, peak: float, mfu: float) -> float:
    """Hours of one device for `flops` at a share `mfu` of its peak FLOP/s."""
    return flops / (peak * mfu) / 3600


@dataclass(frozen=True)
class Footprint:
    """Energy and carbon of a number of device-hours."""

    kwh: float
    """Energy of the devices times PUE."""
    tonnes: float
    """CO2 equivalent in tonnes."""


def footprint(hours: float, watts: float, *, pue: float = PUE, carbon: float = CARBON) -> Footprint:
    """The paper's table 2 by Llama 1's formula: `MWh = device-hours · W · PUE / 1e6`, and tonnes
    `= MWh · kg a kWh`. Interconnect, hosts, idle time and manufacture are left out, as there.

    Args:
        hours: device-hours.
        watts: power of one device.
        pue: power usage effectiveness of the computing centre.
        carbon: kg of CO2 equivalent a kWh.
    """
    kwh = hours * watts * pue / 1e3
    return Footprint(kwh, kwh * carbon / 1e3)
