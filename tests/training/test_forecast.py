"""What `--dry-run` says of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamakit.errors import UsageError
from llamakit.model.config import PRESETS, ModelConfig
from llamakit.training.estimate import DEVICES, Assumed, Device
from llamakit.training.forecast import Forecast

PLANNED = Forecast(
    config=ModelConfig(**PRESETS["llama2-7b"], vocab_size=32_000),
    dtype="bf16",
    seq_len=4096,
    rows=1024,
    micro_rows=2,
    steps=476_837,
    tokens_per_epoch=10**12,
    device=DEVICES["a100-80gb"],
    n_devices=1024,
    sharded=True,
)


def test_the_papers_7b_takes_about_the_papers_hours() -> None:
    assert PLANNED.tokens == pytest.approx(2e12, rel=1e-5)
    hours = 184_320 * 0.4452 / 0.4  # at the assumed share of the peak instead of the paper's
    assert PLANNED.device_hours == pytest.approx(hours, rel=1e-3)
    assert PLANNED.days == pytest.approx(PLANNED.device_hours / 1024 / 24)
    assert PLANNED.footprint is not None
    assert PLANNED.footprint.tonnes == pytest.approx(31.22 * 0.4452 / 0.4, rel=1e-3)
    assert PLANNED.warnings() == []


def test_devices_without_rows_of_their_own_wait() -> None:
    crowd = replace(PLANNED, n_devices=3000)
    assert crowd.busy == pytest.approx(1024 / 3000)
    assert crowd.days == pytest.approx(PLANNED.days)
    assert "leave 66% of the devices' time unused" in crowd.warnings()[0]
    shared = replace(PLANNED, n_devices=4096, tensor=4)
    assert (shared.groups, shared.busy) == (1024, 1.0)
    assert shared.days == pytest.approx(PLANNED.days / 4)


def test_memory_that_does_not_suffice_is_said_with_the_remedy() -> None:
    assert sum(PLANNED.memory().values()) < PLANNED.device.memory
    (told,) = replace(PLANNED, sharded=False).warnings()
    assert "a device needs" in told
    assert "(FSDP) suffices" in told
    (told,) = replace(PLANNED, micro_rows=8, n_devices=64).warnings()
    assert "recomputing activations suffices" in told
    (told,) = replace(PLANNED, n_devices=1, sharded=False, micro_rows=64).warnings()
    assert "take more devices" in told


def test_text_and_values_say_the_same() -> None:
    text, values = PLANNED.text(), PLANNED.values()
    assert f"{values['parameters']:,} parameters" in text
    assert f"{values['steps']:,} steps of 4,194,304 tokens (1,024 rows of 4,096)" in text
    assert "1,024 x a100-80gb: 312 TFLOP/s in bf16" in text
    assert "at an assumed MFU of 40%" in text
    assert f"{values['tco2eq']:.4g} tCO2eq" in text
    assert values["memory_per_device"] == PLANNED.memory()


def test_without_a_known_power_no_energy_is_told() -> None:
    here = Device("a laptop", {"bf16": 4e11, "fp32": 1e11}, 2**34, None, "measured here")
    alone = replace(PLANNED, device=here, n_devices=1)
    assert alone.values()["tco2eq"] is None
    assert "--assume watts=N" in alone.text()
    told = replace(alone, assumed=Assumed.of({"watts": 45.0}))
    assert told.footprint is not None
    assert "45 W" in told.text()


@pytest.mark.parametrize(
    ("values", "said"),
    [({"mfv": 0.3}, "Did you mean 'mfu'"), ({"mfu": 1.5}, "range"), ({"pue": 0.5}, "range"),
     ({"mfu": 0.0}, "range"), ({"carbon": -1.0}, "range")],
)  # fmt: skip
def test_assumptions_are_checked(values: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Assumed.of(values)
    assert said in str(caught.value)
