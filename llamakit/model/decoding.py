"""Prompts read, then a token a row at a time, with a cache: by a compiled kernel, or by torch.

Shape suffixes as in `transformer`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llamakit.engine.intrinsics import meeting_place
from llamakit.engine.native import bind
from llamakit.engine.vectors import processor_has_pairs
from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.decoding_kernel import advance_bf16, advance_fp32
from llamakit.model.lora import adapted
from llamakit.model.product_kernel import BLOCK
from llamakit.model.transformer import Transformer

_WORDS: dict[torch.dtype, tuple[Callable[..., None], Any, int]] = {
    torch.float32: (advance_fp32, np.uint32, 0),
    torch.bfloat16: (advance_bf16, np.uint16, 16),
}
"""How weights are read: the kernel, the type of a word, and by how much it is shifted up."""
_READ_AT_ONCE = 256
"""Tokens of prompts in one call of the kernel: its work space stays in the processor's cache."""
_WEIGHTS_A_THREAD = 200_000
"""With fewer, threads wait for one another longer than they work."""


class Reader(Protocol):
    """Rows of tokens that a model has read, in its cache."""

    keep_below: float
    """`keep` costs so much that it pays when less than this share of the rows goes on."""

    def start(self, prompts: Sequence[Sequence[int]], rows: Sequence[int], room: int) -> Tensor:
        """Read different prompts; row b continues prompt `rows[b]` by up to `room` tokens.

        Returns:
            float32 [B, V]: logits after each row's prompt; valid until the next call.
        """

    def step(self, tokens_B: Tensor) -> Tensor:
        """Read one more token of each row. Logits as from `start`."""

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some rows only, in this order."""

    def close(self) -> None:
        """End its threads."""


def reader_for(model: Transformer) -> Reader:
    """The fastest reader for a model where it is."""
    weights = list(model.parameters())
    plain = all(
        type(weight.data) is Tensor and weight.is_cpu and weight.is_contiguous()
        for weight in weights
    )
    dtypes = {weight.dtype for weight in weights}
    # The kernel knows matrices alone: adapters are merged before (`merged_lora`), or torch reads.
    plain = plain and not any(module.active for module in adapted(model))
    if plain and len(dtypes) == 1 and dtypes <= _WORDS.keys():
        return CompiledReader(model)
    return TorchReader(model)


class TorchReader:
    """By the model's own forward pass: rows are padded on the left."""

    keep_below = 0.75
    """The cache is copied, which costs about a step."""

    def __init__(self, model: Transformer) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.cache: KVCache

    def start(self, prompts: Sequence[Sequence[int]], rows: Sequence[int], room: int) -> Tensor:
        """See `Reader`."""
        widest = max(map(len, prompts))
        ids_BL = np.zeros((len(prompts), widest), dtype=np.int64)
        for index, prompt in enumerate(prompts):
            ids_BL[index, widest - len(prompt) :] = prompt
        padding = torch.tensor([widest - len(prompt) for prompt in prompts], device=self.device)
        starts_B = padding if len({len(prompt) for prompt in prompts}) > 1 else None
        config = self.model.config
        cache = KVCache.for_model(self.model, config, len(prompts), widest, starts_B)
        hidden_BLD = self.model(torch.from_numpy(ids_BL).to(self.device), cache=cache)
        rows_B = torch.tensor(rows, device=self.device)
        self.cache = cache.select(rows_B, capacity=widest + room)
        return self.model.logits(hidden_BLD[rows_B, -1]).float()

    def step(self, tokens_B: Tensor) -> Tensor:
        """See `Reader`."""
        hidden_BD = self.model(tokens_B[:, None], cache=self.cache)[:, 0]
        return self.model.logits(hidden_BD).float()

    def keep(self, rows: Sequence[int]) -> None:
        """See `Reader`."""
        self.cache = self.cache.select(torch.tensor(rows, device=self.device))

    def close(self) -> None:
        """See `Reader`."""


class CompiledReader:
    """By `decoding_kernel`: nothing is padded, and rows may leave at no cost."""

    keep_below = 1.0

    def __init__(self, model: Transformer) -> None:
        self.model = model  # and with it the weights, whose addresses are in tables
        self.config = model.config
        weight = model.head_weight
        self.kernel, self.word, self.shift = _WORDS[weight.dtype]
        enough = self.config.parameters() // _WEIGHTS_A_THREAD
        self.aside = _TORCH_ASIDE.begin()
        self.threads = max(1, min(self.aside, enough))
        self.pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def start(self, prompts: Sequence[Sequence[int]], rows: Sequence[int], room: int) -> Tensor:
        """See `Reader`."""
        lengths = [len(prompt) for prompt in prompts]
        self.slots_B = np.arange(len(rows))
        self.places_B = np.array([lengths[row] for row in rows])
        tokens = max(min(sum(lengths), _READ_AT_ONCE), len(rows))
        self._allocate(tokens, len(rows), max(lengths) + room)
        first = {row: slot for slot, row in reversed(list(enumerate(rows)))}
        logits_PV = self._read_prompts(prompts, [first[row] for row in range(len(prompts))])
        for slot, row in enumerate(rows):
            for store in (self.keys, self.values):
                store[:, slot, :, : lengths[row]] = store[:, first[row], :, : lengths[row]]
        return logits_PV[list(rows)]

    def step(self, tokens_B: Tensor) -> Tensor:
        """See `Reader`.

        Raises:
            ValueError: a row has no room left.
        """
        if self.places_B.max() >= self.capacity:
            raise ValueError(f"more than {self.capacity} tokens in a row")
        everyone = np.arange(len(self.slots_B))
        logits_BV = self._advance(tokens_B.numpy(), self.slots_B, self.places_B, everyone)
        self.places_B += 1
        return logits_BV

    def keep(self, rows: Sequence[int]) -> None:
        """See `Reader`."""
        self.slots_B, self.places_B = self.slots_B[list(rows)], self.places_B[list(rows)]

    def close(self) -> None:
        """See `Reader`."""
        if self.aside:
            self.aside = _TORCH_ASIDE.end()
        if self.pool is not None:
            self.pool.shutdown()

    def _allocate(self, tokens: int, rows: int, capacity: int) -> None:
        """Cache and work space, and the kernel bound to them."""
        config = self.config
        self.at_once, self.capacity = tokens, capacity
        padded, dim = -(-tokens // BLOCK) * BLOCK, config.dim
        heads = (config.n_layers, rows, config.n_kv_heads)
        self.keys = np.empty((*heads, capacity, config.head_dim), self.word)
        # Where positions are multiplied in pairs, the second of the last pair may be empty.
        together = 2 if self.word is np.uint16 and processor_has_pairs() else 1
        pairs = (-(-capacity // together), config.head_dim * together)
        self.values = np.zeros((*heads, *pairs), self.word)
        self.batch = np.zeros(2, np.int64)
        self.inputs = [np.zeros(padded, np.int64) for _ in range(4)]
        # Rows of a power of two would all meet in the same lines of the processor's cache.
        columns = -(-config.vocab_size // BLOCK) * BLOCK + 16
        self.logits_NV = np.zeros((-(-rows // BLOCK) * BLOCK, columns), np.float32)
        mixed = config.n_heads * config.head_dim
        projected = mixed + 2 * config.n_kv_heads * config.head_dim
        sums, activations = (
            (dim, projected, config.ffn_dim, config.ffn_dim),
            (dim, mixed, config.ffn_dim),
        )
        self.arrivals = meeting_place(self.threads)
        arguments = [
            *_addresses(self.model),
            np.array([dim, config.ffn_dim, config.vocab_size]),
            self.batch,
            *self.inputs,
            self.keys,
            self.values,
            *_rotation(config, capacity),
            *(np.zeros((padded, width), np.float32) for width in sums),
            *(np.zeros((padded, width), self.word) for width in activations),
            np.zeros((self.threads, capacity + 1), self.word),
            np.zeros((self.threads, capacity), np.float32),
            self.logits_NV,
            np.array([config.norm_eps], np.float32),
            self.arrivals,
        ]
        self.calls = [
            bind(self.kernel, *arguments, self.shift, thread, self.threads)
            for thread in range(self.threads)
        ]

    def _read_prompts(self, prompts: Sequence[Sequence[int]], slots: Sequence[int]) -> Tensor:
        """Logits after each prompt, [P, V]."""
        ids_N = np.concatenate([np.array(prompt, np.int64) for prompt in prompts])
        lengths = [len(prompt) for prompt in prompts]
        slots_N = np.repeat(np.array(slots), lengths)
        places_N = np.concatenate([np.arange(length) for length in lengths])
        last_P = np.cumsum(lengths) - 1
        logits = []
        for begin in range(0, len(ids_N), self.at_once):
            part = slice(begin, begin + self.at_once)
            wanted = last_P[(last_P >= begin) & (last_P < begin + self.at_once)] - begin
            found_PV = self._advance(ids_N[part], slots_N[part], places_N[part], wanted)
            logits.append(found_PV.clone())
        return torch.cat(logits)

    def _advance(
        self,
        ids_N: NDArray[np.int64],
        slots_N: NDArray[np.int64],
        places_N: NDArray[np.int64],
        wanted: NDArray[np.int64],
    ) -> Tensor:
        """Read tokens; logits after the wanted ones of them.

        Raises:
            IndexError: an id is not in the vocabulary.
        """
        if ids_N.min() < 0 or ids_N.max() >= self.config.vocab_size:
            raise IndexError(f"an id is not within 0-{self.config.vocab_size - 1}")
        self.batch[:] = len(ids_N), len(wanted)
        for buffer, values in zip(self.inputs, (ids_N, slots_N, places_N, wanted), strict=True):
            buffer[: len(values)] = values
        self._run()
        return torch.from_numpy(self.logits_NV)[: len(wanted), : self.config.vocab_size]

    def _run(self) -> None:
        if self.pool is None:
            self.calls[0]()
            return
        try:
            others = [self.pool.submit(call) for call in self.calls[1:]]
            self.calls[0]()
            for other in others:
                other.result()
        except BaseException:
            # A signal that came before this thread's part began: nobody may wait for it.
            self.arrivals[0] = 2**62
            raise


class _TorchAside:
    """torch computes with one thread while readers work: its own threads would go on spinning after
    each small work of theirs, in the way of the kernel's. Several readers may work at once, on
    threads of which each has a number of torch's of its own; all get back what the first one found.
    """

    def __init__(self) -> None:
        self.lock, self.readers, self.before = threading.Lock(), 0, 0

    def begin(self) -> int:
        """One reader more. How many threads torch had before the first."""
        with self.lock:
            if self.readers == 0:
                self.before = torch.get_num_threads()
            self.readers += 1
            torch.set_num_threads(1)
            return self.before

    def end(self) -> int:
        """One reader less."""
        with self.lock:
            self.readers -= 1
            torch.set_num_threads(self.before)
        return 0


_TORCH_ASIDE = _TorchAside()


def _addresses(model: Transformer) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The kernel's tables: of the model's own weights, and of each layer's."""
    decoder = model.body
    ends = [decoder.embed_tokens.weight, decoder.norm.weight, model.head_weight]
    layers: list[list[int]] = []
    for layer in decoder.layers:
        block: Any = layer
        attention, feed = block.self_attn, block.mlp
        parts = (
            block.input_layernorm, attention.q_proj, attention.k_proj, attention.v_proj,
            attention.o_proj, block.post_attention_layernorm, feed.gate_proj, feed.up_proj,
            feed.down_proj,
        )  # fmt: skip
        layers.append([part.weight.data_ptr() for part in parts])
    return np.array([weight.data_ptr() for weight in ends]), np.array(layers)


def _rotation(config: ModelConfig, positions: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cosine and sine of each position's angles, float32 [positions, K/2]."""
    steps_P = torch.arange(0, config.head_dim, 2, dtype=torch.float32)
    angles_TP = torch.arange(positions).float()[:, None] * config.rope_theta ** (
        -steps_P / config.head_dim
    )
    return angles_TP.cos().numpy(), angles_TP.sin().numpy()
