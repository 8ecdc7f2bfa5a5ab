from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import chain

import pytest
import torch
from torch import Tensor

from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import RewardModel, Transformer

Make = Callable[..., Transformer]
Rows = Callable[..., list[list[int]]]


def logits(model: Transformer, ids: list[int]) -> Tensor:
    with torch.no_grad():
        return model.logits(model(torch.tensor([ids])))[0]


def slow_logits(model: Transformer, ids: list[int]) -> Tensor:
    """The whole model again, one position and one head at a time, in float64."""
    w = {name: value.double() for name, value in model.state_dict().items()}
    config = model.config
    width, shared = config.head_dim, config.n_heads // config.n_kv_heads

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return x / (x.pow(2).mean() + config.norm_eps).sqrt() * weight

    def rotate(x: Tensor, position: int) -> Tensor:
        out = x.clone()
        for i in range(width // 2):
            angle = torch.tensor(position * config.rope_theta ** (-2 * i / width)).double()
            a, b = x[i], x[i + width // 2]
            out[i] = a * angle.cos() - b * angle.sin()
            out[i + width // 2] = b * angle.cos() + a * angle.sin()
        return out

    xs = [w["model.embed_tokens.weight"][i] for i in ids]
    for layer in range(config.n_layers):
        name = f"model.layers.{layer}."
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for position, x in enumerate(xs):
            h = norm(x, w[name + "input_layernorm.weight"])
            q, k, v = (w[f"{name}self_attn.{part}_proj.weight"] @ h for part in "qkv")
            keys.append(torch.stack([rotate(head, position) for head in k.split(width)]))
            values.append(torch.stack(list(v.split(width))))
            heads = []
            for index, head in enumerate(q.split(width)):
                query, group = rotate(head, position), index // shared
                scores = torch.stack([query @ key[group] for key in keys]) / width**0.5
                shares = scores.softmax(0)
                heads.append(sum(s * v[group] for s, v in zip(shares, values, strict=True)))
            x = x + w[name + "self_attn.o_proj.weight"] @ torch.cat(heads)  # noqa: PLW2901
            h = norm(x, w[name + "post_attention_layernorm.weight"])
            gate = w[name + "mlp.gate_proj.weight"] @ h
            inner = gate * gate.sigmoid() * (w[name + "mlp.up_proj.weight"] @ h)
            xs[position] = x + w[name + "mlp.down_proj.weight"] @ inner
    head = w["lm_head.weight"]
    return torch.stack([head @ norm(x, w["model.norm.weight"]) for x in xs])


def test_equals_a_slow_reference(make_model: Make, rows: Rows) -> None:
    model, (ids,) = make_model(), rows(9)
    torch.testing.assert_close(
        logits(model, ids).double(), slow_logits(model, ids), atol=1e-4, rtol=1e-4
    )


def test_a_row_does_not_depend_on_its_batch(make_model: Make, rows: Rows) -> None:
    model = make_model()
    short, long = rows(7, 20)
    ids_BL = torch.tensor([[*short, *[0] * 13], long])
    with torch.no_grad():
        hidden_BLD = model(ids_BL, lengths_B=torch.tensor([7, 20]))
    torch.testing.assert_close(model.logits(hidden_BLD[0, :7]), logits(model, short))
    torch.testing.assert_close(model.logits(hidden_BLD[1]), logits(model, long))
    assert not hidden_BLD[0, 7:].any()


def test_left_padding(make_model: Make, rows: Rows) -> None:
    model = make_model()
    short, long = rows(7, 20)
    ids_BL = torch.tensor([[*[0] * 13, *short], long])
    with torch.no_grad():
        hidden_BLD = model(ids_BL, starts_B=torch.tensor([13, 0]))
    assert hidden_BLD.isfinite().all()
    torch.testing.assert_close(model.logits(hidden_BLD[0, 13:]), logits(model, short))
    torch.testing.assert_close(model.logits(hidden_BLD[1]), logits(model, long))


def test_packed_segments_do_not_see_each_other(make_model: Make, rows: Rows) -> None:
    model = make_model()
    texts = rows(5, 8, 6)
    ids_BL = torch.tensor([list(chain(*texts))])
    segments_BL = torch.tensor([[0] * 5 + [1] * 8 + [2] * 6])
    with torch.no_grad():
        found = model.logits(model(ids_BL, segments_BL=segments_BL))[0].split([5, 8, 6])
    for text, part in zip(texts, found, strict=True):
        torch.testing.assert_close(part, logits(model, text))


def test_packed_gradients_equal_unpacked(make_model: Make, rows: Rows) -> None:
    model = make_model()
    texts = rows(5, 8)
    packed = model(
        torch.tensor([list(chain(*texts))]), segments_BL=torch.tensor([[0] * 5 + [1] * 8])
    )
    packed.pow(2).sum().backward()
    wanted = {name: weight.grad.clone() for name, weight in model.model.named_parameters()}
    model.zero_grad()
    for text in texts:
        model(torch.tensor([text])).pow(2).sum().backward()
    for name, weight in model.model.named_parameters():
        torch.testing.assert_close(weight.grad, wanted[name], atol=1e-3, rtol=1e-4)


def test_explicit_positions(make_model: Make, rows: Rows) -> None:
    """Rotation is relative: moving all positions changes nothing; stretching them does."""
    model, (ids,) = make_model(), rows(9)
    ids_BL, places_BL = torch.tensor([ids]), torch.arange(9)[None]
    with torch.no_grad():
        plain = model(ids_BL)
        torch.testing.assert_close(
            model(ids_BL, positions_BL=places_BL + 5), plain, atol=1e-4, rtol=1e-4
        )
        assert not torch.allclose(model(ids_BL, positions_BL=places_BL * 3), plain, atol=1e-2)


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
@pytest.mark.parametrize("steps", [[12], [5, 7], [5, 1, 1, 3, 2], [1] * 12])
def test_cache(make_model: Make, rows: Rows, n_kv_heads: int, steps: list[int]) -> None:
    model, (ids,) = make_model(n_kv_heads=n_kv_heads), rows(12)
    cache = KVCache.for_model(model, model.config, rows=1, capacity=12)
    with torch.no_grad():
        parts = [model(part, cache=cache) for part in torch.tensor([ids]).split(steps, dim=1)]
    torch.testing.assert_close(model.logits(torch.cat(parts, 1))[0], logits(model, ids))


def test_cache_with_left_padding(make_model: Make, rows: Rows) -> None:
    model = make_model()
    short, long = rows(7, 12)
    ids_BL = torch.tensor([[*[0] * 5, *short], long])
    cache = KVCache.for_model(model, model.config, 2, 12, starts_B=torch.tensor([5, 0]))
    with torch.no_grad():
        parts = [model(part, cache=cache) for part in ids_BL.split([6, 4, 1, 1], dim=1)]
    found = model.logits(torch.cat(parts, 1))
    torch.testing.assert_close(found[0, 5:], logits(model, short))
    torch.testing.assert_close(found[1], logits(model, long))


def test_bf16_is_near_fp32(make_model: Make, rows: Rows) -> None:
    model, (ids,) = make_model(), rows(30)
    wanted = logits(model, ids).softmax(-1)
    found = logits(model.bfloat16(), ids)
    assert found.dtype == torch.bfloat16
    assert (found.float().softmax(-1) - wanted).abs().max() < 0.05


def test_initialisation_follows_the_seed(config: ModelConfig) -> None:
    first, again, other = Transformer(config, 3), Transformer(config, 3), Transformer(config, 4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert value.ndim == 1 or not torch.equal(value, other.state_dict()[name])


def test_initialisation_sizes() -> None:
    model = Transformer(ModelConfig(256, 8, 4, 4, 512, 1000, 64))
    std = {
        name: float(value.detach().std())
        for name, value in model.named_parameters()
        if value.ndim == 2
    }
    for name, found in std.items():
        wanted = 0.02 / 4 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.02
        assert found == pytest.approx(wanted, rel=0.05), name


def test_tied_embeddings_share_one_matrix(make_model: Make) -> None:
    model = make_model(tie_embeddings=True)
    assert model.head_weight is model.model.embed_tokens.weight


@torch.no_grad()
def test_reward_reads_the_last_real_token(config: ModelConfig, rows: Rows) -> None:
    model = RewardModel(config, seed=2).eval()
    short, long = rows(7, 20)
    alone = [float(model(torch.tensor([ids]), torch.tensor([len(ids)]))) for ids in (short, long)]
    for padding in (0, 2, 77):
        ids_BL = torch.tensor([[*short, *[padding] * 13], long])
        together = model(ids_BL, torch.tensor([7, 20]))
        assert together.tolist() == pytest.approx(alone, abs=1e-5)
    hidden_BLD = model.body(torch.tensor([short]))
    assert float(model.score(hidden_BLD[0, -1])) == pytest.approx(alone[0], abs=1e-5)


def test_reward_head_size(config: ModelConfig) -> None:
    wide = dataclasses.replace(config, dim=4096, n_layers=1, n_heads=64)
    std = float(RewardModel(wide).score.weight.detach().std())
    assert std == pytest.approx((4096 + 1) ** -0.5, rel=0.05)


# torch warns of its own doings while it traces a function with a gradient of its own.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_blocks_are_one_graph_and_change_nothing_else(
    make_model: Make, rows: Rows, dtype: torch.dtype
) -> None:
    """Traced whole, forward and backward, by a backend that leaves the arithmetic as it is."""
    torch._dynamo.reset()
    plain, compiled = make_model().to(dtype), make_model().to(dtype)
    compiled.compile(backend="aot_eager", fullgraph=True)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    ids_BL = torch.tensor(rows(12, 12))
    for ids in (ids_BL, ids_BL[:, :9], ids_BL[:1]):
        found, wanted = (m(ids).float() for m in (compiled, plain))
        torch.testing.assert_close(found, wanted)
        for model, hidden in ((compiled, found), (plain, wanted)):
            model.zero_grad()
            hidden.square().sum().backward()
        for a, b in zip(compiled.body.parameters(), plain.body.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, atol=1e-3, rtol=1e-2)
    cache = KVCache.for_model(compiled, compiled.config, 1, 12)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        assert compiled(ids_BL[:1], cache=cache).isfinite().all()
