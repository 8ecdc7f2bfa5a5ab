from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from llamakit.artifacts.frames import DIALOGUES, MESSAGES, read_all, read_as, write_rows
from llamakit.artifacts.mixture import DocumentShard, read_shard
from llamakit.errors import InputError

ROWS = [
    {"id": "a", "messages": [{"role": "user", "content": "Hello"}], "train_on": "all"},
    {"id": "b", "messages": [], "train_on": "all"},
]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    write_rows(tmp_path, ROWS, DIALOGUES)
    return tmp_path / "part-00000.parquet"


def test_a_table_of_its_schema_is_read_as_it_is(part: Path) -> None:
    assert read_as(DIALOGUES, part)["id"].to_list() == ["a", "b"]
    assert read_all(part.parent, DIALOGUES).equals(read_all(part.parent))


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (pl.lit(3).alias("messages"), "'messages' is Int32, List"),
        (pl.lit(None, dtype=MESSAGES).alias("messages"), "messages of 'messages' are null"),
        (
            pl.lit([{"role": "user", "content": None}], dtype=MESSAGES).alias("messages"),
            "messages of 'messages' are null",
        ),
        (pl.lit("yes").alias("safety"), "'safety' is String, Boolean is needed"),
    ],
)
def test_another_type_and_null_messages_are_named(part: Path, column: pl.Expr, says: str) -> None:
    pl.read_parquet(part).with_columns(column).write_parquet(part)
    with pytest.raises(InputError, match=says):
        read_as(DIALOGUES, part)


def test_a_missing_column_is_named(part: Path) -> None:
    pl.read_parquet(part).drop("messages").write_parquet(part)
    with pytest.raises(InputError, match="messages"):
        read_as(DIALOGUES, part)


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("text", ["a", None], "the column text holds null"),
        ("text", [1, 2], "the column text holds Int64"),
        ("id", [None, "b"], "the column id holds null"),
    ],
)
def test_documents_without_a_text_are_told(
    tmp_path: Path, column: str, values: list[object], said: str
) -> None:
    path = tmp_path / "part-00000.parquet"
    rows = {"id": ["a", "b"], "text": ["x", "y"], "source": ["s", "s"], column: values}
    pl.DataFrame(rows).write_parquet(path)
    with pytest.raises(InputError, match=said):
        read_shard(DocumentShard(path))
