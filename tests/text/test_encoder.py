from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llamakit.text import encoder
from llamakit.text.encoder import Encoder, can_be_cut
from llamakit.text.tokens import token_dtype
from llamakit.text.vocabulary import Vocabulary

HOSTILE = {
    "no spaces": "abcdefghij" * 20_000,
    "one letter": "a" * 200_000,
    "spaces": " " * 200_000,
    "line breaks": "\n" * 200_000,
    "digits": "0123456789" * 20_000,
    "tabs": "\t" * 200_000,
    "no script with spaces": "东京北" * 60_000,
    "words": "the river\n of Alder  runs " * 8_000,
}
ALPHABET = st.sampled_from(
    [*"ab1 \n\t\r.▁\x00", "the", "  ", "\n\n", " river", "é", "京", "🦙", "</s>"]
)
TEXTS = st.lists(ALPHABET, max_size=40).map("".join)


def ids(vocabulary: Vocabulary, texts: list[str]) -> list[list[int]]:
    packed = Encoder(vocabulary).encode(texts)
    return [np.frombuffer(each, token_dtype(vocabulary.size)).tolist() for each in packed]


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, max_size=5))
@example(["", " ", "\n", "▁", "a▁ b", " \n ", "a ▁\n▁"])
def test_ids_are_those_of_the_whole_text(vocabulary: Vocabulary, texts: list[str]) -> None:
    assert ids(vocabulary, texts) == [vocabulary.encode(t, bos=True, eos=True) for t in texts]


def test_batches_windows_and_the_dictionary_do_not_show(
    vocabulary: Vocabulary, unseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*unseen, "\n".join(unseen), " ▁ \n" * 200, "x" * 500]
    wanted = [vocabulary.encode(text, bos=True, eos=True) for text in texts]
    for name, value in (("BATCH_CHARACTERS", 50), ("DICTIONARY_BYTES", 2000)):
        monkeypatch.setattr(encoder, name, value)
        assert ids(vocabulary, texts) == wanted


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts(llama2: Vocabulary, kind: str) -> None:
    text = HOSTILE[kind]
    assert ids(llama2, [text]) == [llama2.encode(text, bos=True, eos=True)]


def test_real_texts(llama2: Vocabulary, real_data: Path) -> None:
    texts = []
    for path in sorted(real_data.glob("corpus/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"][:20_000] for line in islice(lines, 20)]
    assert len(texts) > 200
    assert ids(llama2, texts) == [llama2.encode(text, bos=True, eos=True) for text in texts]


def test_a_vocabulary_whose_pieces_hold_phrases_is_not_cut(tmp_path: Path) -> None:
    import sentencepiece

    prefix = tmp_path / "tokenizer"
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(["by the way he said by the way"] * 9),
        model_prefix=str(prefix),
        vocab_size=320,
        model_type="bpe",
        byte_fallback=True,
        split_by_whitespace=False,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    phrases = Vocabulary.load(tmp_path / "tokenizer.model")
    assert not can_be_cut(phrases)
    text = "by the way he said"
    assert ids(phrases, [text, ""]) == [phrases.encode(t, bos=True, eos=True) for t in (text, "")]
