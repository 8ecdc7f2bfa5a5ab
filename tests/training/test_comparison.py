"""Curves of two runs."""

from __future__ import annotations

from pathlib import Path

from llamakit.training.comparison import comparison_page, curves
from llamakit.training.metrics import MetricsLog


def log(folder: Path, batch: int, **figures: float) -> Path:
    folder.mkdir()
    with MetricsLog(folder / "metrics.jsonl") as rows:
        for step in (10, 20):
            row = {"step": step, "loss": 1 / step, "tokens": step * batch, "wait_share": 0.0}
            rows.append({**row, **figures})
    return folder


def test_figures_of_both_over_steps(tmp_path: Path) -> None:
    a, b = log(tmp_path / "a", 64, lr=0.1, accuracy=0.5), log(tmp_path / "b", 64, lr=0.2)
    found = curves({"a:v1": a, "b:v1": b})
    assert found.x_label == "step"
    assert list(found.figures) == ["loss", "lr", "accuracy"]
    assert found.figures["lr"] == {"a:v1": ([10, 20], [0.1, 0.1]), "b:v1": ([10, 20], [0.2, 0.2])}
    assert list(found.figures["accuracy"]) == ["a:v1"]


def test_batches_of_other_sizes_are_compared_by_tokens(tmp_path: Path) -> None:
    found = curves({"a": log(tmp_path / "a", 64), "b": log(tmp_path / "b", 128)})
    assert found.x_label == "tokens"
    assert found.figures["loss"]["b"] == ([1280, 2560], [0.1, 0.05])


def test_what_trains_nothing_has_no_curves(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "metrics.jsonl").touch()
    assert curves({"a": tmp_path, "b": tmp_path / "empty"}).figures == {}
    page = comparison_page("a and b", curves({"a": tmp_path}), [], ["a", "b"])
    assert "no curves" in page
    assert "do not differ" in page


def test_the_page_overlays_curves_and_tells_the_differences(tmp_path: Path) -> None:
    found = curves({"a": log(tmp_path / "a", 64), "b": log(tmp_path / "b", 64)})
    page = comparison_page("a <and> b", found, [["config", "lr", "0.1", "<0.2>"]], ["a", "b"])
    assert page.count("<svg") == 1
    assert "a &lt;and&gt; b" in page
    assert "&lt;0.2&gt;" in page
    assert "src=" not in page
