"""Adapters: what they compute, that merging changes nothing, and that PEFT reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from llamakit.errors import InputError, UsageError
from llamakit.model.decoding import CompiledReader, TorchReader, reader_for
from llamakit.model.exchange.huggingface import open_huggingface
from llamakit.model.exchange.peft import with_adapter, write_adapter
from llamakit.model.exchange.sources import named_files
from llamakit.model.lora import (
    TARGETS,
    Lora,
    LoraLinear,
    MergedWeights,
    adapted,
    add_lora,
    lora_of,
    merged_lora,
    without_lora,
)
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import load_model, reward_from_model, save_model, save_reward_model
from llamakit.text.vocabulary import Vocabulary

Make = Callable[..., Transformer]
LORA = Lora(rank=3, alpha=5.0, targets=TARGETS)
IDS = torch.arange(1, 25).view(2, 12)


def trained(model: Transformer | RewardModel, lora: Lora = LORA) -> None:
    """Put adapters into a model, and numbers into what starts at zero."""
    add_lora(model, lora, seed=4)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for module in adapted(model):
            module.lora_B.normal_(0, 0.3, generator=generator)


@torch.no_grad()
def logits(model: Transformer) -> torch.Tensor:
    return model.logits(model(IDS))


def test_an_adapter_is_a_product_of_two_small_matrices(make_model: Make) -> None:
    model = make_model()
    trained(model)
    module = adapted(model)[0]
    x = torch.randn(5, module.in_features, generator=torch.Generator().manual_seed(1))
    expected = x @ module.weight.T + 5.0 / 3 * (x @ module.lora_A.T @ module.lora_B.T)
    assert torch.allclose(module(x), expected, atol=1e-5)


def test_training_starts_from_the_model_as_it_was(make_model: Make) -> None:
    plain, model = make_model(), make_model()
    add_lora(model, LORA, seed=0)
    assert torch.equal(logits(model), logits(plain))


def test_only_adapters_are_trained(make_model: Make) -> None:
    model = make_model()
    trained(model, Lora(2, 4.0, ("q_proj", "down_proj")))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    moving = {name for name, p in model.named_parameters() if p.requires_grad}
    assert moving == {name for name in before if name.endswith(("lora_A", "lora_B"))}
    assert len(moving) == 2 * 2 * model.config.n_layers
    lora = Lora(2, 4.0, ("q_proj", "down_proj"))
    assert sum(before[name].numel() for name in moving) == lora.parameters(model.config)
    model.logits(model(IDS)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == (name in moving)
        assert torch.equal(parameter, before[name])


def test_a_reward_models_new_head_is_trained_whole(make_model: Make) -> None:
    model = reward_from_model(make_model(), seed=2)
    add_lora(model, LORA, seed=0)
    assert model.score.weight.requires_grad
    assert not model.model.embed_tokens.weight.requires_grad


def test_merged_is_the_same_model_and_comes_back_unchanged(make_model: Make) -> None:
    model = make_model()
    base = logits(model)
    trained(model)
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    adapted_logits = logits(model)
    assert (adapted_logits - base).abs().max() > 0.1
    with merged_lora(model):
        assert (logits(model) - adapted_logits).abs().max() < 1e-4
    with without_lora(model):
        assert torch.equal(logits(model), base)
    assert torch.equal(logits(model), adapted_logits)
    assert all(torch.equal(p, kept[name]) for name, p in model.named_parameters())
    whole = make_model()
    whole.load_state_dict(dict(MergedWeights(model.state_dict(), LORA)))
    assert (logits(whole) - adapted_logits).abs().max() < 1e-4


def test_the_compiled_reader_takes_no_adapter_for_a_matrix(make_model: Make) -> None:
    model = make_model()
    trained(model)
    prompts = [[1, 5, 9], [1, 7, 2, 4]]
    read = reader_for(model)
    assert isinstance(read, TorchReader)
    with torch.no_grad():
        expected = read.start(prompts, [0, 1], 4).clone()
    with merged_lora(model):
        merged = reader_for(model)
        assert isinstance(merged, CompiledReader)
        found = merged.start(prompts, [0, 1], 4).clone()
        merged.close()
    assert (found - expected).abs().max() < 1e-3


# PEFT asks transformers for what transformers calls otherwise by now.
quiet = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@quiet
@pytest.mark.parametrize("reward", [False, True])
def test_peft_reads_the_adapter(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, *, reward: bool
) -> None:
    """PeftModel on the start model plus the adapter, and the merged model: the same numbers."""
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    # Logits of order one: 1e-5 of them is what fp32 leaves.
    start = Transformer(make_model().config, seed=1)
    save_model(tmp_path / "start", start, vocabulary, chat=True, card="")
    model = reward_from_model(start, seed=3) if reward else start
    trained(model, lora := Lora(4, 8.0, ("q_proj", "v_proj", "down_proj")))
    weights = model.state_dict()
    write_adapter(tmp_path / "merged" / "adapter", weights, lora, reward=reward)
    merged = MergedWeights(weights, lora)
    kind = "SequenceClassification" if reward else "CausalLM"
    automatic = getattr(transformers, f"AutoModelFor{kind}")
    if reward:
        save_reward_model(tmp_path / "merged", model, vocabulary, card="", weights=merged)
    else:
        save_model(tmp_path / "merged", model, vocabulary, chat=True, card="", weights=merged)
    with torch.random.fork_rng(), torch.no_grad():
        options: dict[str, Any] = {"num_labels": 1} if reward else {}
        base = automatic.from_pretrained(tmp_path / "start", dtype=torch.float32, **options)
        theirs = peft.PeftModel.from_pretrained(base, tmp_path / "merged" / "adapter").eval()
        ours = automatic.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
        assert (theirs(IDS).logits - ours(IDS).logits).abs().max() < 1e-5
        plain = automatic.from_pretrained(tmp_path / "start", dtype=torch.float32, **options)
        assert (plain(IDS).logits - ours(IDS).logits).abs().max() > 1e-3


@quiet
def test_an_adapter_of_peft_is_merged_on_import(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    save_model(
        tmp_path / "start", Transformer(make_model().config, 1), vocabulary, chat=True, card=""
    )
    with torch.random.fork_rng(), torch.no_grad():
        base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "start")
        settings = peft.LoraConfig(
            r=4, lora_alpha=3, target_modules=["o_proj", "up_proj"], use_rslora=True,
            init_lora_weights=False,
        )  # fmt: skip
        theirs = peft.get_peft_model(base, settings)
        theirs.save_pretrained(tmp_path / "adapter")
        expected = theirs(IDS).logits
    opened = open_huggingface(named_files([tmp_path / "start"]))
    opened = with_adapter(opened, tmp_path / "adapter")
    merged = load_model(tmp_path / "start")
    merged.load_state_dict({name: opened.read(name) for name in opened.shapes})
    assert (logits(merged) - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "DoRA"),
        ({"rank_pattern": {"q_proj": 2}}, "layer to layer"),
        ({"bias": "all"}, "biases"),
        ({"r": 0}, "r 0"),
        ({"lora_alpha": "eight"}, "lora_alpha"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    model = make_model()
    save_model(tmp_path / "start", model, vocabulary, chat=True, card="")
    trained(model)
    write_adapter(tmp_path / "adapter", model.state_dict(), LORA, reward=False)
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    opened = open_huggingface(named_files([tmp_path / "start"]))
    with pytest.raises(InputError, match=told):
        with_adapter(opened, tmp_path / "adapter")


def test_an_adapter_of_another_model_is_refused(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    save_model(tmp_path / "start", make_model(), vocabulary, chat=True, card="")
    model = make_model(dim=32)
    trained(model)
    write_adapter(tmp_path / "adapter", model.state_dict(), LORA, reward=False)
    opened = open_huggingface(named_files([tmp_path / "start"]))
    with pytest.raises(InputError, match="shapes"):
        with_adapter(opened, tmp_path / "adapter")
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({"base_model.model.lm_head.weight": tensors[sorted(tensors)[0]]}, weights)
    with pytest.raises(InputError, match="lm_head"):
        with_adapter(opened, tmp_path / "adapter")
    weights.unlink()
    with pytest.raises(InputError, match="adapter_model"):
        with_adapter(opened, tmp_path / "adapter")


def test_fields_become_adapters() -> None:
    assert lora_of(0, None, ["q_proj"], "sft") is None
    assert lora_of(8, None, ["v_proj", "q_proj"], "sft") == Lora(8, 16.0, ("q_proj", "v_proj"))
    with pytest.raises(UsageError, match="Did you mean 'q_proj'"):
        lora_of(8, None, ["q_pro"], "sft")
    with pytest.raises(UsageError, match="nothing would be trained"):
        lora_of(8, None, [], "sft")


def test_bf16(make_model: Make) -> None:
    model = make_model()
    trained(model)
    exact = logits(model)
    model.to(torch.bfloat16)
    assert all(isinstance(m, LoraLinear) for m in adapted(model))
    assert (logits(model).float() - exact).abs().mean() < 0.05 * exact.abs().mean()
