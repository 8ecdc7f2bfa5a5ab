"""The studies of PPO's details run, at a size at which nothing is measured."""

from __future__ import annotations

import pytest

from tests.bench import ppo_detail_errors, ppo_details


def test_details_of_learning(capsys: pytest.CaptureFixture[str]) -> None:
    ppo_details.main(["--seeds", "1", "--iterations", "3", "--only", "3", "10", "12", "15", "13"])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("| # | without it | score |")
    assert len(rows) == 2 + sum(
        arm.detail in ("", "3", "10", "12", "15", "13") for arm in ppo_details.ARMS
    )
    assert all(row.count("±") == 4 for row in rows[2:])


def test_details_of_arithmetic(capsys: pytest.CaptureFixture[str]) -> None:
    ppo_detail_errors.main()
    found = {row.split(" | ")[0].strip("| ") for row in capsys.readouterr().out.splitlines()[2:]}
    assert {"1", "2", "5", "6", "8", "9", "10", "11", "16", "18", "19", "20"} <= found
