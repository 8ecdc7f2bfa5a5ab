"""What a run has taken, from its log."""

from __future__ import annotations

import pytest

from llamakit.training.estimate import DEVICES, Assumed, Device
from llamakit.training.meter import Meter, training_seconds

ROWS = [
    {"step": 10, "tokens": 1000, "tokens_per_s": 100.0},
    {"step": 15, "tokens": 1500},  # a row of no work of its own
    {"step": 20, "tokens": 2000, "tokens_per_s": 50.0},
]
H100 = DEVICES["h100"]
LAPTOP = Device("a laptop", {"fp32": 1e11}, 2**34, None, "measured here")


def test_seconds_are_those_of_the_steps() -> None:
    assert training_seconds(ROWS) == pytest.approx(1000 / 100 + 500 / 50)
    assert training_seconds([]) == 0


def test_utilisation_is_of_one_device() -> None:
    meter = Meter(1e9, H100, H100.peak["bf16"], 4, Assumed())
    assert meter.utilisation(989e3) == pytest.approx(1.0)
    assert meter.utilisation(98.9e3) == pytest.approx(0.1)


def test_usage_of_known_devices() -> None:
    meter = Meter(1e9, H100, H100.peak["bf16"], 2, Assumed(pue=1.2, carbon=0.1))
    usage = meter.usage(ROWS)
    assert usage["flops"] == 2000 * 1e9
    assert usage["device_hours"] == pytest.approx(2 * 20 / 3600)
    assert usage["kwh"] == pytest.approx(2 * 20 / 3600 * 700 * 1.2 / 1000)
    assert usage["tco2eq"] == pytest.approx(usage["kwh"] * 0.1 / 1000)  # type: ignore[operator]
    assert usage["mfu"] == round(100 * 1e9 / (2 * H100.peak["bf16"]), 4)


def test_energy_is_not_reckoned_where_power_is_not_known() -> None:
    usage = Meter(1e6, LAPTOP, 1e11, 1, Assumed()).usage(ROWS)
    assert usage["watts"] is usage["kwh"] is usage["tco2eq"] is None
    told = Meter(1e6, LAPTOP, 1e11, 1, Assumed(watts=30)).usage(ROWS)
    assert told["kwh"] == pytest.approx(20 / 3600 * 30 * 1.1 / 1000)
