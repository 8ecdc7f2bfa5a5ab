"""The artifacts' folders open in `transformers` as they are: same numbers, same token ids."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from llamakit.artifacts.store import Store
from llamakit.model.weights import load_model, load_reward_model, load_vocabulary
from llamakit.text.dialogue import render_prompt

transformers = pytest.importorskip("transformers")

TEXTS = ["The ladywort\n\nis 12 of 345.", "  two spaces, a tab\t and ünïcode ☃", "", "a"]
DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 9 plus 16?"},
    {"role": "assistant", "content": "9 plus 16 is 25."},
    {"role": "user", "content": "And in Elstead?"},
]


@pytest.mark.parametrize("name", ["base", "chat", "policy"])
def test_language_models(micro: Store, name: str) -> None:
    path = micro.resolve(f"{name}:v1").path
    ours, vocabulary = load_model(path), load_vocabulary(path)
    theirs: Any = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    ids = torch.tensor([vocabulary.encode(TEXTS[0], bos=True)])
    with torch.no_grad():
        assert (ours.logits(ours(ids)) - theirs(ids).logits).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["helpfulness", "safety"])
def test_reward_models_in_a_padded_batch(micro: Store, name: str) -> None:
    path = micro.resolve(f"{name}:v1").path
    ours, vocabulary = load_reward_model(path), load_vocabulary(path)
    theirs: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
        path, dtype=torch.float32
    )
    assert theirs.config.num_labels == 1
    rows = [vocabulary.encode(text, bos=True, eos=True) for text in (TEXTS[0], TEXTS[3])]
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    ids = torch.tensor([row + [vocabulary.pad] * (width - len(row)) for row in rows])
    with torch.no_grad():
        expected = theirs(ids, attention_mask=ids != vocabulary.pad).logits[:, 0]
        assert (ours(ids, lengths) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", ["base", "chat", "policy", "helpfulness", "safety"])
def test_token_ids_of_text_and_dialogues(micro: Store, name: str) -> None:
    path = micro.resolve(f"{name}:v1").path
    vocabulary = load_vocabulary(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    for text in TEXTS:
        expected = vocabulary.encode(text, bos=True)
        assert tokenizer(text)["input_ids"] == expected
    if name != "base":
        ids = tokenizer.apply_chat_template(DIALOGUE, tokenize=True, return_dict=False)
        assert ids == render_prompt(DIALOGUE, vocabulary)
