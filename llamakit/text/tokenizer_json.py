"""Hugging Face's `tokenizer.json`, as a SentencePiece model where it was made from one.

The two encode alike when every pair that makes a piece is a merge, and pairs are merged in an order
of pieces: then a piece's score is its place in that order. Llama 1's and 2's tokenizers and those
trained in their likeness are so; byte-level ones (GPT-2's kind, SmolLM, Llama 3) cut a text by a
pattern first, which SentencePiece has no means for.
"""

from __future__ import annotations

import json
from typing import Any

from llamakit.errors import InputError
from llamakit.text import proto
from llamakit.text.pieces import SPECIAL, Piece, build_model, kind_of
from llamakit.text.vocabulary import SPACE

_FIX = (
    "Give the model's `tokenizer.model` with --vocabulary (`llamakit tokenizer --from` makes a"
    " vocabulary of it). Vocabularies of another kind are not read."
)


def convert_tokenizer_json(text: bytes, where: str) -> bytes:
    """The bytes of a `tokenizer.model` that encodes alike.

    Raises:
        InputError: it is not JSON, or a tokenizer that SentencePiece could not encode as.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error})", where=where) from None
    try:
        model = values["model"]
        if wrong := _other_kind(values, model):
            raise InputError(f"the tokenizer {wrong}", where=where, fix=_FIX)
        texts = _by_id(model["vocab"], values.get("added_tokens") or [])
        scores = _scores(texts, [_pair(merge) for merge in model["merges"]])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"the file is no tokenizer of Hugging Face's ({type(error).__name__}: {error})",
            where=where,
        ) from None
    except ValueError as error:
        raise InputError(f"the tokenizer {error}", where=where, fix=_FIX) from None
    special = {token["content"] for token in values.get("added_tokens") or []}
    pieces = []
    for index, piece in enumerate(texts):
        kind = kind_of(index)
        if kind == proto.NORMAL and piece in special:
            kind = proto.CONTROL
        pieces.append(Piece(piece, scores.get(piece, 0.0), kind))
    return build_model(pieces)


def _other_kind(values: dict[str, Any], model: dict[str, Any]) -> str:
    """What makes it another kind of tokenizer than Llama 2's; empty: nothing."""
    if model["type"] != "BPE":
        return f"is of the kind {model['type']}, not byte-pair encoding"
    if not model.get("byte_fallback"):
        return "has no bytes for characters it does not know (it is byte-level, as GPT-2's)"
    if any(model.get(key) for key in ("continuing_subword_prefix", "end_of_word_suffix")):
        return "marks the parts of words"
    if model.get("ignore_merges") or model.get("dropout"):
        return "does not always obey its merges"
    normalizer, before = values.get("normalizer"), values.get("pre_tokenizer")
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    front = {"type": "Prepend", "prepend": SPACE}
    older = normalizer == {"type": "Sequence", "normalizers": [front, spaces]} and before is None
    newer = (
        normalizer is None
        and isinstance(before, dict)
        and before.get("type") == "Metaspace"
        and before.get("replacement") == SPACE
        and before.get("prepend_scheme", "always") in ("first", "always")
        and before.get("split", True) is False
    )
    return "" if older or newer else "does not put a space before a text, or changes or cuts it"


def _by_id(vocab: dict[str, int], added: list[dict[str, Any]]) -> list[str]:
    ids = {index: piece for piece, index in vocab.items()}
    ids |= {token["id"]: token["content"] for token in added}
    if not all(isinstance(piece, str) for piece in ids.values()) or set(ids) != set(
        range(len(ids))
    ):
        raise ValueError("has ids that are not numbered from 0 on, one a piece")
    texts = [ids[index] for index in range(len(ids))]
    if len(set(texts)) < len(texts):
        raise ValueError("has a piece with two ids")
    named = tuple(texts[: len(SPECIAL)])
    if named != SPECIAL:
        raise ValueError(f"has {', '.join(named)} as its first ids, not {', '.join(SPECIAL)}")
    if any(token["content"] not in SPECIAL and not token.get("special") for token in added):
        raise ValueError("has words that were added to it, which are not merged from pieces")
    return texts


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return str(left), str(right)


def _scores(texts: list[str], merges: list[tuple[str, str]]) -> dict[str, float]:
    """A score for each piece, such that the best of the possible merges is the first in the list.

    Raises:
        ValueError: no scores could say what the list of merges says.
    """
    learned = {text for index, text in enumerate(texts) if kind_of(index) == proto.NORMAL}
    possible = {
        (piece[:cut], piece[cut:])
        for piece in learned
        for cut in range(1, len(piece))
        if piece[:cut] in learned and piece[cut:] in learned
    }
    if set(merges) != possible or len(merges) != len(possible):
        raise ValueError("merges other pairs than those that make a piece")
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        first.setdefault(left + right, rank)
        last[left + right] = rank
    scores: dict[str, float] = {}
    reached, score = -1, 0
    for piece, rank in sorted(first.items(), key=lambda item: item[1]):
        if rank > reached:
            score -= 1
        elif len(set(piece)) > 1:
            # Runs of one character (spaces) may share a score; other pieces are merged in turn.
            raise ValueError("merges pieces in no order that scores could give")
        reached = max(reached, last[piece])
        scores[piece] = float(score)
    # What nothing is merged into (single characters, in the main) comes after.
    return scores | {piece: float(score - 1) for piece in learned if piece not in scores}
