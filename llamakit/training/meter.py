"""What a run has taken, measured: its share of the peak on the way, time and energy at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamakit.training.estimate import Assumed, Device, footprint

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Meter:
    """A run's arithmetic and the devices that do it."""

    flops_per_token: float
    device: Device
    peak: float
    """FLOP/s of one device in the precision of the run."""
    n_devices: int
    assumed: Assumed
    """Power and grid; its share of the peak is measured here."""

    def utilisation(self, tokens_per_s: float) -> float:
        """The share of a device's peak (MFU) that its rate is."""
        return tokens_per_s * self.flops_per_token / self.peak

    def usage(self, rows: Sequence[Row]) -> dict[str, float | str | None]:
        """What the record keeps of a finished run, from its log.

        Time is that of the steps that count: without evaluation, saving, and what was done again
        after a kill. Energy is reckoned from the power of a device that is given or in its data
        sheet; where neither is, it is None.
        """
        tokens = rows[-1]["tokens"] if rows else 0
        seconds = training_seconds(rows)
        hours = seconds * self.n_devices / 3600
        watts = self.device.watts if self.assumed.watts is None else self.assumed.watts
        made = None
        if watts is not None:
            made = footprint(hours, watts, pue=self.assumed.pue, carbon=self.assumed.carbon)
        return {
            "device": self.device.name,
            "devices": self.n_devices,
            "peak_flops": self.peak,
            "peak_source": self.device.source,
            "flops": tokens * self.flops_per_token,
            "training_seconds": round(seconds, 3),
            "device_hours": hours,
            "mfu": round(self.utilisation(tokens / seconds / self.n_devices), 4)
            if seconds
            else None,
            "watts": watts,
            "pue": self.assumed.pue,
            "carbon": self.assumed.carbon,
            "kwh": made.kwh if made else None,
            "tco2eq": made.tonnes if made else None,
        }


def training_seconds(rows: Sequence[Row]) -> float:
    """Seconds that the steps of a log took: of each row the tokens since the one before, over its
    rate."""
    seconds, before = 0.0, 0
    for row in rows:
        tokens, rate = row.get("tokens", before), row.get("tokens_per_s")
        if rate:
            seconds += (tokens - before) / rate
        before = tokens
    return seconds
