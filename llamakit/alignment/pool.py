"""Winners of earlier rounds, as candidates beside new samples (paper §3.2.3).

The paper's third version, made of the newest round's samples only, lost what earlier ones could do;
from then on the best samples of all rounds were candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llamakit.alignment.scoring import Judges
from llamakit.alignment.tables import write_dialogues
from llamakit.alignment.window import fit_answers
from llamakit.artifacts.frames import part_name, read_table
from llamakit.errors import InputError
from llamakit.text.dialogue import Message
from llamakit.text.vocabulary import Vocabulary

Row = Mapping[str, Any]
Key = tuple[tuple[str, str], ...]


def prompt_key(messages: Sequence[Message]) -> Key:
    """What tells a prompt: its messages, up to the last one of the user."""
    turns = [(message["role"], message["content"].strip()) for message in messages]
    while turns and turns[-1][0] == "assistant":
        turns.pop()
    return tuple(turns)


def lone_prompts(prompts: Iterable[Row], pooled: Iterable[Row]) -> list[Row]:
    """One pooled dialogue for each prompt that is not among those to be sampled, in order."""
    known = {prompt_key(row["messages"]) for row in prompts}
    found: dict[Key, Row] = {}
    for row in pooled:
        key = prompt_key(row["messages"])
        if key not in known:
            found.setdefault(key, row)
    return list(found.values())


def deal(prompts: Sequence[Row], pooled: Iterable[Row], folder: Path, size: int) -> list[Path]:
    """Write a table of pooled dialogues for each shard of `size` prompts: those of its prompts."""
    shard_of = {prompt_key(row["messages"]): index // size for index, row in enumerate(prompts)}
    dealt: list[list[Row]] = [[] for _ in range(-(-len(prompts) // size))]
    for row in pooled:
        dealt[shard_of[prompt_key(row["messages"])]].append(row)
    tables = [folder / part_name(index) for index in range(len(dealt))]
    for path, rows in zip(tables, dealt, strict=True):
        write_dialogues(path, rows)
    return tables


def judged(
    table: Path, judges: Judges, vocabulary: Vocabulary, max_tokens: int, counts: Counter[str]
) -> dict[Key, list[tuple[str, float, bool]]]:
    """Pooled answers by prompt: text, combined score, and whether the safety gate fired.

    An answer that does not fit beside its prompt, or cannot be rendered, is counted and left out.
    """
    held: list[tuple[Row, list[int]]] = []
    for row in read_table(table).to_dicts():
        messages = row["messages"]
        try:
            fit = fit_answers(messages[:-1], [messages[-1:]], vocabulary, max_tokens)
        except InputError:
            fit = None
        if fit is None or messages[-1]["role"] != "assistant":
            counts["pool_dropped"] += 1
            continue
        held.append((row, fit.rows[0]))
    if not held:
        return {}
    scores = judges([ids for _, ids in held], [bool(row["safety"]) for row, _ in held])
    found: dict[Key, list[tuple[str, float, bool]]] = {}
    for index, (one, _) in enumerate(held):
        text = one["messages"][-1]["content"]
        answer = text, float(scores.combined_B[index]), bool(scores.gate_B[index])
        found.setdefault(prompt_key(one["messages"]), []).append(answer)
    return found
