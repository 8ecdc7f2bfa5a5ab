from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llamakit.errors import InputError
from llamakit.text.existing import take_vocabulary
from llamakit.text.huggingface import tokenizer_json
from llamakit.text.tokenizer_json import convert_tokenizer_json
from llamakit.text.vocabulary import Vocabulary


def converted(values: dict[str, Any], folder: Path) -> Vocabulary:
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    return take_vocabulary(folder, folder / "made")


def hostile(count: int) -> list[str]:
    draws = random.Random(3)
    parts = [" ", "  ", "   ", "\n", "\t", "a", "the", " the", "ü", "東", "🦙", "1984", "<s>", "▁"]
    return ["".join(draws.choices(parts, k=draws.randrange(1, 20))) for _ in range(count)]


def test_ids_of_the_model_it_was_made_from(
    vocabulary: Vocabulary, unseen: list[str], tmp_path: Path
) -> None:
    made = converted(tokenizer_json(vocabulary), tmp_path)
    assert made.has_bytes
    for text in [*unseen, *hostile(500)]:
        assert made.encode(text) == vocabulary.encode(text)


def test_llama_2s(llama2: Vocabulary, real_data: Path, tmp_path: Path) -> None:
    """Runs of blanks, of equal score there, included; the 20 vectors are the authors' own."""
    made = converted(tokenizer_json(llama2), tmp_path)
    packed = (real_data / "tokenizer" / "vectors.jsonl.gz").read_bytes()
    vectors = gzip.decompress(packed).splitlines()
    for line in vectors:
        row = json.loads(line)
        assert made.encode(row["text"]) == llama2.encode(row["text"])
    for text in hostile(2_000):
        assert made.encode(text) == llama2.encode(text)


@pytest.mark.parametrize("newer", [False, True])
def test_encodes_as_transformers_does(
    vocabulary: Vocabulary, unseen: list[str], tmp_path: Path, newer: bool
) -> None:
    """In both forms that Llama's files have had: spaces in a normalizer, or before the pieces."""
    transformers = pytest.importorskip("transformers")
    values = tokenizer_json(vocabulary)
    merges = [" ".join(merge) for merge in values["model"]["merges"]]
    values["model"]["merges"] = merges if not newer else values["model"]["merges"]
    if newer:
        values["normalizer"] = None
        values["pre_tokenizer"] = {
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False,
        }  # fmt: skip
    made = converted(values, tmp_path)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    for text in unseen[:200]:
        assert [1, *made.encode(text)] == theirs(text)["input_ids"]


def test_tokens_added_for_padding(vocabulary: Vocabulary, tmp_path: Path) -> None:
    values = tokenizer_json(vocabulary)
    values["added_tokens"].append({"id": vocabulary.size, "content": "<pad>", "special": True})
    made = converted(values, tmp_path)
    assert made.piece(vocabulary.size) == "<pad>"
    assert not made.is_learned(vocabulary.size)
    assert made.encode("a <pad>") == vocabulary.encode("a <pad>")


def model(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda values: values["model"].update(changes)


def swapped(values: dict[str, Any]) -> None:
    """One of two merges of a piece put last, behind those of others: an order of no scores."""
    merges = values["model"]["merges"]
    results = ["".join(merge) for merge in merges]
    merges.append(merges.pop(next(i for i, each in enumerate(results) if results.count(each) > 1)))


OTHERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unigram": (model(type="Unigram"), "Unigram, not byte-pair"),
    "byte-level": (model(byte_fallback=False), "byte-level"),
    "word parts": (model(continuing_subword_prefix="##"), "parts of words"),
    "whole words": (model(ignore_merges=True), "obey its merges"),
    "split": (lambda v: v.update(pre_tokenizer={"type": "ByteLevel"}), "changes or cuts it"),
    "lower case": (lambda v: v.update(normalizer={"type": "Lowercase"}), "changes or cuts it"),
    "fewer merges": (lambda v: v["model"]["merges"].pop(), "merges other pairs"),
    "other order": (swapped, "no order that scores could give"),
    "a hole": (lambda v: v["model"]["vocab"].pop("e"), "numbered from 0"),
    "words": (
        lambda v: v["added_tokens"].append({"id": 400, "content": "<|user|>"}),
        "words that were added",
    ),
    "ids": (
        lambda v: v["model"]["vocab"].update({"<s>": 2, "</s>": 1}) or v["added_tokens"].clear(),
        "first ids",
    ),
    "no model": (lambda v: v.pop("model"), "no tokenizer of Hugging Face's"),
    "a list": (model(vocab=[]), "no tokenizer of Hugging Face's"),
    "three": (model(merges=[["a", "b", "c"]]), "ValueError|too many values"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_of_another_kind(vocabulary: Vocabulary, tmp_path: Path, name: str) -> None:
    values = json.loads(json.dumps(tokenizer_json(vocabulary)))
    changes, says = OTHERS[name]
    changes(values)
    with pytest.raises(InputError, match=says):
        converted(values, tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", [b"{", b"[1]", b"null", b"\xff", b"[" * 100_000])
def test_no_json(text: bytes) -> None:
    with pytest.raises(InputError, match=r"not valid JSON|no tokenizer of Hugging Face's"):
        convert_tokenizer_json(text, "tokenizer.json")
