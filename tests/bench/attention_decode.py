"""What query heads that share keys and values save: cache bytes, and decoding speed by batch.

    python tests/bench/attention_decode.py
    python tests/bench/attention_decode.py --batches 1 8 32 --context 128 --rounds 5

Three models of equal parameters and random weights (multi-head, grouped-query, multi-query) write
the same number of tokens after prompts of one length, by the generation that every stage uses.
Rounds go through the models by turns; the table has medians, and the ratio to multi-head of the
same round.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from llamakit.model.config import ModelConfig
from llamakit.model.generation import Sampling, generate
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary

_DIM, _LAYERS, _HEADS, _FFN = 512, 6, 16, 1408
_KV_HEADS = {"multi-head": 16, "grouped-query": 4, "multi-query": 1}


def shape(kv_heads: int, vocab_size: int, context: int) -> ModelConfig:
    """A model whose feed-forward layers take the weights that shared keys and values free."""
    freed = 2 * (_DIM - kv_heads * (_DIM // _HEADS)) / 3
    return ModelConfig(
        dim=_DIM,
        n_layers=_LAYERS,
        n_heads=_HEADS,
        n_kv_heads=kv_heads,
        ffn_dim=_FFN + round(freed),
        vocab_size=vocab_size,
        max_seq_len=context,
    )


def rate(model: Transformer, vocabulary: Vocabulary, batch: int, prompt: int, new: int) -> float:
    """Tokens a second of `batch` rows, each `new` tokens after a prompt of its own."""
    rng = random.Random(batch)
    prompts = [
        [vocabulary.bos, *(rng.randrange(259, vocabulary.size) for _ in range(prompt - 1))]
        for _ in range(batch)
    ]
    # An end of sequence would be drawn now and then; repetition of none, so that rows stay.
    sampling = Sampling(new, temperature=1.0, top_p=1.0)
    started = time.perf_counter()
    made = generate(model, vocabulary, prompts, sampling, range(batch), batch_size=batch)
    return sum(len(one.ids) for one in made) / (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--context", type=int, default=512, help="tokens of the prompt")
    parser.add_argument("--new", type=int, default=32, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args(arguments)
    words = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "lnrst"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = train_vocabulary([" ".join(words)], Path(folder), 400)
        models = {
            name: Transformer(shape(heads, vocabulary.size, given.context + given.new)).eval()
            for name, heads in _KV_HEADS.items()
        }
        print(f"{torch.get_num_threads()} threads, prompts of {given.context} tokens, fp32\n")
        print(
            "| | weights | cache bytes a token (16 bits) | "
            + " | ".join(f"batch {batch}, tokens/s" for batch in given.batches)
            + " |"
        )
        print("|---|---|---|" + "---|" * len(given.batches))
        rates: dict[tuple[str, int], list[float]] = {}
        for batch in given.batches:
            for number in range(given.rounds + 1):
                for name, model in models.items():
                    found = rate(model, vocabulary, batch, given.context, given.new)
                    if number:  # the first round warms up
                        rates.setdefault((name, batch), []).append(found)
        for name, model in models.items():
            cells = []
            for batch in given.batches:
                own, first = rates[name, batch], rates["multi-head", batch]
                ratio = median(a / b for a, b in zip(own, first, strict=True))
                cells.append(f"{median(own):,.0f} ({ratio:.2f}x)")
            config = model.config
            print(
                f"| {name} | {config.parameters():,} | {config.kv_cache_bytes_per_token():,} | "
                + " | ".join(cells)
                + " |"
            )


if __name__ == "__main__":
    main()
