"""The page of a run."""

from __future__ import annotations

from pathlib import Path

from llamakit.training.metrics import MetricsLog
from llamakit.training.plots import write_training_page


def test_a_chart_for_each_kind_of_figure(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as log:
        for step in (10, 20, 30):
            row = {"step": step, "loss": 5 / step, "lr": 1e-3, "grad_norm": 1.0, "tokens": step}
            log.append({**row, "tokens_per_s": 100.0, "accuracy": 0.5})
        log.append({**row, "step": 40, "validation_loss": 0.3, "tokens_per_s": 90.0})
    page = write_training_page(tmp_path, "A <run>", {"loss": 0.125}).read_text()
    headings = ("Loss", "Learning rate", "Gradient norm", "Throughput", "Accuracy")
    assert all(f">{heading}<" in page for heading in headings)
    assert page.count("<svg") == len(headings)
    assert "validation loss" in page
    assert "A &lt;run&gt;" in page


def test_a_run_without_rows_still_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").touch()
    assert "<svg" not in write_training_page(tmp_path, "Empty", {}).read_text()
