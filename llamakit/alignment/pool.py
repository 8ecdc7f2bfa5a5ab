"""Winners of earlier rounds, dealt to the prompts they answer (paper §3.2.3).

The paper's third version, made of the newest round's samples only, lost what earlier ones could do;
from then on the best samples of all rounds were candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llamakit.alignment.tables import write_dialogues
from llamakit.alignment.window import fit_answers
from llamakit.artifacts.frames import part_name
from llamakit.errors import InputError
from llamakit.text.dialogue import Message
from llamakit.text.vocabulary import Vocabulary

Row = Mapping[str, Any]


def prompt_key(messages: Sequence[Message]) -> tuple[tuple[str, str], ...]:
    """What tells a prompt: its messages, up to the last one of the user."""
    turns = [(message["role"], message["content"].strip()) for message in messages]
    while turns and turns[-1][0] == "assistant":
        turns.pop()
    return tuple(turns)


def deal(
    prompts: Sequence[Row], pooled: Iterable[Row], folder: Path, size: int
) -> list[tuple[Path, int]]:
    """Write pooled dialogues as tables beside shards of `size` prompts each.

    Returns:
        (table, how many of its shard's prompts are sampled) of each shard: those of the prompts in
        order, then shards of pooled dialogues to whose prompts no answers are sampled.
    """
    shard_of = {prompt_key(row["messages"]): index // size for index, row in enumerate(prompts)}
    count = -(-len(prompts) // size)
    dealt: list[list[Row]] = [[] for _ in range(count)]
    others: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for row in pooled:
        key = prompt_key(row["messages"])
        if key in shard_of:
            dealt[shard_of[key]].append(row)
        else:
            others.setdefault(key, []).append(row)
    lone = list(others.values())
    for start in range(0, len(lone), size):
        dealt.append([row for rows in lone[start : start + size] for row in rows])
    tables = []
    for index, rows in enumerate(dealt):
        path = folder / part_name(index)
        write_dialogues(path, rows)
        sampled = min(size, len(prompts) - index * size) if index < count else 0
        tables.append((path, sampled))
    return tables


def fitted(
    rows: Iterable[Row], vocabulary: Vocabulary, max_tokens: int, counts: Counter[str]
) -> list[tuple[Row, list[int]]]:
    """Pooled dialogues with the ids that reward models read; those that do not fit are counted."""
    found = []
    for row in rows:
        messages = row["messages"]
        try:
            fit = fit_answers(messages[:-1], [messages[-1:]], vocabulary, max_tokens)
        except InputError:
            fit = None
        if fit is None or messages[-1]["role"] != "assistant":
            counts["pool_dropped"] += 1
            continue
        found.append((row, list(fit[0][0])))
    return found
