"""Dialogues as tokens with the places to train on, and a count of all that was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from llamakit.errors import InputError
from llamakit.text.dialogue import Rendered, render
from llamakit.text.vocabulary import Vocabulary

Overlong = Literal["truncate", "drop"]


@dataclass(frozen=True)
class DialogueTokens:
    """Rendered dialogues in flat arrays."""

    ids: NDArray[np.int32]
    """The tokens of all dialogues, one after another."""
    trained: NDArray[np.bool_]
    """For each token, whether the model is trained to produce it."""
    offsets: NDArray[np.int64]
    """Where each dialogue begins; one more than there are dialogues."""
    counts: Mapping[str, int]
    """`dialogues` seen and `trained` on, of these `truncated`; left out: `overlong` (dropped, or
    cut before its answer), `unanswered` (ends with a user message) and `refused`."""
    names: Sequence[str]
    """The id of each dialogue in its table."""
    refused: Sequence[str] = ()
    """What is wrong with each refused dialogue, and where it stands."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """One dialogue's tokens and its trained places."""
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.ids[span], self.trained[span]

    def lengths(self) -> NDArray[np.int64]:
        """Inputs of each dialogue: its tokens but the last, which nothing follows."""
        return np.diff(self.offsets) - 1


def render_dialogues(
    dialogues: Iterable[Mapping[str, Any]],
    vocabulary: Vocabulary,
    *,
    seq_len: int,
    overlong: Overlong = "truncate",
    mask_prompt: bool = True,
) -> DialogueTokens:
    """Render rows of the dialogues table (`id`, `messages`, `train_on`) into tokens.

    Args:
        dialogues: the rows, each with the `artifact` it comes from. Those that cannot be rendered
            (roles out of order, a chat tag in a text) are refused and named.
        seq_len: inputs a row can hold; a dialogue may have one token more.
        overlong: cut longer dialogues at their end, or leave them out. Either is counted.
        mask_prompt: train on answers only (paper §3.1): all of them, or the last one where
            `train_on` says so. Off trains on every token.
    """
    counts = dict.fromkeys(
        ("dialogues", "trained", "truncated", "overlong", "unanswered", "refused"), 0
    )
    ids: list[NDArray[np.int32]] = []
    trained: list[NDArray[np.bool_]] = []
    names: list[str] = []
    refused: list[str] = []
    for dialogue in dialogues:
        counts["dialogues"] += 1
        messages = dialogue["messages"]
        if not messages or messages[-1]["role"] != "assistant":
            counts["unanswered"] += 1
            continue
        try:
            rendered = render(messages, vocabulary)
        except InputError as error:
            counts["refused"] += 1
            refused.append(f"{dialogue['artifact']}, dialogue {dialogue['id']}: {error.what}")
            continue
        places = _trained_places(rendered, dialogue["train_on"]) if mask_prompt else None
        tokens = np.asarray(rendered.ids, np.int32)
        mask = np.ones(len(tokens), np.bool_) if places is None else places
        if not mask[1:].any():
            counts["unanswered"] += 1
            continue
        if len(tokens) > seq_len + 1:
            tokens, mask = tokens[: seq_len + 1], mask[: seq_len + 1]
            if overlong == "drop" or not mask[1:].any():
                counts["overlong"] += 1
                continue
            counts["truncated"] += 1
        counts["trained"] += 1
        ids.append(tokens)
        trained.append(mask)
        names.append(dialogue["id"])
    lengths = np.array([0, *map(len, ids)], np.int64)
    return DialogueTokens(
        ids=np.concatenate(ids) if ids else np.empty(0, np.int32),
        trained=np.concatenate(trained) if trained else np.empty(0, np.bool_),
        offsets=lengths.cumsum(),
        counts=counts,
        names=names,
        refused=refused,
    )


def _trained_places(rendered: Rendered, train_on: str) -> NDArray[np.bool_]:
    """Tokens of answers with their EOS; of the last answer only where `train_on` is "last"."""
    answers = np.asarray(rendered.answer_mask, np.bool_)
    if train_on == "last":
        turns = np.asarray(rendered.turn)
        answers = answers & (turns == turns[-1])
    return answers
