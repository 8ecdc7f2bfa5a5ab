from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from llamakit.errors import InputError
from llamakit.model import generation
from llamakit.model.decoding import CompiledReader, TorchReader
from llamakit.model.generation import Generation, Sampling, generate
from llamakit.model.sampling import choose, uniforms
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

Make = Callable[..., Transformer]
Rows = Callable[..., list[list[int]]]

MODES = [
    Sampling(24, temperature=0.0),
    Sampling(24, temperature=1.0, top_p=1.0),
    Sampling(24, temperature=0.8, top_p=0.9),
    Sampling(24, temperature=0.8, top_p=1.0, top_k=5, repetition_penalty=1.3),
]


def likely_eos(model: Transformer) -> Transformer:
    """Make endings frequent, at different steps."""
    with torch.no_grad():
        model.head_weight[2] *= 4.0
    return model


def one_by_one(
    model: Transformer, vocabulary: Vocabulary, prompt: list[int], sampling: Sampling, seed: int
) -> Generation:
    """A text token by token, reading everything again for each."""
    ids: list[int] = []
    logprobs: list[float] = []
    room = model.config.max_seq_len - len(prompt)
    for step in range(min(sampling.max_new_tokens, room)):
        with torch.no_grad():
            logits_BV = model.logits(model(torch.tensor([prompt + ids]))[:, -1])
        seen_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
        seen_BV[0, prompt + ids] = True
        number_B = torch.from_numpy(uniforms(np.array([seed], dtype=np.uint64), step))
        token = int(choose(logits_BV, sampling, number_B, seen_BV))
        ids.append(token)
        scaled_V = logits_BV[0] / (sampling.temperature or 1.0)
        logprobs.append(float(scaled_V.log_softmax(-1)[token]))
        if token == vocabulary.eos:
            return Generation(ids, True, logprobs, vocabulary.decode(ids))
    return Generation(ids, False, logprobs, vocabulary.decode(ids))


@pytest.fixture(params=[CompiledReader, TorchReader])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has all texts read by one reader, then by the other."""
    monkeypatch.setattr(generation, "reader_for", request.param)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("sampling", MODES, ids=["greedy", "whole", "nucleus", "top-k"])
def test_equals_one_by_one(
    make_model: Make, vocabulary: Vocabulary, rows: Rows, sampling: Sampling, batch_size: int
) -> None:
    model = likely_eos(make_model())
    prompts = rows(5, 12, 5, 30, 2, 12, 80)
    seeds = [11, 12, 13, 14, 15, 16, 2**63 - 1]
    found = generate(
        model, vocabulary, prompts, sampling, seeds, batch_size=batch_size, logprobs=True
    )
    wanted = [
        one_by_one(model, vocabulary, prompt, sampling, seed)
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    for a, b in zip(found, wanted, strict=True):
        assert (a.ids, a.finished, a.text) == (b.ids, b.finished, b.text)
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_rows_end_at_different_steps(make_model: Make, vocabulary: Vocabulary, rows: Rows) -> None:
    """So that the tests above do see rows leave their batch."""
    model = likely_eos(make_model())
    sampling = Sampling(24, temperature=1.0, top_p=1.0)
    found = generate(model, vocabulary, rows(*[6] * 40), sampling, list(range(40)))
    lengths = {len(text.ids) for text in found}
    assert len(lengths) > 5
    assert {text.finished for text in found} == {True, False}
    assert all(text.ids[-1] == 2 for text in found if text.finished)
    assert all(2 not in text.ids[:-1] for text in found)


def test_samples_of_one_prompt_read_it_once(
    make_model: Make, vocabulary: Vocabulary, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    prompt, other = rows(9, 7)
    read = []
    real = CompiledReader.start

    def start(self: CompiledReader, prompts: list[list[int]], *rest: Any) -> torch.Tensor:
        read.append([list(prompt) for prompt in prompts])
        return real(self, prompts, *rest)

    monkeypatch.setattr(CompiledReader, "start", start)
    sampling = Sampling(6, temperature=1.0, top_p=1.0)
    found = generate(model, vocabulary, [prompt, other, prompt, prompt], sampling, [1, 2, 3, 1])
    assert read == [[prompt, other]]
    assert found[0] == found[3]
    assert found[0].ids != found[2].ids
    assert found[2] == generate(model, vocabulary, [prompt], sampling, [3])[0]


@pytest.mark.usefixtures("reader")
def test_the_context_is_the_limit(make_model: Make, vocabulary: Vocabulary, rows: Rows) -> None:
    model = make_model(max_seq_len=16)
    with torch.no_grad():
        model.head_weight[2] = 0.0  # no ending by itself, as others are larger
    prompts = rows(16, 14, 3)
    found = generate(model, vocabulary, prompts, Sampling(5, temperature=0.0), [0, 0, 0])
    assert [len(text.ids) for text in found] == [0, 2, 5]
    assert not any(text.finished for text in found)
    with pytest.raises(InputError, match="17 tokens does not fit a context of 16"):
        generate(model, vocabulary, rows(17), Sampling(5), [0])
    with pytest.raises(InputError, match="0 tokens"):
        generate(model, vocabulary, [[]], Sampling(5), [0])


@pytest.mark.usefixtures("reader")
def test_stop_strings(make_model: Make, vocabulary: Vocabulary, rows: Rows) -> None:
    model = make_model()
    prompts, seeds = rows(*[6] * 8), list(range(8))
    sampling = Sampling(30, temperature=1.0, top_p=1.0)
    free = generate(model, vocabulary, prompts, sampling, seeds)
    stop = free[0].text[8:11]
    assert len(stop) == 3
    stopping = Sampling(30, temperature=1.0, top_p=1.0, stop=[stop, "never produced"])
    stopped = generate(model, vocabulary, prompts, stopping, seeds)
    assert any(stop in text.text for text in free)
    for before, after in zip(free, stopped, strict=True):
        assert after.text == before.text.split(stop)[0]
        assert after.ids == before.ids[: len(after.ids)]
        if stop in before.text:
            assert after.finished
            assert stop not in vocabulary.decode(after.ids[:-1])


def test_leaves_the_mode_as_it_was(make_model: Make, vocabulary: Vocabulary, rows: Rows) -> None:
    model = make_model().train()
    generate(model, vocabulary, rows(4), Sampling(2), [0])
    assert model.training
    assert generate(model, vocabulary, [], Sampling(2), []) == []


@pytest.mark.parametrize("sampling", MODES, ids=["greedy", "whole", "nucleus", "top-k"])
def test_a_text_does_not_depend_on_its_batch_in_bf16(
    make_model: Make, vocabulary: Vocabulary, rows: Rows, sampling: Sampling
) -> None:
    """Where torch's own products differ in their second digit from batch to batch."""
    model = likely_eos(make_model()).bfloat16()
    prompts, seeds = rows(5, 12, 5, 30, 2, 12, 60, 7, 8, 9), list(range(10))
    together = generate(model, vocabulary, prompts, sampling, seeds, logprobs=True)
    for prompt, seed, found in zip(prompts, seeds, together, strict=True):
        assert generate(model, vocabulary, [prompt], sampling, [seed], logprobs=True) == [found]


def test_greedy_equals_transformers(
    make_model: Make, vocabulary: Vocabulary, rows: Rows, tmp_path: object
) -> None:
    from pathlib import Path

    from transformers import AutoModelForCausalLM

    from llamakit.model.weights import save_model

    model = make_model()
    folder = Path(str(tmp_path))
    save_model(folder, model, vocabulary, chat=False, card="")
    other = AutoModelForCausalLM.from_pretrained(folder)
    for prompt in rows(5, 11):
        ids = other.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=20, max_length=None, do_sample=False, temperature=None, top_p=None,
        )  # fmt: skip
        found = generate(model, vocabulary, [prompt], Sampling(20, temperature=0.0), [0])[0]
        assert found.ids == ids[0, len(prompt) :].tolist()
