"""The metrics log survives crashes and resumes."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

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


def test_rows_wait_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"

    class Full:
        """A file that takes five bytes more, and then none."""

        def __init__(self, file: Any) -> None:
            self.file, self.room = file, 5

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            written: int = self.file.write(data[: self.room])
            self.room = 0
            return written

        def close(self) -> None:
            self.file.close()

    with MetricsLog(path) as log:
        whole = log._file
        monkeypatch.setattr(log, "_file", Full(whole))
        log.append({"step": 1})
        log.append({"step": 2})
        assert read_metrics(path) == []
        monkeypatch.setattr(log, "_file", whole)
        log.append({"step": 3})
    assert [row["step"] for row in read_metrics(path)] == [1, 2, 3]


def test_a_log_that_stays_unwritten_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    def rows() -> None:
        with MetricsLog(tmp_path / "metrics.jsonl") as log:
            log._file.close()
            monkeypatch.setattr(log, "_file", Full())
            log.append({"step": 1})

    with pytest.raises(OSError, match="No space left"):
        rows()
