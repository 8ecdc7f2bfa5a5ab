"""The metrics log survives crashes and resumes."""

from __future__ import annotations

from pathlib import Path

from llamakit.training.metrics import MetricsLog, read_metrics


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "log" / "metrics.jsonl"
    with MetricsLog(path) as log:
        log.append({"step": 10, "loss": 0.1 + 0.2})
        log.append({"step": 20, "loss": 1.0})
        assert len(read_metrics(path)) == 2  # already there while the run goes on
    assert [row["loss"] for row in read_metrics(path)] == [0.1 + 0.2, 1.0]


def test_resuming_drops_later_rows_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 30}\n{"st')
    with MetricsLog(path, step=20) as log:
        log.append({"step": 30, "again": 1})
    assert read_metrics(path) == [{"step": 10}, {"step": 20}, {"step": 30, "again": 1}]


def test_a_fresh_start_empties_the_log(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 10}\n')
    with MetricsLog(path):
        pass
    assert read_metrics(path) == []
