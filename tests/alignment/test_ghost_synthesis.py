"""What ghost attention synthesises, against a loop that writes every prompt out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from llamakit.alignment.answerer import Answerer
from llamakit.alignment.ghost import Shard, Synthesis, synthesise_shard
from llamakit.alignment.models import forget_models
from llamakit.alignment.padding import pad_right
from llamakit.alignment.tables import write_dialogues
from llamakit.artifacts.frames import read_table
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.model.weights import save_model
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.dialogues import render_dialogues

INSTRUCTION = "Always say please."
CONSTRAINT = (
    '{"id": "a", "instruction": "Always say please.", "short": "Word: please", "family": "word",'
    ' "check": {"kind": "contains", "value": "please"}}\n'
)
TALKS = [
    ["Tell me 0.", "What is 1?", "Please help."],
    ["What is 1?", "A story?"],
    ["A story?"],
    ["Please help.", "Tell me 0.", "A story?"],
]


ANSWERS = ["Yes, I can.", "The capital is Port Amber, please.", "12 and 30."]


@pytest.fixture(scope="module")
def talking(vocabulary: Vocabulary) -> Transformer:
    """A model that learned the dialogues by heart, with the instruction once and at every turn."""
    model = Transformer(ModelConfig(32, 2, 4, 2, 64, vocabulary.size, 256), seed=3)
    rows = []
    for users in TALKS:
        for told in (1, len(users)):
            messages = []
            for turn, user in enumerate(users):
                text = f"{INSTRUCTION}\n{user}" if turn < told else user
                messages.append({"role": "user", "content": text})
                answer = ANSWERS[(turn + min(turn + 1, told)) % len(ANSWERS)]
                messages.append({"role": "assistant", "content": answer})
            rows.append(render(messages, vocabulary).ids)
    ids_BL, lengths_B = pad_right(rows, vocabulary.pad)
    real_BL = torch.arange(ids_BL.shape[1])[None, :] < lengths_B[:, None]
    adam = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(120):
        logits = model.logits(model(ids_BL))[:, :-1]
        loss = cross_entropy(logits[real_BL[:, 1:]], ids_BL[:, 1:][real_BL[:, 1:]])
        torch.autograd.backward(loss)
        adam.step()
        adam.zero_grad()
    return model.eval()


def by_hand(
    model: Transformer, vocabulary: Vocabulary, users: list[str], *, every: bool
) -> list[str]:
    """Greedy answers, one token and one dialogue at a time, without a cache."""
    ids: list[int] = []
    answers = []
    for turn, user in enumerate(users):
        told = f"{INSTRUCTION}\n{user}" if every or turn == 0 else user
        asked = vocabulary.encode(f"[INST] {told} [/INST]", bos=True)
        written: list[int] = []
        while len(written) < 32 and vocabulary.eos not in written:
            with torch.no_grad():
                hidden = model(torch.tensor([ids + asked + written]))
            written.append(int(model.logits(hidden[0, -1]).argmax()))
        answer = vocabulary.decode(written).strip()
        if written[-1] != vocabulary.eos or not answer:
            return answers
        answers.append(answer)
        ids += vocabulary.encode(f"[INST] {told} [/INST] {answers[-1]} ", bos=True, eos=True)
    return answers


@pytest.mark.parametrize("remind", ["every", "first"])
def test_equals_a_slow_loop(
    talking: Transformer, vocabulary: Vocabulary, tmp_path: Path, remind: str
) -> None:
    save_model(tmp_path / "model", talking, vocabulary, chat=True, card="")
    (tmp_path / "constraints.jsonl").write_text(CONSTRAINT, encoding="utf-8")
    rows = [
        {
            "id": f"t{number}",
            "messages": [message for user in users for message in _exchange(user)],
            "train_on": "all",
            "source": "talk",
            "safety": False,
        }
        for number, users in enumerate(TALKS)
    ]
    write_dialogues(tmp_path / "talks.parquet", rows)
    answerer = Answerer(
        model=tmp_path / "model", top_p=1.0, max_new_tokens=32, max_prompt_tokens=224, seed=0,
        dtype="fp32", device="cpu",
    )  # fmt: skip
    settings: dict[str, Any] = {
        "answerer": answerer, "constraints": (tmp_path / "constraints.jsonl",),
        "min_turns": 2, "max_turns": 3, "max_constraints": 1, "shorten_prob": 0.0,
        "plain_share": 0.0, "remind": remind, "keep": "none", "cut": "every",
        "temperature": 0.0,
    }  # fmt: skip
    try:
        found = synthesise_shard(
            Shard(tmp_path / "talks.parquet", 0, tmp_path / "out.parquet", Synthesis(**settings))
        )
    finally:
        forget_models()
    made = {row["id"]: row for row in read_table(tmp_path / "out.parquet").to_dicts()}
    expected = {}
    said: dict[str, list[bool]] = {}
    for number, users in enumerate(TALKS):
        if len(users) < 2:
            continue
        answers = by_hand(talking, vocabulary, users, every=remind == "every")
        for turn, answer in enumerate(answers, start=1):
            said.setdefault(str(turn), []).append("please" in answer.casefold())
        for length in range(2, len(answers) + 1):
            messages = []
            for turn in range(length):
                told = f"{INSTRUCTION}\n{users[turn]}" if turn == 0 else users[turn]
                messages.append({"role": "user", "content": told})
                messages.append({"role": "assistant", "content": answers[turn]})
            expected[f"t{number}/gatt-{length}"] = messages
    assert {name: row["messages"] for name, row in made.items()} == expected
    assert found["by_turn"] == {turn: [sum(own), len(own)] for turn, own in said.items()}
    assert found["counts"]["dropped_too_few_turns"] == 1
    assert len(made) >= 4

    # Of each, nothing but the last answer and its end is trained on.
    tokens = render_dialogues(list(made.values()), vocabulary, seq_len=256)
    for index, row in enumerate(made.values()):
        first, last = tokens.offsets[index], tokens.offsets[index + 1]
        trained = tokens.ids[first:last][tokens.trained[first:last]].tolist()
        assert vocabulary.decode(trained).strip() == row["messages"][-1]["content"]
        assert trained[-1] == vocabulary.eos


def _exchange(user: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": "Not used."}]
