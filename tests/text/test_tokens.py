from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from llamakit.artifacts.files import atomic_file
from llamakit.errors import InputError
from llamakit.text.tokens import (
    TokenPart,
    TokenStore,
    is_held_out,
    join_parts,
    token_dtype,
    write_part,
)

SHARDS = [
    ([[1, 5, 2], [1, 6, 7, 2]], [2, 1], ["web", "wiki"]),
    ([], [], []),
    ([[1, 2], [1, 399, 2], [1, 8, 2]], [0, 3, 1], ["wiki", "bücher", "web"]),
]

NAMES = [["a.jsonl:1", "zoë"], [], ["", "x" * 300, "b\n2"]]


def build(folder: Path, vocab_size: int = 400) -> dict[str, int]:
    def writing(name: str) -> AbstractContextManager[Path]:
        return atomic_file(folder / name)

    parts = []
    for index, (documents, repeats, sources) in enumerate(SHARDS):
        part = TokenPart(*(folder / "work" / f"{index}.{name}" for name in "tlrsnib"))
        packed = [np.array(ids, token_dtype(vocab_size)).tobytes() for ids in documents]
        lengths = write_part(part, packed, repeats, sources, NAMES[index], vocab_size)
        assert lengths.tolist() == list(map(len, documents))
        parts.append(part)
    return join_parts(parts, vocab_size, writing)


def test_documents_order_and_validation(tmp_path: Path) -> None:
    counts = build(tmp_path)
    store = TokenStore.open(tmp_path)
    documents = [ids for shard, _, _ in SHARDS for ids in shard]
    assert [store.document(i).tolist() for i in range(store.n_documents)] == documents
    assert store.order.tolist() == [0, 0, 1, 3, 3, 3, 4]
    assert store.validation.tolist() == [2]
    assert store.n_tokens == 15
    assert counts == {
        "documents": 5,
        "tokens": 15,
        "order": 7,
        "training_tokens": 2 * 3 + 4 + 3 * 3 + 3,
        "validation": 1,
        "validation_tokens": 2,
    }


def test_the_id_of_each_document(tmp_path: Path) -> None:
    build(tmp_path)
    store = TokenStore.open(tmp_path)
    names = [store.name(i) for i in range(store.n_documents)]
    assert names == ["a.jsonl:1", "zoë", "document 2", "x" * 300, "b\n2"]


def test_a_store_of_before_ids_were_kept(tmp_path: Path) -> None:
    build(tmp_path)
    index = json.loads((tmp_path / "tokens.json").read_text())
    del index["name_bytes"]
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    for name in ("names.bin", "name_ends.bin"):
        (tmp_path / name).unlink()
    assert TokenStore.open(tmp_path).name(3) == "document 3"


def test_the_source_of_each_document(tmp_path: Path) -> None:
    build(tmp_path)
    store = TokenStore.open(tmp_path)
    assert store.sources == ("web", "wiki", "bücher")
    assert [store.sources[i] for i in store.source_of] == ["web", "wiki", "wiki", "bücher", "web"]


def test_a_store_of_before_sources_were_kept(tmp_path: Path) -> None:
    build(tmp_path)
    index = json.loads((tmp_path / "tokens.json").read_text("utf-8"))
    del index["sources"]
    (tmp_path / "tokens.json").write_text(json.dumps(index))
    (tmp_path / "sources.bin").unlink()
    store = TokenStore.open(tmp_path)
    assert store.sources == ("",)
    assert store.source_of.tolist() == [0] * 5


@pytest.mark.parametrize(("size", "dtype"), [(32_000, "<u2"), (65_536, "<u2"), (65_537, "<u4")])
def test_smallest_dtype(tmp_path: Path, size: int, dtype: str) -> None:
    build(tmp_path, size)
    assert token_dtype(size) == np.dtype(dtype) == TokenStore.open(tmp_path).tokens.dtype


def test_mapped_not_loaded(tmp_path: Path) -> None:
    build(tmp_path)
    assert isinstance(TokenStore.open(tmp_path).tokens, np.memmap)


def test_truncated_file(tmp_path: Path) -> None:
    build(tmp_path)
    path = tmp_path / "tokens.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"28 bytes where tokens\.json says 30"):
        TokenStore.open(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokens\.json"):
        TokenStore.open(tmp_path)
    build(tmp_path)
    (tmp_path / "order.bin").unlink()
    with pytest.raises(InputError, match="missing"):
        TokenStore.open(tmp_path)
    (tmp_path / "tokens.json").write_bytes(b'{"dtype\xff": 1}')
    with pytest.raises(InputError, match="not valid JSON"):
        TokenStore.open(tmp_path)


def test_empty_store(tmp_path: Path) -> None:
    join_parts([], 400, lambda name: atomic_file(tmp_path / name))
    store = TokenStore.open(tmp_path)
    assert (store.n_tokens, store.n_documents, len(store.order)) == (0, 0, 0)


def test_held_out_share_is_met_and_follows_the_text_alone() -> None:
    texts = [f"document {i}" for i in range(4000)]
    held_out = [is_held_out(text, 0.1, 0) for text in texts]
    assert 0.08 < sum(held_out) / len(texts) < 0.12
    assert held_out == [is_held_out(text, 0.1, 0) for text in texts]
    assert held_out != [is_held_out(text, 0.1, 1) for text in texts]
    assert not any(is_held_out(text, 0.0, 0) for text in texts)
