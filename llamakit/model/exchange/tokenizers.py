"""The vocabulary of a model that was made elsewhere, and whether it was taught the chat format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llamakit.errors import InputError
from llamakit.events import Events
from llamakit.model.weights import read_json
from llamakit.text.existing import JSON_FILE, find_tokenizer, model_of, write_checked
from llamakit.text.pieces import extended
from llamakit.text.vocabulary import MODEL_FILE, Vocabulary, write_vocabulary

CONFIG_FILE = "tokenizer_config.json"
_TEMPLATE_FILE = "chat_template.jinja"
_LLAMA_2_TAGS = ("[INST]", "<<SYS>>")
_ADDED_AT_MOST = 1_024
"""Ids beyond the vocabulary: rows that pad an embedding, tokens added for a chat. More means that
model and vocabulary do not belong together."""


def take_tokenizer(files: Mapping[str, Path], given: Path | None, folder: Path) -> Vocabulary:
    """The model's vocabulary, written into `folder`.

    Args:
        files: the model's, by name.
        given: folder of a vocabulary or model to take instead of theirs.

    Raises:
        InputError: there is none, or it is of a kind that llamakit cannot encode with.
    """
    path = find_tokenizer(files) if given is None else given / MODEL_FILE
    if path is None:
        raise InputError(
            "there is no tokenizer among the files (tokenizer.model, tokenizer.json, tok*.bin)",
            where=str(next(iter(files.values())).parent),
            fix="Name its vocabulary with --vocabulary; `llamakit tokenizer --from FILE` makes one"
            " of a tokenizer's file.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    return write_checked(model_of(path), folder, str(path))


def with_rows_for(
    size: int, vocabulary: Vocabulary, files: Mapping[str, Path], folder: Path
) -> Vocabulary:
    """The vocabulary with as many ids as a model has: those beyond it, which no text is encoded
    as, are given the names that the model's files have for them.

    Raises:
        InputError: the two are so far apart that they are of different models.
    """
    more = size - vocabulary.size
    if more == 0:
        return vocabulary
    if not 0 < more <= _ADDED_AT_MOST:
        raise InputError(
            f"the model has {size:,} ids, its vocabulary {vocabulary.size:,} pieces",
            where=str(next(iter(files.values())).parent),
            fix="They are of different models: name the right one with --vocabulary.",
        )
    known = {vocabulary.piece(index) for index in range(vocabulary.size)}
    told = _added_tokens(files)
    names: list[str] = []
    for index in range(vocabulary.size, size):
        name = told.get(index, "")
        taken = not name or name in known
        names.append(f"<unused_{index}>" if taken else name)
        known.add(names[-1])
    return write_vocabulary(extended(vocabulary.model_path.read_bytes(), names), folder)


def reads_chat(files: Mapping[str, Path], events: Events) -> bool:
    """Whether the model's own chat template is of Llama 2's format; warns where it is another."""
    template = _chat_template(files)
    if template and not all(tag in template for tag in _LLAMA_2_TAGS):
        events.warn(
            "the model has a chat template of another format than Llama 2's, the one that llamakit"
            " speaks: it is imported as a base model (--chat says otherwise)"
        )
        return False
    return bool(template)


def _chat_template(files: Mapping[str, Path]) -> str:
    if _TEMPLATE_FILE in files:
        return files[_TEMPLATE_FILE].read_text(encoding="utf-8", errors="replace")
    if CONFIG_FILE not in files:
        return ""
    found: Any = read_json(files[CONFIG_FILE]).get("chat_template")
    return found if isinstance(found, str) else json.dumps(found) if found else ""


def _added_tokens(files: Mapping[str, Path]) -> dict[int, str]:
    """Names of ids that were added to a vocabulary, wherever a Hugging Face folder keeps them."""
    found: dict[int, str] = {}
    if CONFIG_FILE in files:
        decoder = read_json(files[CONFIG_FILE]).get("added_tokens_decoder")
        for key, value in decoder.items() if isinstance(decoder, dict) else []:
            if key.isdigit() and isinstance(value, dict) and isinstance(value.get("content"), str):
                found[int(key)] = value["content"]
    if "added_tokens.json" in files:
        for name, index in read_json(files["added_tokens.json"]).items():
            if isinstance(index, int):
                found[index] = name
    if JSON_FILE in files:
        tokens = read_json(files[JSON_FILE]).get("added_tokens")
        for token in tokens if isinstance(tokens, list) else []:
            if isinstance(token, dict) and isinstance(token.get("content"), str):
                found[token.get("id", -1)] = token["content"]
    return found
