from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import torch

from llamakit.engine import native, vectors
from llamakit.model import decoding
from llamakit.model.arithmetic import exp, number, word
from llamakit.model.decoding import CompiledReader, TorchReader, reader_for
from llamakit.model.transformer import Transformer
from tests.model.products import multiply_bf16, multiply_fp32

Make = Callable[..., Transformer]
Rows = Callable[..., list[list[int]]]

SHAPES = {
    "grouped": {},
    "one head's keys for all": {"n_kv_heads": 1},
    "each its own": {"n_kv_heads": 4, "tie_embeddings": True},
    "no multiple of anything": {
        "dim": 42, "n_heads": 3, "n_kv_heads": 3, "ffn_dim": 71, "vocab_size": 323
    },
    "wide heads, other angles": {"head_width": 26, "rope_theta": 500.0, "norm_eps": 1e-3},
}  # fmt: skip


@pytest.fixture(autouse=True)
def torch_threads() -> Iterator[None]:
    """Readers leave torch's own threads as they were."""
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.fixture
def on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[Transformer, int], CompiledReader]]:
    """Makes a reader of so many threads, however small the model."""
    before = torch.get_num_threads()

    def make(model: Transformer, threads: int) -> CompiledReader:
        monkeypatch.setattr(decoding, "_WEIGHTS_A_THREAD", 1)
        torch.set_num_threads(threads)
        reader = CompiledReader(model)
        assert reader.threads == threads
        return reader

    yield make
    torch.set_num_threads(before)


def forced(
    reader: decoding.Reader, prompts: list[list[int]], text_BL: torch.Tensor
) -> torch.Tensor:
    """Logits [L + 1, B, V] after the prompts and after each token of given texts."""
    with torch.no_grad(), closing(reader):
        found = [reader.start(prompts, range(len(prompts)), text_BL.shape[1]).clone()]
        found += [reader.step(tokens_B).clone() for tokens_B in text_BL.T]
    return torch.stack(found)


def read_alone(model: Transformer, prompt: list[int], text_L: torch.Tensor) -> torch.Tensor:
    """The same of one row by one forward pass without a cache, [L + 1, V]."""
    with torch.no_grad():
        hidden_BLD = model(torch.tensor([prompt + text_L.tolist()]))
        return model.logits(hidden_BLD[0, len(prompt) - 1 :]).float()


def texts(rows: int, length: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(3, 320, (rows, length), generator=generator)


@pytest.mark.parametrize("reader", [CompiledReader, TorchReader])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_logits_equal_a_pass_without_cache(
    make_model: Make, rows: Rows, shape: dict[str, object], reader: Callable[..., decoding.Reader]
) -> None:
    model = make_model(**shape)
    prompts = rows(5, 1, 17, 64, 2, 5, 30)
    text_BL = texts(len(prompts))
    found_LBV = forced(reader(model), prompts, text_BL)
    for b, prompt in enumerate(prompts):
        wanted_LV = read_alone(model, prompt, text_BL[b])
        assert wanted_LV.abs().max() > 1
        torch.testing.assert_close(found_LBV[:, b], wanted_LV, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_row_is_the_same_to_the_bit_in_any_company(
    make_model: Make,
    rows: Rows,
    dtype: torch.dtype,
    on_threads: Callable[[Transformer, int], CompiledReader],
) -> None:
    model = make_model().to(dtype)
    prompts = rows(5, 1, 17, 64, 2, 5, 30, 9, 12)
    text_BL = texts(len(prompts))
    together_LBV = forced(CompiledReader(model), prompts, text_BL)
    for b, prompt in enumerate(prompts):
        alone_LBV = forced(CompiledReader(model), [prompt], text_BL[b : b + 1])
        assert torch.equal(together_LBV[:, b], alone_LBV[:, 0])
    for threads in (2, 3):
        assert torch.equal(forced(on_threads(model, threads), prompts, text_BL), together_LBV)


def test_long_prompts_are_read_in_parts(
    make_model: Make, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts that end within prompts, between them, and that hold several ends."""
    model = make_model()
    prompts = rows(30, 10, 1, 1, 22, 64)
    text_BL = texts(len(prompts))
    whole_LBV = forced(CompiledReader(model), prompts, text_BL)
    for size in (1, 6, 20, 63):
        monkeypatch.setattr(decoding, "_READ_AT_ONCE", size)
        assert torch.equal(forced(CompiledReader(model), prompts, text_BL), whole_LBV)


def test_bf16_is_read_as_it_is(make_model: Make, rows: Rows) -> None:
    """Only the cache is rounded: nearer to exact arithmetic on these weights than torch's bf16."""
    model = make_model().bfloat16()
    exact = make_model()
    exact.load_state_dict(model.state_dict())
    prompts = rows(5, 17, 64)
    text_BL = texts(len(prompts))
    wanted_LBV = torch.stack(
        [read_alone(exact, prompt, text_BL[b]) for b, prompt in enumerate(prompts)], dim=1
    )
    compiled = (forced(CompiledReader(model), prompts, text_BL) - wanted_LBV).abs().max()
    by_torch = (forced(TorchReader(model), prompts, text_BL) - wanted_LBV).abs().max()
    assert 0 < compiled < 0.05 * wanted_LBV.abs().max()
    assert compiled < by_torch


@pytest.mark.parametrize("reader", [CompiledReader, TorchReader])
def test_rows_leave_and_share_a_prompt(
    make_model: Make, rows: Rows, reader: Callable[..., decoding.Reader]
) -> None:
    model = make_model()
    prompts = rows(9, 4)
    text_BL = texts(4)
    with torch.no_grad(), closing(reader(model)) as made:
        made.start(prompts, [0, 1, 0, 0], 7)
        made.step(text_BL[:, 0])
        made.keep([3, 1])
        made.step(text_BL[[3, 1], 1])
        made.keep([1])
        found_V = made.step(text_BL[[1], 2])[0]
    wanted_V = read_alone(model, prompts[1], text_BL[1, :3])[-1]
    torch.testing.assert_close(found_V, wanted_V, atol=1e-4, rtol=0)


def test_nothing_outside_the_arrays_is_touched(make_model: Make, rows: Rows) -> None:
    model = make_model()
    with closing(CompiledReader(model)) as reader:
        reader.start(rows(4), [0], 2)
        with pytest.raises(IndexError, match="0-319"):
            reader.step(torch.tensor([320]))
        with pytest.raises(IndexError, match="0-319"):
            reader.step(torch.tensor([-1]))
        reader.step(torch.tensor([5]))
        reader.step(torch.tensor([5]))
        with pytest.raises(ValueError, match="more than 6 tokens"):
            reader.step(torch.tensor([5]))


def test_weights_are_read_where_the_model_keeps_them(make_model: Make, rows: Rows) -> None:
    """So that a model in training needs no second copy, and is read as it is now."""
    model = make_model()
    with closing(CompiledReader(model)) as reader:
        reader.start(rows(4), [0], 4)
        before_BV = reader.step(torch.tensor([5])).clone()
        with torch.no_grad():
            model.head_weight.mul_(2.0)
        reader.start(rows(4), [0], 4)
        torch.testing.assert_close(reader.step(torch.tensor([5])), before_BV * 2)


def test_torch_reads_what_the_kernel_cannot(make_model: Make) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        with closing(reader_for(make_model().to(dtype))) as reader:
            assert isinstance(reader, CompiledReader)
    mixed = make_model()
    mixed.model.norm.bfloat16()
    turned = make_model()
    weight = turned.model.layers[0].mlp.up_proj.weight  # type: ignore[union-attr]
    weight.data = weight.data.T.contiguous().T  # type: ignore[operator, union-attr]
    for model in (make_model().half(), mixed, turned):
        assert isinstance(reader_for(model), TorchReader)


def test_a_signal_leaves_no_thread_waiting(
    make_model: Make, rows: Rows, on_threads: Callable[[Transformer, int], CompiledReader]
) -> None:
    reader = on_threads(make_model(), 3)
    reader.start(rows(4), [0], 50)

    def interrupted() -> None:
        # What a signal's handler does; the signal itself may be ignored where tests run.
        raise KeyboardInterrupt

    reader.calls[0] = interrupted
    with pytest.raises(KeyboardInterrupt):
        reader.step(torch.tensor([5]))
    reader.close()
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_exponentials() -> None:
    x = np.linspace(-87, 0, 20_001, dtype=np.float32)
    found = np.array([exp(power) for power in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=6e-6)
    near = x > -1
    np.testing.assert_allclose(found[near], np.exp(x[near].astype(np.float64)), rtol=4e-7)
    assert exp(np.float32(-1e30)) < 1e-37
    assert exp(np.float32(0)) == 1


def test_words_are_rounded_as_torch_rounds() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(5000, generator=generator) * 10 ** torch.randn(5000, generator=generator)
    halves = (torch.arange(200, dtype=torch.int32) * 0x8000 + 0x3F800000).view(torch.float32)
    numbers = torch.cat([numbers, halves, torch.tensor([0.0, -0.0, 1e-40])])
    wanted = numbers.bfloat16().view(torch.uint16).numpy()
    found = np.array([word(value, 16) for value in numbers.numpy()])
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(
        [number(stored, 16) for stored in wanted], numbers.bfloat16().float()
    )
    exact = numbers.numpy()
    np.testing.assert_array_equal([number(word(value, 0), 0) for value in exact], exact)


def test_either_reader_writes_the_same_greedy_text(make_model: Make) -> None:
    model = make_model(max_seq_len=300)
    found = []
    for reader in (CompiledReader, TorchReader):
        with torch.no_grad(), closing(reader(model)) as made:
            tokens = [int(made.start([[1, 5, 9]], [0], 200).argmax())]
            for _ in range(100):
                tokens.append(int(made.step(torch.tensor(tokens[-1:])).argmax()))
        found.append(tokens)
    assert found[0] == found[1]
    assert len(set(found[0])) > 5


def test_readers_at_once_give_torch_its_threads_back(
    make_model: Make, on_threads: Callable[[Transformer, int], CompiledReader]
) -> None:
    """In whatever order they end, and on whichever thread; also where one is closed twice."""
    model = make_model()
    first = on_threads(model, 3)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(CompiledReader, model).result()
        assert (torch.get_num_threads(), second.threads) == (1, 3)
        first.close()
        first.close()
        pool.submit(second.close).result()
        assert (torch.get_num_threads(), pool.submit(torch.get_num_threads).result()) == (3, 3)
    third = CompiledReader(model)
    assert third.threads == 3
    third.close()


@pytest.fixture(scope="module", params=["as this processor can", "one by one"])
def products(request: pytest.FixtureRequest) -> Iterator[str]:
    """Kernels as they are here, or as they are where bf16 is not multiplied in pairs."""
    kernels = multiply_bf16.__module__
    with pytest.MonkeyPatch.context() as changed:
        if request.param == "one by one":
            changed.setattr(vectors, "processor_has_pairs", lambda: False)
            changed.setattr(native, "_folders", lambda module: [])
        changed.delitem(native._LOADED, kernels, raising=False)
        yield request.param
        native._LOADED.pop(kernels, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [1, 2, 7])
@pytest.mark.parametrize(("width", "outputs"), [(64, 32), (42, 23), (7, 3), (100, 17)])
def test_products(products: str, dtype: torch.dtype, tokens: int, width: int, outputs: int) -> None:
    """Sums in fp32 of numbers of the weights' type, and nothing written beside them."""
    assert products
    generator = torch.Generator().manual_seed(7)
    x_ND = torch.randn(8, width, generator=generator).to(dtype)
    w_ED = torch.randn(outputs, width, generator=generator).to(dtype)
    out_NE = torch.full((8, outputs + 5), 2.0)
    wanted = (x_ND.double() @ w_ED.double().T).numpy()
    words = torch.uint16 if dtype == torch.bfloat16 else torch.uint32
    by = multiply_bf16 if dtype == torch.bfloat16 else multiply_fp32
    first, last = 1, outputs - 1
    arrays = [t.view(words).numpy() for t in (x_ND, w_ED)]
    shift = 16 if dtype == torch.bfloat16 else 0
    for add in (0, 1):
        by(*arrays, first, last, out_NE.numpy(), 3, tokens, add, shift)
        found = out_NE[:tokens, 3 + first : 3 + last].numpy()
        np.testing.assert_allclose(found, wanted[:tokens, first:last] * (1 + add), atol=2e-5)
        assert (out_NE[:, : 3 + first] == 2).all()
        assert (out_NE[:, 3 + last :] == 2).all()
