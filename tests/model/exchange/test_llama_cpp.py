"""llama.cpp itself runs what is exported: `nox -s gguf`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from llamakit.artifacts.store import Store
from llamakit.model.checkpoint import of_module
from llamakit.model.exchange.gguf import write_gguf
from llamakit.model.transformer import Transformer
from llamakit.model.weights import load_model, load_vocabulary
from llamakit.stages.import_ import Import
from llamakit.stages.produce import produce
from llamakit.text.vocabulary import Vocabulary

pytestmark = [
    pytest.mark.llama_cpp,
    # The binding's own habits, in code that is not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

Make = Callable[..., Transformer]
TEXT = "Once upon a time, Lily saw 3 dogs  and a naïve 東京\nThe end."
F32 = 0
"""ggml's number for a cache of keys and values in fp32; its default is half precision."""


def run(path: Path, **settings: Any) -> Any:
    import llama_cpp

    return llama_cpp.Llama(
        str(path), n_ctx=512, n_threads=1, logits_all=True, verbose=False, **settings
    )


def logits(other: Any, ids: list[int]) -> Tensor:
    other.reset()
    other.eval(ids)
    return torch.tensor(np.array(other.scores[: len(ids)]))


@pytest.fixture
def stories(real_data: Path, store: Store) -> Path:
    return produce(Import(files=(str(real_data / "stories260K"),)), store).version.path


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("f32", 1e-3), ("f16", 0.1), ("bf16", 0.3), ("q8_0", 0.8)]
)
def test_stories(stories: Path, tmp_path: Path, dtype: str, tolerance: float) -> None:
    """Same ids, and logits as near as the precision lets them (their standard deviation is 6)."""
    model, vocabulary = load_model(stories), load_vocabulary(stories)
    path = tmp_path / "stories.gguf"
    write_gguf(path, of_module(model), vocabulary, dtype=dtype, name="stories", chat_template=None)
    other = run(path, **({"type_k": F32, "type_v": F32} if dtype == "f32" else {}))
    ids = other.tokenize(TEXT.encode(), add_bos=True)
    assert ids == vocabulary.encode(TEXT, bos=True)
    with torch.no_grad():
        wanted = model.logits(model(torch.tensor([ids])))[0]
    assert wanted.std() > 4
    assert (logits(other, ids) - wanted).abs().max() < tolerance


def test_greedy_text_of_stories(stories: Path, real_data: Path, tmp_path: Path) -> None:
    """f16: the text that llama2.c documents."""
    path = tmp_path / "stories.gguf"
    write_gguf(
        path,
        of_module(load_model(stories)),
        load_vocabulary(stories),
        dtype="f16",
        name="stories",
        chat_template=None,
    )
    page = (real_data / "stories260K" / "stories260K.md").read_text(encoding="utf-8")
    wanted = page.split("-t 0.0\n")[1].split("\n```")[0]
    said = run(path).create_completion([1], max_tokens=256, temperature=0.0, repeat_penalty=1.0)
    assert said["choices"][0]["text"].strip() == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"n_kv_heads": 4},
        {"n_kv_heads": 1, "rope_theta": 500.0},
        {"n_kv_heads": 2, "tie_embeddings": True, "norm_eps": 1e-3},
        {"n_kv_heads": 2, "head_width": 32},
    ],
    ids=["multi-head", "multi-query", "tied", "wide heads"],
)
def test_shapes(
    make_model: Make, vocabulary: Vocabulary, tmp_path: Path, changes: dict[str, Any]
) -> None:
    model = make_model(**changes)
    path = tmp_path / "m.gguf"
    write_gguf(path, of_module(model), vocabulary, dtype="f32", name="m", chat_template=None)
    other = run(path, type_k=F32, type_v=F32)
    ids = vocabulary.encode("the river of Alder runs north", bos=True)
    with torch.no_grad():
        wanted = model.logits(model(torch.tensor([ids])))[0]
    found = logits(other, ids)
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()
