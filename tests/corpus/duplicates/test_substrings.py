from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from llamakit.artifacts.frames import DOCUMENTS, part_name, read_all, read_parts, write_table
from llamakit.corpus.duplicates import repeats, rolling
from llamakit.corpus.duplicates.substrings import Substrings, without
from llamakit.engine.shards import Engine
from llamakit.events import SILENT

ALPHABETS = ["ab", "abcdefgh \n", "aé漢😀 ", "x"]


def cut(
    folder: Path, texts: Sequence[str], length: int, per_part: int = 3, workers: int = 1
) -> tuple[dict[str, str], list[tuple], dict[str, int]]:
    for index, start in enumerate(range(0, len(texts), per_part)):
        rows = [
            {"id": f"ð{start + n}", "text": text, "source": "s", "metadata": "{}"}
            for n, text in enumerate(texts[start : start + per_part])
        ]
        write_table(folder / "kept" / part_name(index), pl.DataFrame(rows), DOCUMENTS)
    task = Substrings(length, folder / "work", Engine(workers), SILENT)
    counts = task.cut(folder / "kept", folder / "out")
    data = read_all(folder / "out/data")
    spans = read_all(folder / "out/spans").rows()
    return dict(zip(data["id"].to_list(), data["text"].to_list(), strict=True)), spans, counts


def brute(texts: Sequence[str], length: int) -> list[list[tuple[int, int]]]:
    """The spans of each text, by looking at every pair of places."""
    raw = [text.encode() for text in texts]
    found = []
    for number, text in enumerate(raw):
        covered = [False] * len(text)
        for start in range(len(text) - length + 1):
            window = text[start : start + length]
            if any(window in other for other in raw[:number]) or window in text[:start]:
                covered[start : start + length] = [True] * length
        spans, place = [], 0
        while place < len(text):
            stop = place
            while stop < len(text) and covered[stop]:
                stop += 1
            low, high = place, stop
            while low < high and text[low] & 0xC0 == 0x80:
                low += 1
            while low < high < len(text) and text[high] & 0xC0 == 0x80:
                high -= 1
            if low < high:
                spans.append((low, high))
            place = stop + 1
        found.append(spans)
    return found


def planted(generator: random.Random, alphabet: str) -> list[str]:
    def some(size: int) -> str:
        return "".join(generator.choices(alphabet, k=generator.randrange(size)))

    passages = [some(40) for _ in range(4)]
    texts = []
    for _ in range(generator.randrange(1, 9)):
        pieces = [some(30) for _ in range(generator.randrange(4))]
        pieces += generator.choices(passages, k=generator.randrange(4))
        generator.shuffle(pieces)
        texts.append("".join(pieces))
    return texts


@pytest.mark.parametrize("seed", range(40))
def test_every_repeat_goes_and_nothing_else(seed: int, tmp_path: Path) -> None:
    generator = random.Random(seed)
    texts = planted(generator, ALPHABETS[seed % len(ALPHABETS)])
    length = generator.randrange(2, 24)
    wanted = brute(texts, length)
    left, spans, counts = cut(tmp_path, texts, length, per_part=generator.randrange(1, 5))
    assert [(i, start, start + len(text.encode())) for i, start, text, _, _ in spans] == [
        (f"ð{n}", *span) for n, own in enumerate(wanted) for span in own
    ]
    whole = {
        n: without(own, texts[n].encode()) if own else texts[n] for n, own in enumerate(wanted)
    }
    emptied = {n for n, text in whole.items() if wanted[n] and not text}
    assert left == {f"ð{n}": text for n, text in whole.items() if n not in emptied}
    assert counts == {
        "cut_substrings": sum(map(len, wanted)),
        "cut_substrings_bytes": sum(
            len(text.encode()) - len(whole[n].encode()) for n, text in enumerate(texts)
        ),
        "cut_substrings_documents": sum(map(bool, wanted)),
        "rejected_only_repeated_substrings": len(emptied),
    }
    for _, _, text, first, start in spans:
        home = texts[int(first[1:])].encode()[start:]
        assert home[:1] == text.encode()[:1]


def test_the_first_occurrence_stays_whole_and_is_named(tmp_path: Path) -> None:
    terms = "Permission is hereby granted, free of charge, to any person."
    texts = [f"One. {terms} Two.", "Nothing here.", f"Three {terms}", terms, f"{terms} {terms}"]
    left, spans, counts = cut(tmp_path, texts, 40)
    assert left == {"ð0": texts[0], "ð1": texts[1], "ð2": "Three"}
    assert spans[0] == ("ð2", 5, f" {terms}", "ð0", 4)
    gone = read_all(tmp_path / "out/rejected")
    assert gone["text"].to_list() == texts[3:]
    assert set(gone["reason"]) == {"only_repeated_substrings"}
    assert counts["rejected_only_repeated_substrings"] == 2


def test_a_text_that_repeats_itself_keeps_what_it_repeats(tmp_path: Path) -> None:
    left, _, _ = cut(tmp_path, ["a" * 1000, "ab" * 99, "end"], 20)
    assert left == {"ð0": "a" * 20, "ð1": "ab" * 10, "ð2": "end"}


def test_characters_stay_whole(tmp_path: Path) -> None:
    # 漢 and 演 end in different bytes, 漢 and 沢 begin with one byte in common.
    left, spans, _ = cut(tmp_path, ["漢abcdefgh漢", "沢abcdefgh沢", "演abcdefgh漪"], 8)
    assert left == {"ð0": "漢abcdefgh漢", "ð1": "沢 沢", "ð2": "演 漪"}
    assert {text for _, _, text, _, _ in spans} == {"abcdefgh"}


def test_parts_workers_stretches_and_ranges_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(5)
    texts = [text for _ in range(8) for text in planted(generator, "abcdefgh \n")]
    one = cut(tmp_path / "1", texts, 12, per_part=len(texts))
    assert one[2]["cut_substrings"] > 10
    monkeypatch.setattr(repeats, "_KEYS_AT_ONCE", 60)
    monkeypatch.setattr(repeats, "_STRETCH_BYTES", 300)
    assert cut(tmp_path / "2", texts, 12, per_part=9) == one
    assert cut(tmp_path / "3", texts, 12, per_part=5, workers=2) == one
    again = Substrings(12, tmp_path / "3/work", Engine(1), SILENT)
    assert again.cut(tmp_path / "3/kept", tmp_path / "3/out") == one[2]


def test_equal_hashes_take_nothing_away() -> None:
    text = np.frombuffer(b"abcdefghabcdXfgh", np.uint8)
    places, firsts = np.array([8, 9, 12]), np.array([0, 1, 4])
    same = np.zeros(3, np.uint8)
    rolling.confirm(text, 4, places, firsts, same)
    assert same.tolist() == [1, 0, 0]


def test_hashes_that_are_all_equal_change_no_more_than_what_is_left_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One letter for all bytes: every window collides with the first of all.
    monkeypatch.setattr(repeats, "_LETTERS", np.ones(256, np.uint64))
    texts = ["abcdefghijkl", "mnopqrstuvwx", "abcdefghijkl."]
    left, spans, _ = cut(tmp_path, texts, 10)
    assert left["ð1"] == texts[1]
    assert all(text in texts[0] for _, _, text, _, _ in spans)


def test_seams() -> None:
    assert without([(3, 6)], b"onecuttwo") == "one two"
    assert without([(4, 7)], b"one cut two") == "one two"
    assert without([(4, 7)], b"one\ncut two") == "one\ntwo"
    assert without([(3, 7)], b"one.\n\n.two") == "one\n\ntwo"
    assert without([(0, 3), (6, 9)], b"cuttwocut") == "two"
    assert without([(0, 2), (3, 5)], b"ab cd") == ""


def test_nothing_to_cut(tmp_path: Path) -> None:
    texts = ["", "short", "something longer than a window"]
    left, spans, counts = cut(tmp_path, texts, 20)
    assert list(left.values()) == texts
    assert not spans
    assert not any(counts.values())
    assert [len(f) for f in read_parts(tmp_path / "out/data")] == [3]
