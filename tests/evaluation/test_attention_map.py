"""Attention to an instruction: against transformers, and against loops over a drawn matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from llamakit.evaluation.attention_map import (
    attention,
    binned,
    instruction_span,
    looks_by_turn,
    strongest_attention,
    told_dialogues,
)
from llamakit.evaluation.candidate import Candidate
from llamakit.evaluation.results import PartResult
from llamakit.model.weights import load_model, save_model
from llamakit.text.dialogue import render


def talk(first: str, turns: int, system: str = "") -> list[dict[str, str]]:
    messages = [{"role": "system", "content": system}] if system else []
    for turn in range(turns):
        user = first if turn == 0 else "Which river is the longest?"
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": "The river of the north."})
    return messages


TOLD = "Speak in the language of the north.\nWho built the bridge?"


def test_equals_transformers(make_candidate: Callable[..., Candidate], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    candidate = make_candidate(form="chat")
    save_model(tmp_path, candidate.model, candidate.vocabulary, chat=True, card="")
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    ids_L = torch.tensor(render(talk(TOLD, 3), candidate.vocabulary).ids)
    with torch.no_grad():
        layers = theirs.eval()(ids_L[None], output_attentions=True).attentions
    expected_LL = torch.stack([layer[0] for layer in layers]).amax(dim=(0, 1))
    found_LL = strongest_attention(load_model(tmp_path), ids_L)
    torch.testing.assert_close(found_LL, expected_LL, atol=1e-5, rtol=1e-5)


def test_looking_changes_nothing(make_candidate: Callable[..., Candidate]) -> None:
    candidate = make_candidate(form="chat")
    ids_L = torch.tensor(render(talk(TOLD, 2), candidate.vocabulary).ids)
    with torch.inference_mode():
        before = candidate.model(ids_L[None])
        strongest_attention(candidate.model, ids_L)
        assert torch.equal(candidate.model(ids_L[None]), before)


def test_weights_of_packed_rows_stay_within_their_segment(
    make_candidate: Callable[..., Candidate],
) -> None:
    model = make_candidate().model
    segments_BL = torch.tensor([[0, 0, 0, 1, 1]])
    seen = []
    layer = model.model.layers[0].self_attn
    layer.register_forward_pre_hook(lambda one, inputs: seen.append(one.weights(*inputs[:2])))
    model(torch.tensor([[5, 6, 7, 5, 6]]), segments_BL=segments_BL)
    weights_LL = seen[0][0, 0]
    assert torch.equal(weights_LL[3:, :3], torch.zeros(2, 3))
    torch.testing.assert_close(weights_LL[3:, 3:], weights_LL[:2, :2])
    torch.testing.assert_close(weights_LL.sum(dim=-1), torch.ones(5))


def test_the_instruction_is_found_in_tokens(make_candidate: Callable[..., Candidate]) -> None:
    vocabulary = make_candidate().vocabulary
    for messages in (talk(TOLD, 2), talk("Who?", 2, system="Speak in the language of the north.")):
        (told,) = told_dialogues([("a", messages)])
        span = instruction_span(told, vocabulary)
        ids = render(messages, vocabulary).ids
        assert vocabulary.decode(ids[span.start : span.stop]).strip() == told.instruction


def test_dialogues_without_an_instruction_or_a_second_answer_are_none() -> None:
    asked = [*talk(TOLD, 2), {"role": "user", "content": "And?"}]
    found = told_dialogues([("plain", talk("Who?", 3)), ("short", talk(TOLD, 1)), ("asked", asked)])
    assert [one.id for one in found] == ["asked"]
    assert found[0].messages[-1]["role"] == "assistant"


def test_looks_and_bins_equal_loops(make_candidate: Callable[..., Candidate]) -> None:
    vocabulary = make_candidate().vocabulary
    messages = talk(TOLD, 3)
    rendered = render(messages, vocabulary)
    length = len(rendered.ids)
    drawn = np.tril(np.random.default_rng(0).random((length, length)).astype(np.float32))
    instruction = range(4, 9)
    expected: dict[int, list[float]] = {}
    for place in range(1, length):
        if rendered.answer_mask[place]:
            own = max(float(drawn[place - 1][key]) for key in instruction)
            expected.setdefault(rendered.turn[place] + 1, []).append(own)
    found = looks_by_turn(torch.from_numpy(drawn), rendered, instruction)
    assert found == {turn: pytest.approx(np.mean(values)) for turn, values in expected.items()}

    grid = binned(torch.from_numpy(drawn), rendered, instruction)
    size = -(-length // 48)
    assert len(grid.labels) == -(-length // size) <= 48
    for row in range(len(grid.labels)):
        turn = str(rendered.turn[row * size] + 1)
        assert grid.labels[row] == ("told" if row * size in instruction else turn)
        for column in range(len(grid.labels)):
            cells = drawn[row * size : (row + 1) * size, column * size : (column + 1) * size]
            value = grid.values[row][column]
            assert value == (None if column > row else round(float(cells.max()), 4))


def test_a_model_that_looks_at_the_instruction_is_told_from_one_that_does_not(
    make_candidate: Callable[..., Candidate],
) -> None:
    """Zero queries look everywhere alike: one place of i at place i."""
    candidate = make_candidate(form="chat", window=256)
    model = make_candidate(form="chat", window=256).model
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()
    blind = Candidate("blind", model, candidate.vocabulary, "chat")
    told = told_dialogues([("a", talk(TOLD, 2)), ("b", talk(TOLD, 40))])
    found = attention(blind, told, seed=0)
    rendered = render(talk(TOLD, 2), candidate.vocabulary)
    places = [i for i, own in enumerate(rendered.answer_mask) if own and rendered.turn[i] == 1]
    expected = sum(1 / place for place in places) / len(places)
    assert found.measures["instruction_attention"].value == pytest.approx(expected, rel=1e-5)
    assert found.measures["instruction_attention"].n == 1
    assert found.notes == ["1 dialogues are too long or hold chat tags."]
    assert found.curves["attention to the instruction"].xs == [1, 2]
    seeing = attention(candidate, told, seed=0).measures["instruction_attention"].value
    assert seeing > 2 * expected
    assert PartResult.from_json(found.to_json()) == found
