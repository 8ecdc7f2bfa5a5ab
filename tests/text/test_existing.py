from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from llamakit.errors import InputError
from llamakit.text.existing import joined_digits, take_vocabulary
from llamakit.text.vocabulary import Vocabulary

LLAMA_2: dict[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}


def other(folder: Path, sentences: list[str], **changes: Any) -> Path:
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=340,
        hard_vocab_limit=False,
        minloglevel=2,
        **{**LLAMA_2, **changes},
    )
    return folder / "tokenizer.model"


def test_taken_byte_for_byte(vocabulary: Vocabulary, tmp_path: Path) -> None:
    for source in (vocabulary.model_path, vocabulary.model_path.parent):
        taken = take_vocabulary(source, tmp_path)
        assert taken.model_path.read_bytes() == vocabulary.model_path.read_bytes()
        pieces = (tmp_path / "tokenizer.vocab").read_bytes()
        assert pieces == vocabulary.model_path.with_suffix(".vocab").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "unigram"}, "no byte-pair encoding"),
        ({"byte_fallback": False}, "are not the bytes"),
        ({"normalization_rule_name": "nmt_nfkc"}, "rewrites characters"),
        ({"remove_extra_whitespaces": True}, "drops repeated spaces"),
        ({"add_dummy_prefix": False}, "before a text"),
        ({"treat_whitespace_as_suffix": True}, "before a text"),
        ({"user_defined_symbols": ["<tool>"]}, "are not the bytes|user-defined"),
        ({"bos_id": 2, "eos_id": 1}, "have the ids"),
    ],
)
def test_refused(
    sentences: list[str], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = other(tmp_path, sentences, **changes)
    with pytest.raises(InputError, match=message):
        take_vocabulary(path, tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_joined_digits_are_counted(
    sentences: list[str], vocabulary: Vocabulary, tmp_path: Path
) -> None:
    assert joined_digits(vocabulary) == 0
    path = other(tmp_path, ["in 1984 and 1985 they paid 1984"] * 50, split_digits=False)
    assert joined_digits(take_vocabulary(path, tmp_path / "taken")) > 0


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.model"):
        take_vocabulary(tmp_path, tmp_path)
    (tmp_path / "text.model").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="no SentencePiece model"):
        take_vocabulary(tmp_path / "text.model", tmp_path)


def test_llama_2s_reproduces_its_vectors(real_data: Path, tmp_path: Path) -> None:
    taken = take_vocabulary(real_data / "tokenizer" / "tokenizer.model", tmp_path)
    assert (taken.size, joined_digits(taken)) == (32_000, 0)
    with gzip.open(real_data / "tokenizer" / "vectors.jsonl.gz", "rt", encoding="utf-8") as lines:
        for vector in map(json.loads, lines):
            assert taken.encode(vector["text"]) == vector["ids"]
            assert [taken.piece(i) for i in vector["ids"]] == vector["pieces"]
            assert taken.decode(vector["ids"]) == vector["decoded"]
