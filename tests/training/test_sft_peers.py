"""The loss of fine-tuning against `transformers` and TRL's `SFTTrainer` on the same dialogues."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.model.weights import save_model
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from llamakit.training.accumulation import accumulate
from llamakit.training.batches import PackedDialogues
from llamakit.training.dialogues import DialogueTokens, render_dialogues
from llamakit.training.objectives import next_token

TEXT = "the cat sat on the mat and the dog ran to the cat, who said: no!"
LENGTHS = ((3, 2), (14, 9, 2, 5), (1, 1), (30, 3), (6, 12, 1, 20, 4, 4))


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return train_vocabulary([TEXT] * 20, tmp_path_factory.mktemp("vocabulary"), 300)


@pytest.fixture(scope="module")
def tokens(vocabulary: Vocabulary) -> DialogueTokens:
    """Dialogues of several turns and lengths, one of them trained on its last answer only."""
    words = TEXT.split() * 3
    rows = [
        {
            "id": f"d{index}",
            "messages": [
                {"role": ("user", "assistant")[turn % 2], "content": " ".join(words[turn:][:count])}
                for turn, count in enumerate(counts)
            ],
            "train_on": "last" if index == 1 else "all",
            "artifact": "talks:v1",
        }
        for index, counts in enumerate(LENGTHS)
    ]
    return render_dialogues(rows, vocabulary, seq_len=120)


@pytest.fixture(scope="module")
def model(vocabulary: Vocabulary) -> Transformer:
    config = ModelConfig(
        dim=32, n_layers=2, n_heads=4, n_kv_heads=2, ffn_dim=48,
        vocab_size=vocabulary.size, max_seq_len=128,
    )  # fmt: skip
    model = Transformer(config, seed=4)
    with torch.no_grad():  # larger than at initialisation, so that attention is far from uniform
        for weight in model.parameters():
            weight.mul_(6 if weight.ndim > 1 else 1)
    return model


@pytest.fixture(scope="module")
def theirs(model: Transformer, vocabulary: Vocabulary, tmp_path_factory: Any) -> Any:
    from transformers import LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model")
    save_model(folder, model, vocabulary, chat=True, card="-")
    return LlamaForCausalLM.from_pretrained(folder)


def ours(model: Transformer, tokens: DialogueTokens) -> dict[str, Any]:
    """Loss and gradients of all dialogues packed into rows of 120."""
    model.zero_grad()
    rows = PackedDialogues(tokens, seq_len=120, rows=len(tokens), micro_rows=2, seed=0)
    assert rows.n_rows < len(tokens)
    means = accumulate(
        model, next_token, rows.batch(0), "cpu", after=lambda loss: loss.total.backward()
    )
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {**means, "gradients": gradients}


def test_packed_loss_and_gradients_equal_transformers_with_masked_labels(
    model: Transformer, theirs: Any, tokens: DialogueTokens
) -> None:
    width = int(tokens.lengths().max()) + 1
    ids = torch.zeros((len(tokens), width), dtype=torch.int64)
    labels = torch.full_like(ids, -100)
    attention = torch.zeros_like(ids)
    for row in range(len(tokens)):
        text, trained = tokens[row]
        ids[row, : len(text)] = torch.from_numpy(text.astype("int64"))
        attention[row, : len(text)] = 1
        places = torch.from_numpy(trained.copy()).nonzero()[:, 0]
        labels[row, places] = ids[row, places]
    theirs.zero_grad()
    output = theirs(input_ids=ids, attention_mask=attention, labels=labels)
    output.loss.backward()
    found = ours(model, tokens)
    assert found["count"] == int((labels != -100).sum())
    assert found["loss"] == pytest.approx(output.loss.item(), abs=1e-5)
    gradients = {n: p.grad for n, p in theirs.named_parameters() if "mlp.down_proj" in n}
    assert len(gradients) == model.config.n_layers
    for name, gradient in gradients.items():
        mine = found["gradients"][name] / found["count"]
        torch.testing.assert_close(mine, gradient, rtol=1e-4, atol=1e-5)


def test_loss_equals_trl(
    model: Transformer, theirs: Any, tokens: DialogueTokens, tmp_path: Path
) -> None:
    pytest.importorskip("trl", reason="TRL is an optional oracle: pip install trl==1.12.0")
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"input_ids": ids.tolist(), "assistant_masks": trained.astype(int).tolist()}
        for ids, trained in (tokens[index] for index in range(len(tokens)))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(
            model=theirs,
            args=SFTConfig(
                output_dir=str(tmp_path), per_device_train_batch_size=len(rows), report_to=[],
                use_cpu=True, bf16=False, gradient_checkpointing=False,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(theirs.config._name_or_path),
        )  # fmt: skip
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
        with torch.no_grad():
            loss = trainer.compute_loss(theirs, batch)
    assert ours(model, tokens)["loss"] == pytest.approx(float(loss), abs=1e-5)
