from __future__ import annotations

import gzip
import json
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llamakit.text import encoder
from llamakit.text.encoder import Encoder, Table, characters_together
from llamakit.text.segment_kernel import PAIRS, pair
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
    [*"ab1 \n\t\r.▁\x00", "the", "  ", "\n\n", " river", "é", "京", "東京", "🦙", "</s>", "x" * 70]
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


@pytest.mark.parametrize(
    "limits",
    [
        {"BATCH_CHARACTERS": 50},
        {"WINDOW": 3},
        {"WORDS": 8, "WINDOW": 20},
        {"KEY_BYTES": 100},
        {"_TEXT_BYTES": 1},
    ],
)
def test_batches_windows_and_the_table_do_not_show(
    vocabulary: Vocabulary,
    unseen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
) -> None:
    texts = [*unseen, "\n".join(unseen), " ▁ \n" * 200, "x" * 500, "", "\n"]
    wanted = [vocabulary.encode(text, bos=True, eos=True) for text in texts]
    for name, value in limits.items():
        monkeypatch.setattr(encoder, name, value)
    assert ids(vocabulary, texts) == wanted


def test_characters_that_share_a_place_with_others_change_no_id(
    vocabulary: Vocabulary, unseen: list[str]
) -> None:
    """As if every pair stood in a piece; only line breaks are still parted."""
    table = Table(vocabulary, np.ones(PAIRS, np.uint8))
    found = [np.frombuffer(each, "<u2").tolist() for each in table.encode(unseen)]
    assert found == [vocabulary.encode(text, bos=True, eos=True) for text in unseen]


def test_all_neighbours_of_a_piece_stay_together(vocabulary: Vocabulary) -> None:
    together = characters_together(vocabulary)
    assert together is not None
    pieces = [vocabulary.piece(i) for i in range(vocabulary.size) if vocabulary.is_learned(i)]
    for piece in pieces:
        points = [np.array([ord(c)], np.uint64) for c in piece.replace("▁", " ")]
        assert all(together[pair(a, b)][0] for a, b in pairwise(points))
    assert together.sum() < 0.2 * PAIRS


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


def trained(folder: Path, **settings: object) -> Vocabulary:
    sentencepiece.SentencePieceTrainer.Train(
        **{
            "sentence_iterator": iter(["by the way he said by the way"] * 9),
            "model_prefix": str(folder / "tokenizer"),
            "vocab_size": 320,
            "model_type": "bpe",
            "byte_fallback": True,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            "hard_vocab_limit": False,
            "minloglevel": 2,
            **settings,
        }
    )
    return Vocabulary.load(folder / "tokenizer.model")


@pytest.mark.parametrize(
    ("settings", "is_cut"),
    [
        ({"split_by_whitespace": False}, True),
        ({"user_defined_symbols": ["way he", "xy z"]}, False),
        ({"user_defined_symbols": ["a\nb"]}, False),
        ({"byte_fallback": False, "vocab_size": 40}, False),
    ],
)
def test_vocabularies_whose_pieces_hold_more_than_words(
    tmp_path: Path, settings: dict[str, object], is_cut: bool
) -> None:
    found = trained(tmp_path, **settings)
    assert (characters_together(found) is not None) == is_cut
    texts = ["by the way he said", "xy z way hem\n a\nb  by", "", "Ω the\n\n way"]
    assert ids(found, texts) == [found.encode(text, bos=True, eos=True) for text in texts]
