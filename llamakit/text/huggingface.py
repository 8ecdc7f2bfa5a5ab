"""The tokenizer files of a Hugging Face folder, made from a SentencePiece vocabulary.

`transformers` would build its tokenizer from a bare `tokenizer.model` with merges in the order of
ids, and encode differently. The `tokenizer.json` written here has the merges in the order of their
scores and the same dummy space, so that ids equal SentencePiece's. One difference remains, and is
Hugging Face's own: there `<s>`, `</s>` and `<unk>` inside a text become the special ids.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from llamakit.artifacts.files import atomic_file, write_json
from llamakit.text.dialogue import chat_template
from llamakit.text.vocabulary import MODEL_FILE, SPACE, Vocabulary


def write_tokenizer_files(
    folder: Path, vocabulary: Vocabulary, *, max_seq_len: int | None, chat: bool
) -> None:
    """Write `tokenizer.model`, `tokenizer.json` and the two files that configure them.

    Args:
        max_seq_len: context of the model beside them, in tokens; None where there is no model.
        chat: whether the model knows the chat format; only then a template is written.
    """
    with atomic_file(folder / MODEL_FILE) as path:
        shutil.copyfile(vocabulary.model_path, path)
    with atomic_file(folder / "tokenizer.json") as path:
        path.write_text(json.dumps(tokenizer_json(vocabulary), ensure_ascii=False) + "\n", "utf-8")
    special = {
        "bos_token": vocabulary.piece(vocabulary.bos),
        "eos_token": vocabulary.piece(vocabulary.eos),
        "unk_token": vocabulary.piece(vocabulary.unk),
        "pad_token": vocabulary.piece(vocabulary.pad),
    }
    config: dict[str, Any] = {
        # The class that takes `tokenizer.json` as it is; `LlamaTokenizer` would rebuild it.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **({} if max_seq_len is None else {"model_max_length": max_seq_len}),
        "padding_side": "left",
    }
    if chat:
        config["chat_template"] = chat_template()
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", special)


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The vocabulary as the `tokenizers` library describes one."""
    pieces = [vocabulary.piece(index) for index in range(vocabulary.size)]
    bos = pieces[vocabulary.bos]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": pieces[index],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index in (vocabulary.unk, vocabulary.bos, vocabulary.eos)
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [_special(bos, 0), _sequence("A", 0)],
            "pair": [_special(bos, 0), _sequence("A", 0), _special(bos, 1), _sequence("B", 1)],
            "special_tokens": {bos: {"id": bos, "ids": [vocabulary.bos], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": pieces[vocabulary.unk],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: index for index, piece in enumerate(pieces)},
            "merges": [[left, right] for left, right in merges(vocabulary)],
        },
    }


def merges(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, those to be merged first in front.

    SentencePiece merges the pair whose result has the highest score, of equals the leftmost. Runs
    of one character (spaces, in Llama 2's vocabulary of equal score) grow from the left; longer
    results and longer left parts first give the same.
    """
    learned = {
        vocabulary.piece(index): vocabulary.score(index)
        for index in range(vocabulary.size)
        if vocabulary.is_learned(index)
    }
    ranked = [
        (-score, -len(piece), -cut, piece, cut)
        for piece, score in learned.items()
        for cut in range(1, len(piece))
        if piece[:cut] in learned and piece[cut:] in learned
    ]
    return [(piece[:cut], piece[cut:]) for *_, piece, cut in sorted(ranked)]


def _special(token: str, kind: int) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": kind}}


def _sequence(name: str, kind: int) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": kind}}
