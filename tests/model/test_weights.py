from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from llamakit.errors import InputError
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import (
    load_config,
    load_model,
    load_reward_model,
    load_vocabulary,
    reward_from_model,
    save_model,
    save_reward_model,
)
from llamakit.text.vocabulary import Vocabulary

Make = Callable[..., Transformer]
Rows = Callable[..., list[list[int]]]

SHAPES = [
    {"n_kv_heads": 4},
    {"n_kv_heads": 2, "rope_theta": 500.0, "norm_eps": 1e-3},
    {"n_kv_heads": 1},
    {"n_kv_heads": 2, "tie_embeddings": True},
]
NAMES = ["multi-head", "grouped, other theta", "multi-query", "tied"]


@pytest.fixture(params=SHAPES, ids=NAMES)
def model(request: pytest.FixtureRequest, make_model: Make) -> Transformer:
    return make_model(**request.param)


def test_transformers_computes_the_same_logits(
    model: Transformer, vocabulary: Vocabulary, rows: Rows, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    save_model(tmp_path, model, vocabulary, chat=True, card="")
    other = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids_BL = torch.tensor(rows(40, 40))
    with torch.no_grad():
        torch.testing.assert_close(
            model.logits(model(ids_BL)), other(ids_BL).logits, atol=1e-4, rtol=0
        )
    assert type(other).__name__ == "LlamaForCausalLM"
    assert other.generation_config.eos_token_id == vocabulary.eos


def test_transformers_computes_the_same_rewards(
    model: Transformer, vocabulary: Vocabulary, rows: Rows, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    reward = reward_from_model(model, seed=4)
    save_reward_model(tmp_path, reward, vocabulary, card="")
    other = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    short, long = rows(9, 31)
    ids_BL = torch.tensor([[*short, *[vocabulary.pad] * 22], long])
    mask_BL = torch.tensor([[1] * 9 + [0] * 22, [1] * 31])
    with torch.no_grad():
        wanted_B = other(ids_BL, attention_mask=mask_BL).logits[:, 0]
        found_B = reward(ids_BL, torch.tensor([9, 31]))
    torch.testing.assert_close(found_B, wanted_B, atol=1e-4, rtol=0)


def test_transformers_saves_what_is_read_here(
    model: Transformer, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    save_model(tmp_path / "ours", model, vocabulary, chat=True, card="")
    AutoModelForCausalLM.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    assert_same(load_model(tmp_path / "theirs"), model)


def assert_same(a: torch.nn.Module, b: torch.nn.Module) -> None:
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def test_back_as_it_was(model: Transformer, vocabulary: Vocabulary, tmp_path: Path) -> None:
    save_model(tmp_path, model, vocabulary, chat=True, card="# A model\n")
    again = load_model(tmp_path)
    assert again.config == model.config
    assert_same(again, model)
    assert not again.training
    assert all(weight.requires_grad for weight in again.parameters())
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# A model\n"
    assert load_vocabulary(tmp_path).encode("Mira") == vocabulary.encode("Mira")


def test_same_weights_same_bytes(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_model(tmp_path / name, make_model(), vocabulary, chat=True, card="")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_precision(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    model = make_model()
    save_model(tmp_path / "fp32", model, vocabulary, chat=False, card="")
    half = load_model(tmp_path / "fp32", dtype="bf16")
    assert {weight.dtype for weight in half.parameters()} == {torch.bfloat16}
    save_model(tmp_path / "bf16", half, vocabulary, chat=False, card="")
    assert json.loads((tmp_path / "bf16" / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert_same(load_model(tmp_path / "bf16", dtype="bf16"), model.bfloat16())


def test_several_files(
    model: Transformer, vocabulary: Vocabulary, rows: Rows, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    save_model(tmp_path, model, vocabulary, chat=True, card="", shard_bytes=100_000)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert_same(load_model(tmp_path), model)
    other = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids_BL = torch.tensor(rows(10))
    with torch.no_grad():
        wanted = other(ids_BL).logits
        torch.testing.assert_close(model.logits(model(ids_BL)), wanted, atol=1e-4, rtol=0)


def test_reward_model_back_as_it_was(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    base = make_model()
    reward = reward_from_model(base, seed=4)
    save_reward_model(tmp_path, reward, vocabulary, card="", shard_bytes=100_000)
    again = load_reward_model(tmp_path)
    assert isinstance(again, RewardModel)
    assert_same(again, reward)


def test_a_reward_model_is_a_copy(make_model: Make) -> None:
    base = make_model()
    reward = reward_from_model(base, seed=4)
    assert_same(reward.body, base.body)
    with torch.no_grad():
        reward.body.norm.weight.zero_()
    assert base.body.norm.weight.all()
    assert torch.equal(reward.score.weight, reward_from_model(base, seed=4).score.weight)
    assert not torch.equal(reward.score.weight, reward_from_model(base, seed=5).score.weight)
    assert all(weight.requires_grad for weight in reward.parameters())


def test_kinds_are_not_confused(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    with pytest.raises(InputError, match="LlamaForCausalLM, not a LlamaForSequenceClass"):
        load_reward_model(tmp_path)


def test_vocabulary_of_another_size(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="320 pieces, the model 400"):
        save_model(tmp_path, make_model(vocab_size=400), vocabulary, chat=True, card="")


def test_broken_folders(make_model: Make, vocabulary: Vocabulary, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        load_model(tmp_path)
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "intermediate_size": 100}))
    with pytest.raises(
        InputError, match=r"shape \(96, 64\) where config\.json asks for \(100, 64\)"
    ):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**values, "num_hidden_layers": 4}))
    with pytest.raises(InputError, match=r"lack model\.layers\.3"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_bytes(b'{"hidden_size\xff": 64}')
    with pytest.raises(InputError, match="not valid JSON"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="not readable"):
        load_model(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match="not readable"):
        load_model(tmp_path)
    assert load_config(tmp_path).dim == 64


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[1, 2]", "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"architectures": 7}', "of a 7, not a LlamaForCausalLM"),
        ('{"architectures": "LlamaForCausalLM", "model_type": "llama"}', "not a LlamaForCausalLM"),
    ],
)
def test_a_config_of_another_type(
    text: str, says: str, make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=says):
        load_model(tmp_path)


def test_a_config_of_more_weights_than_there_are_is_refused_before_it_is_built(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "num_hidden_layers": 10**9}))
    with pytest.raises(InputError, match=r"asks for [0-9,]+ weights"):
        load_model(tmp_path)


def test_weights_that_are_no_numbers_with_a_point_are_refused(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "lm_head.weight": tensors["lm_head.weight"].to(torch.int64)}, path)
    with pytest.raises(InputError, match=r"lm_head\.weight is stored as int64"):
        load_model(tmp_path)


@pytest.mark.parametrize("index", ['{"weight_map": 3}', "{}", '{"weight_map": {"a": "../b"}}'])
def test_an_index_that_names_no_files_beside_it(
    index: str, make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    save_model(tmp_path, make_model(), vocabulary, chat=True, card="")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InputError, match="weight_map"):
        load_model(tmp_path)


@pytest.mark.parametrize("chat", [True, False])
def test_transformers_tokenizes_the_same(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, chat: bool
) -> None:
    from transformers import AutoTokenizer

    save_model(tmp_path, make_model(), vocabulary, chat=chat, card="")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "Mira paid  1984 coins\nж"
    assert tokenizer(text)["input_ids"] == vocabulary.encode(text, bos=True)
    assert (tokenizer.chat_template is not None) == chat
