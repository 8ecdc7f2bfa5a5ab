"""How much a model still looks at an instruction, many turns after it was given (paper §3.3).

All models read the same dialogues, which begin with an instruction, so that they differ in where
they look and not in what they wrote. As in the paper's figure, a place's attention to another is
the largest of all layers and heads.

The measure is taken where an answer's tokens are predicted: the largest attention to any token of
the instruction, the mean over the answers from the second turn on. The map is of one dialogue, its
neighbouring tokens put together in bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llamakit.errors import InputError
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.prompts import shared_length
from llamakit.evaluation.results import Curve, Grid, PartResult, Row, values_of
from llamakit.events import SILENT, Events
from llamakit.model.attention import Attention
from llamakit.model.transformer import Transformer
from llamakit.text.dialogue import Message, Rendered, render
from llamakit.text.instruction import detach
from llamakit.text.statistics import bootstrap_mean
from llamakit.text.vocabulary import Vocabulary

PART = "attention"
BY_TURN = "attention to the instruction"
MAP = "where it looks"
TOLD = "told"
_BINS = 48


@dataclass(frozen=True)
class Told:
    """A dialogue that begins with an instruction: alone before the first user message, on lines of
    its own in it, or as the system message."""

    id: str
    instruction: str
    messages: tuple[Message, ...]


def told_dialogues(dialogues: Sequence[tuple[str, Sequence[Message]]]) -> list[Told]:
    """Those of some dialogues (id, messages) that begin with an instruction and have two answers or
    more."""
    found = []
    for name, messages in dialogues:
        kept = list(messages)
        while kept and kept[-1]["role"] != "assistant":
            kept.pop()
        if sum(one["role"] == "assistant" for one in kept) < 2:
            continue
        first = kept[0]
        instruction = first["content"] if first["role"] == "system" else detach(first["content"])[0]
        if instruction.strip():
            found.append(Told(name, instruction.strip(), tuple(kept)))
    return found


def attention(
    candidate: Candidate, dialogues: Sequence[Told], *, seed: int, events: Events = SILENT
) -> PartResult:
    """Measure the attention to the instruction by turn, and map the first of the longest dialogues.

    Dialogues that the context does not hold, or that hold chat tags, are left out and counted.
    """
    rows: list[Row] = []
    by_turn: dict[int, list[float]] = {}
    mapped: tuple[Tensor, Rendered, range] | None = None
    with events.task(f"{PART} · {candidate.name}", total=len(dialogues), unit="dialogues") as task:
        for dialogue in dialogues:
            task.advance()
            try:
                rendered = render(dialogue.messages, candidate.vocabulary)
            except InputError:
                continue
            instruction = instruction_span(dialogue, candidate.vocabulary)
            if len(rendered.ids) > candidate.window or not instruction:
                continue
            ids_L = torch.tensor(rendered.ids, device=candidate.device)
            strongest_LL = strongest_attention(candidate.model, ids_L).cpu()
            turns = looks_by_turn(strongest_LL, rendered, instruction)
            for turn, value in turns.items():
                by_turn.setdefault(turn, []).append(value)
            later = [value for turn, value in turns.items() if turn > 1]
            share = {"instruction_attention": sum(later) / len(later)}
            rows.append(Row(dialogue.id, dialogue.instruction, values=share))
            if mapped is None or rendered.turn[-1] > mapped[1].turn[-1]:
                mapped = strongest_LL, rendered, instruction
    reached = sorted(by_turn)
    points = [bootstrap_mean(by_turn[turn], seed) for turn in reached]
    left_out = len(dialogues) - len(rows)
    return PartResult(
        part=PART,
        model=candidate.name,
        kind="attention",
        main="instruction_attention",
        higher_is_better=True,
        measures={
            "instruction_attention": bootstrap_mean(values_of(rows, "instruction_attention"), seed)
        },
        curves={BY_TURN: Curve("turn", reached, points)},
        grids={} if mapped is None else {MAP: binned(*mapped)},
        notes=[f"{left_out} dialogues are too long or hold chat tags."] if left_out else [],
        rows=rows,
    )


@torch.inference_mode()
def strongest_attention(model: Transformer, ids_L: Tensor) -> Tensor:
    """The attention of each position to each, the largest of all layers and heads: [L, L] fp32.

    Zero above the diagonal. The weights are computed anew beside the forward pass, from what goes
    into each layer.
    """
    strongest_LL = torch.zeros(len(ids_L), len(ids_L), device=ids_L.device)

    def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(layer, Attention)
        weights_HLL = layer.weights(inputs[0], inputs[1])[0]
        torch.maximum(strongest_LL, weights_HLL.amax(dim=0), out=strongest_LL)

    hooks = [
        layer.register_forward_pre_hook(look)
        for layer in model.modules()
        if isinstance(layer, Attention)
    ]
    try:
        model(ids_L[None])
    finally:
        for hook in hooks:
            hook.remove()
    return strongest_LL


def instruction_span(dialogue: Told, vocabulary: Vocabulary) -> range:
    """Where a rendered dialogue's instruction stands, in tokens.

    A piece that reaches over either end, which Llama 2's own vocabulary has none of, is left out.
    """
    opening = "[INST] <<SYS>>\n" if dialogue.messages[0]["role"] == "system" else "[INST] "
    whole = render(dialogue.messages, vocabulary).ids
    first, last = (
        shared_length(whole, vocabulary.encode(text, bos=True))
        for text in (opening.rstrip(" "), opening + dialogue.instruction)
    )
    return range(first, last)


def looks_by_turn(strongest_LL: Tensor, rendered: Rendered, instruction: range) -> dict[int, float]:
    """By turn (1 is the first): the mean, over the places that predict the answer's tokens, of the
    largest attention to a token of the instruction.
    """
    found: dict[int, list[float]] = {}
    looks_L = strongest_LL[:, instruction.start : instruction.stop].amax(dim=1).tolist()
    for place, (written, turn) in enumerate(zip(rendered.answer_mask, rendered.turn, strict=True)):
        if written:
            found.setdefault(turn + 1, []).append(looks_L[place - 1])
    return {turn: sum(values) / len(values) for turn, values in found.items()}


def binned(strongest_LL: Tensor, rendered: Rendered, instruction: range) -> Grid:
    """The map in at most `_BINS` bins of neighbouring tokens, labelled with the turn they begin in,
    or `told` where they begin in the instruction; a cell is the largest value in it, and empty
    where nothing can be seen.
    """
    length = len(rendered.ids)
    size = -(-length // _BINS)
    starts = range(0, length, size)
    values: list[list[float | None]] = [
        [
            round(float(strongest_LL[row : row + size, column : column + size].max()), 4)
            if column <= row
            else None
            for column in starts
        ]
        for row in starts
    ]
    labels = [TOLD if one in instruction else str(rendered.turn[one] + 1) for one in starts]
    return Grid(labels, values)
