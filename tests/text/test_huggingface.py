from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llamakit.text.dialogue import render, render_prompt
from llamakit.text.huggingface import merges, write_tokenizer_files
from llamakit.text.vocabulary import Vocabulary

Messages = list[dict[str, str]]

TEXTS = [
    "", " ", "   three", "trailing   ", "a\n\n  b\tc", "<0x0A> <unk", "▁▁x", "-----=====....",
    *(" " * n + "x" for n in range(1, 40)), "🦙👩‍👩‍👧 e\u0301 \u200b", "\x00\x01",
    "aaaaabaaaa bbbb",
]  # fmt: skip


def opened(folder: Path, vocabulary: Vocabulary) -> Any:
    from transformers import AutoTokenizer

    # A model's folder has this too, and transformers picks the class by it.
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    write_tokenizer_files(folder, vocabulary, max_seq_len=128, chat=True)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def small(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return opened(tmp_path_factory.mktemp("small"), vocabulary)


@pytest.fixture(scope="module")
def large(llama2: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return opened(tmp_path_factory.mktemp("large"), llama2)


def assert_equal(tokenizer: Any, vocabulary: Vocabulary, texts: list[str]) -> None:
    found = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for text, ids in zip(texts, found, strict=True):
        assert ids == vocabulary.encode(text), repr(text[:200])


def test_ids_equal_sentencepiece(small: Any, vocabulary: Vocabulary, unseen: list[str]) -> None:
    assert_equal(small, vocabulary, [*TEXTS, *unseen])


def test_ids_equal_sentencepiece_on_llama_2(
    large: Any, llama2: Vocabulary, unseen: list[str]
) -> None:
    assert_equal(large, llama2, [*TEXTS, *unseen])


def test_bos_and_decoding(small: Any, vocabulary: Vocabulary) -> None:
    text = " the river  of 1984\n東京 ж"
    assert small(text)["input_ids"] == vocabulary.encode(text, bos=True)
    assert small.decode(vocabulary.encode(text)) == vocabulary.decode(vocabulary.encode(text))
    assert (small.bos_token_id, small.eos_token_id, small.pad_token_id) == (1, 2, 0)


def test_chat_template(messages: Messages, small: Any, vocabulary: Vocabulary) -> None:
    assert templated(small, messages) == render(messages, vocabulary).ids
    assert templated(small, messages[:-1]) == render_prompt(messages[:-1], vocabulary)


def templated(tokenizer: Any, messages: Messages) -> list[int]:
    ids: list[int] = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    return ids


def test_template_refuses_wrong_roles(small: Any) -> None:
    with pytest.raises(Exception, match="alternate"):
        small.apply_chat_template([{"role": "assistant", "content": "x"}], tokenize=False)


def test_base_models_have_no_template(vocabulary: Vocabulary, tmp_path: Path) -> None:
    write_tokenizer_files(tmp_path, vocabulary, max_seq_len=128, chat=False)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert "chat_template" not in config


def test_merges_are_in_the_order_of_scores(llama2: Vocabulary) -> None:
    ids = {llama2.piece(index): index for index in range(llama2.size)}
    scores = [llama2.score(ids[left + right]) for left, right in merges(llama2)]
    assert scores == sorted(scores, reverse=True)


def real_texts(folder: Path, per_file: int) -> Iterator[str]:
    for path in sorted(folder.glob("corpus/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(per_file), lines, strict=False):
                yield json.loads(line)["text"][:3000]


def test_real_texts(large: Any, llama2: Vocabulary, real_data: Path) -> None:
    """`<s>` and the like inside a text are special to Hugging Face and characters to Llama 2."""
    texts = [
        text
        for text in real_texts(real_data, 60)
        if not any(special in text for special in ("<s>", "</s>", "<unk>"))
    ]
    assert len(texts) > 500
    assert_equal(large, llama2, texts)


def test_real_dialogues(large: Any, llama2: Vocabulary, real_data: Path) -> None:
    draws = random.Random(3)
    texts = [text[:400] for text in real_texts(real_data, 12)]
    for _ in range(100):
        turns = draws.sample(texts, k=draws.choice([2, 4, 6]))
        messages = [
            {"role": ("user", "assistant")[index % 2], "content": text}
            for index, text in enumerate(turns)
        ]
        if not any(tag in text for text in turns for tag in ("<s>", "</s>", "<unk>", "[INST]")):
            assert templated(large, messages) == render(messages, llama2).ids
            assert templated(large, messages[:-1]) == render_prompt(messages[:-1], llama2)
