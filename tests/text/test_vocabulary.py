from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path

import pytest

from llamakit.errors import InputError, UsageError
from llamakit.text.vocabulary import (
    BYTE_PIECES,
    Vocabulary,
    train_vocabulary,
)
from llamakit.text.words import MAX_SENTENCE_BYTES, split_sentences


def varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def fields(data: bytes) -> dict[int, list[int | bytes]]:
    """A protobuf message's fields by number, without its schema."""
    found: dict[int, list[int | bytes]] = {}
    place = 0
    while place < len(data):
        key, place = varint(data, place)
        if key & 7 == 0:
            value, place = varint(data, place)
        elif key & 7 == 2:
            length, place = varint(data, place)
            value, place = data[place : place + length], place + length
        else:
            assert key & 7 == 5
            value, place = data[place : place + 4], place + 4
        found.setdefault(key >> 3, []).append(value)
    return found


def test_special_ids_bytes_and_size(vocabulary: Vocabulary) -> None:
    assert vocabulary.size == len(vocabulary) == 400
    assert [vocabulary.piece(i) for i in range(4)] == ["<unk>", "<s>", "</s>", "<0x00>"]
    assert vocabulary.piece(2 + BYTE_PIECES) == "<0xFF>"
    assert vocabulary.pad != vocabulary.eos
    assert [vocabulary.is_learned(i) for i in (0, 1, 2, 3, 258, 259)] == [False] * 5 + [True]


def test_digits_are_split_and_unknown_characters_become_bytes(vocabulary: Vocabulary) -> None:
    assert [vocabulary.piece(i) for i in vocabulary.encode("1984")] == ["▁", "1", "9", "8", "4"]
    assert [vocabulary.piece(i) for i in vocabulary.encode("ж")] == ["▁", "<0xD0>", "<0xB6>"]


@pytest.mark.parametrize(
    "text", ["", " ", "  two  spaces ", "tab\tnew\nline\n\n", "naïve 東京 🦙", "e\u0301", "</s><s>"]
)
def test_round_trip(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode(vocabulary.encode(text, bos=True, eos=True)) == text


def test_control_symbols_in_a_text_are_characters(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("a</s>b")
    assert vocabulary.eos not in ids
    assert vocabulary.encode("a", bos=True, eos=True) == [1, *vocabulary.encode("a"), 2]
    assert vocabulary.encode_batch(["a", "b c"]) == [vocabulary.encode(t) for t in ("a", "b c")]


def test_settings_are_llama_2s(vocabulary: Vocabulary) -> None:
    model = fields(vocabulary.model_path.read_bytes())
    trainer, normalizer = fields(model[2][0]), fields(model[3][0])  # type: ignore[arg-type]
    numbers = {
        "model_type": (3, 2),  # BPE
        "vocab_size": (4, 400),
        "input_sentence_size": (11, 200_000_000),
        "split_digits": (25, 1),
        "allow_whitespace_only_pieces": (26, 1),
        "byte_fallback": (35, 1),
    }
    for name, (number, value) in numbers.items():
        assert trainer[number] == [value], name
    # Left at SentencePiece's defaults, which are Llama 2's: lengths 4192 and 16, splits by script,
    # number and space, ids 0, 1, 2, -1.
    for number in (18, 20, 21, 22, 23, 24, 40, 41, 42):
        assert number not in trainer or trainer[number][0] in (1, 4192, 16, 0, 2)
    assert normalizer[1] == [b"identity"]
    assert normalizer[4] == [0]  # remove_extra_whitespaces
    assert normalizer.get(3, [1]) == [1]  # add_dummy_prefix


def test_no_path_is_in_the_model(vocabulary: Vocabulary) -> None:
    trainer = fields(fields(vocabulary.model_path.read_bytes())[2][0])  # type: ignore[arg-type]
    assert 1 not in trainer  # input
    assert trainer.get(2, [b""]) == [b""]  # model_prefix


def test_same_sentences_same_bytes(
    vocabulary: Vocabulary, sentences: list[str], tmp_path: Path
) -> None:
    again = train_vocabulary(sentences, tmp_path / "elsewhere", 400)
    for name in ("tokenizer.model", "tokenizer.vocab"):
        first = vocabulary.model_path.with_name(name).read_bytes()
        assert again.model_path.with_name(name).read_bytes() == first


def test_piece_list(vocabulary: Vocabulary) -> None:
    text = vocabulary.model_path.with_name("tokenizer.vocab").read_text(encoding="utf-8")
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) == 400
    assert lines[1] == "<s>\t0"


def test_too_many_pieces_for_the_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"only \d+ distinct pieces\. Lower vocab_size to \d+"):
        train_vocabulary(["a few words only"], tmp_path, 5000)


def test_too_few_pieces_for_the_characters(sentences: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Raise vocab_size above"):
        train_vocabulary(sentences, tmp_path, 261)


def test_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text"):
        train_vocabulary([], tmp_path, 300)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no tokenizer\.model"):
        Vocabulary.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(InputError, match="no SentencePiece model"):
        Vocabulary.load(tmp_path)


def test_pickled_as_its_path(vocabulary: Vocabulary) -> None:
    assert pickle.loads(pickle.dumps(vocabulary)).encode("Mira") == vocabulary.encode("Mira")  # noqa: S301


def test_long_lines_are_cut_at_spaces_and_nothing_is_lost() -> None:
    text = "short\n\n" + "Straße 東京 " * 2000 + "\n" + "x" * 9000
    pieces = list(split_sentences(text))
    assert "".join(pieces) == text.replace("\n", "")
    assert max(len(piece.encode()) for piece in pieces) <= MAX_SENTENCE_BYTES
    assert all(piece.startswith(" ") for piece in pieces[2:10])


def test_real_vocabulary_encodes_the_known_vectors(llama2: Vocabulary, real_data: Path) -> None:
    with gzip.open(real_data / "tokenizer" / "vectors.jsonl.gz", "rt", encoding="utf-8") as lines:
        for vector in map(json.loads, lines):
            assert llama2.encode(vector["text"]) == vector["ids"]
            assert llama2.decode(vector["ids"]) == vector["decoded"]
