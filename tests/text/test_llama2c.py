from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from llamakit.errors import InputError
from llamakit.text.existing import take_vocabulary
from llamakit.text.llama2c import convert_tokenizer_bin
from llamakit.text.vocabulary import SPACE, Vocabulary


def written(vocabulary: Vocabulary) -> bytes:
    """The file that llama2.c's own program writes."""
    parts = []
    for index in range(vocabulary.size):
        text = vocabulary.piece(index).replace(SPACE, " ")
        if index in (vocabulary.bos, vocabulary.eos):
            text = f"\n{text}\n"
        parts.append((vocabulary.score(index), text.encode()))
    longest = max(len(text) for _, text in parts)
    return struct.pack("<i", longest) + b"".join(
        struct.pack("<fi", score, len(text)) + text for score, text in parts
    )


def test_pieces_scores_and_ids(vocabulary: Vocabulary, unseen: list[str], tmp_path: Path) -> None:
    (tmp_path / "tok.bin").write_bytes(written(vocabulary))
    made = take_vocabulary(tmp_path / "tok.bin", tmp_path / "made")
    assert made.size == vocabulary.size
    for index in range(made.size):
        assert made.piece(index) == vocabulary.piece(index)
        assert made.score(index) == vocabulary.score(index)
        assert made.is_learned(index) == vocabulary.is_learned(index)
    for text in unseen:
        assert made.encode(text) == vocabulary.encode(text)
        assert made.decode(made.encode(text)) == text
    assert made.has_bytes
    assert made.decode([1, *made.encode("a"), 2]) == "a"


def test_a_folder_that_holds_one(vocabulary: Vocabulary, tmp_path: Path) -> None:
    (tmp_path / "tok400.bin").write_bytes(written(vocabulary))
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert take_vocabulary(tmp_path, tmp_path / "made").size == vocabulary.size


def test_cut_anywhere(vocabulary: Vocabulary) -> None:
    whole = written(vocabulary)
    ends = {4}
    for index in range(vocabulary.size):
        place = max(ends)
        ends.add(place + 8 + struct.unpack_from("<i", whole, place + 4)[0])
        assert index < len(ends)
    draws = random.Random(1)
    for size in (0, 1, 3, 5, 11, *(draws.randrange(len(whole)) for _ in range(200))):
        if size in ends:
            continue  # a file with fewer pieces, whole as far as it tells
        with pytest.raises(InputError, match=r"no llama2\.c tokenizer"):
            convert_tokenizer_bin(whole[:size], "tok.bin")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xff\xff\x7f" + b"\0" * 20, "longest piece"),
        (b"\0\0\0\0" + b"\0" * 20, "longest piece"),
        (struct.pack("<i", 5) + struct.pack("<fi", 0, 2**31 - 1), "length of 2,147,483,647"),
        (struct.pack("<i", 5) + struct.pack("<fi", 0, -1), "length of -1"),
        (struct.pack("<i", 5) + struct.pack("<fi", float("nan"), 5) + b"<unk>", "piece 0"),
        (struct.pack("<i", 5) + struct.pack("<fi", 0, 5) + b"<pad>", "'<pad>', not '<unk>'"),
        (struct.pack("<i", 5) + struct.pack("<fi", 0, 1) + b"\xff", "not UTF-8"),
    ],
)
def test_nonsense(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        convert_tokenizer_bin(data, "tok.bin")
