from __future__ import annotations

import numpy as np
import pytest

from llamakit.text.compression import (
    MOST_IN_RECORD,
    SourceCount,
    count_sources,
    counts_of,
    merged,
    metrics_of,
    report,
)


def counted(sources: list[str], repeats: list[int]) -> dict[str, SourceCount]:
    numbers = np.arange(1, len(sources) + 1)
    return count_sources(sources, 30 * numbers, 10 * numbers, np.array(repeats))


def test_counts_by_source() -> None:
    found = counted(["web", "wiki", "web"], [1, 3, 0])
    assert found == {
        "web": SourceCount(documents=2, bytes=120, tokens=40, reads=1, training_tokens=10),
        "wiki": SourceCount(documents=1, bytes=60, tokens=20, reads=3, training_tokens=60),
    }
    assert found["web"].bytes_per_token == 3.0


def test_shards_are_added_and_the_most_read_come_first() -> None:
    total = merged([counted(["web"], [1]), {}, counted(["web", "wiki"], [1, 3])])
    assert list(total) == ["wiki", "web"]
    assert total["web"].tokens == 20
    assert counts_of(total) == {"training_tokens_wiki": 60, "training_tokens_web": 20}
    assert metrics_of(total)["bytes_per_token"] == pytest.approx(3.0)


def test_the_record_names_the_largest_only() -> None:
    names = [f"site{n}" for n in range(2 * MOST_IN_RECORD)]
    total = merged([counted(names, [1] * len(names))])
    assert len(counts_of(total)) == MOST_IN_RECORD
    assert len(metrics_of(total)) == MOST_IN_RECORD + 1
    assert "training_tokens_site0" not in counts_of(total)


def test_report_has_every_source() -> None:
    page = report(merged([counted(["web", "<wiki>"], [1, 3])]), 32_000)
    assert "&lt;wiki&gt;" in page
    assert "85.7" in page
    assert report({}, 300)
