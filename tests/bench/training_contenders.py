"""One trainer in a process of its own, which takes its steps when it is told to.

`training.py` starts it and speaks to it in lines: `steps 4` takes four optimizer steps and answers
with wall and CPU seconds and the last loss, `rate` with what the machine's bf16 matrix products
reach, `end` with the peak memory. Nothing of llamakit is imported for a peer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Step = Callable[[Tensor, Tensor], float]
"""An optimizer step on ids and targets [B, L]; returns the loss."""

BETAS, WEIGHT_DECAY, CLIP, LR = (0.9, 0.95), 0.1, 1.0, 3e-4


class MissingError(Exception):
    """What a contender needs is not installed."""


def batch_of(shape: dict[str, int], step: int) -> tuple[Tensor, Tensor]:
    """Random tokens: a step's arithmetic does not depend on them."""
    generator = torch.Generator().manual_seed(step)
    size = (shape["batch"], shape["seq_len"] + 1)
    tokens = torch.randint(0, shape["vocab"], size, generator=generator)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def matmul_rate(shape: dict[str, int]) -> float:
    """FLOP/s of a step's matrix products with weights, alone, in bf16: each forward, and backward
    to its input and to its weight, as often as a step has it; the head by 2,048 rows.
    """
    tokens, dim, ffn = shape["batch"] * shape["seq_len"], shape["dim"], shape["ffn"]
    head_rows = min(2048, tokens)
    products = [
        (tokens, dim, dim, 4 * shape["layers"]),
        (tokens, dim, ffn, 2 * shape["layers"]),
        (tokens, ffn, dim, shape["layers"]),
        (head_rows, dim, shape["vocab"], tokens // head_rows),
    ]
    flops = seconds = 0.0
    for rows, inputs, outputs, times in products:
        x, w, g = (
            torch.randn(size).bfloat16()
            for size in ((rows, inputs), (outputs, inputs), (rows, outputs))
        )
        y, dx, dw = torch.empty_like(g), torch.empty_like(x), torch.empty_like(w)
        for timed in (False, True):
            started = time.perf_counter()
            for _ in range(times if timed else 1):
                torch.mm(x, w.T, out=y)
                torch.mm(g, w, out=dx)
                torch.mm(g.T, x, out=dw)
            if timed:
                seconds += time.perf_counter() - started
                flops += 6.0 * rows * inputs * outputs * times
    return flops / seconds


# Peers: each as its own training script has it.


def litgpt(shape: dict[str, int], compiled: bool) -> Step:
    """litgpt's pretraining with `--precision bf16-true`: bf16 weights and bf16 moments."""
    try:
        from litgpt.config import Config
        from litgpt.model import GPT
        from litgpt.utils import chunked_cross_entropy
    except ImportError as error:
        raise MissingError(f"litgpt: pip install litgpt ({error})") from None
    config = Config(
        name="bench", block_size=shape["seq_len"], vocab_size=shape["vocab"],
        padded_vocab_size=shape["vocab"], n_layer=shape["layers"], n_head=shape["heads"],
        n_query_groups=shape["heads"], n_embd=shape["dim"], rotary_percentage=1.0,
        parallel_residual=False, bias=False, norm_class_name="RMSNorm", norm_eps=1e-5,
        mlp_class_name="LLaMAMLP", intermediate_size=shape["ffn"],
    )  # fmt: skip
    model = GPT(config)
    model.apply(model._init_weights)
    model.to(torch.bfloat16)
    model.train()
    run = torch.compile(model) if compiled else model
    # Fused on a GPU only, as its pretrain.py has it.
    adamw = torch.optim.AdamW(
        model.parameters(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=False
    )

    def step(ids: Tensor, targets: Tensor) -> float:
        loss = chunked_cross_entropy(run(ids), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        adamw.step()
        adamw.zero_grad()
        return float(loss.detach())

    return step


def llama2c(shape: dict[str, int], compiled: bool) -> Step:
    """llama2.c's train.py on the processor: fp32 weights, bf16 autocast, tied embeddings."""
    folder = os.environ.get("BENCH_LLAMA2C", "")
    if not folder or not (Path(folder) / "model.py").is_file():
        raise MissingError("llama2.c: --llama2c FOLDER, a checkout of karpathy/llama2.c")
    module = _module(Path(folder) / "model.py")
    arguments = module.ModelArgs(
        dim=shape["dim"], n_layers=shape["layers"], n_heads=shape["heads"],
        vocab_size=shape["vocab"], hidden_dim=shape["ffn"], max_seq_len=shape["seq_len"],
    )  # fmt: skip
    model = module.Transformer(arguments)
    adamw = model.configure_optimizers(WEIGHT_DECAY, LR, BETAS, "cpu")
    run = torch.compile(model) if compiled else model

    def step(ids: Tensor, targets: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            run(ids, targets)
            loss = model.last_loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        adamw.step()
        adamw.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


def transformers(shape: dict[str, int], compiled: bool) -> Step:
    """transformers' Llama as its Trainer has it with bf16: fp32 weights, autocast, fused AdamW."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError as error:
        raise MissingError(f"transformers: pip install transformers ({error})") from None
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape["vocab"], hidden_size=shape["dim"], intermediate_size=shape["ffn"],
            num_hidden_layers=shape["layers"], num_attention_heads=shape["heads"],
            max_position_embeddings=shape["seq_len"], tie_word_embeddings=False, use_cache=False,
        )
    )  # fmt: skip
    model.train()
    run = torch.compile(model) if compiled else model
    return _autocast_step(
        model,
        lambda ids, targets: run(input_ids=ids, labels=ids, shift_labels=targets).loss,
        [torch.optim.AdamW(
            model.parameters(), lr=LR, betas=BETAS, weight_decay=WEIGHT_DECAY, fused=True
        )],
    )  # fmt: skip


def nanochat(shape: dict[str, int], compiled: bool) -> Step:
    """nanochat's model and optimizers, written again in plain PyTorch, since it is no package:
    squared ReLU of four times the width (as many weights as SwiGLU of these widths), normed
    queries and keys, capped logits in fp32, bf16 embedding, Muon for the matrices.
    """
    if not hasattr(torch.optim, "Muon"):
        raise MissingError("nanochat: needs torch.optim.Muon (torch 2.9 and newer)")
    model = _NanochatModel(shape)
    run = torch.compile(model, dynamic=False) if compiled else model
    matrices = [p for layer in model.layers for p in layer.parameters()]
    rest = [model.embedding.weight, model.head.weight]
    optimizers = [
        torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.0),
        torch.optim.AdamW(rest, lr=LR, betas=(0.8, 0.95), eps=1e-10, weight_decay=0.0, fused=True),
    ]
    return _autocast_step(model, run, optimizers)


def _autocast_step(
    model: nn.Module,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> Step:
    def step(ids: Tensor, targets: Tensor) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        return float(loss.detach())

    return step


class _NanochatLayer(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.up = nn.Linear(dim, 4 * dim, bias=False)
        self.down = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, dim = x.shape
        normed = _normed(x)
        q, k, v = (
            part(normed).view(rows, length, self.heads, -1) for part in (self.q, self.k, self.v)
        )
        q, k = (_normed(_turned(part, cos, sin)) for part in (q, k))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).reshape(rows, length, dim))
        return x + self.down(F.relu(self.up(_normed(x))).square())


class _NanochatModel(nn.Module):
    def __init__(self, shape: dict[str, int]) -> None:
        super().__init__()
        dim, heads = shape["dim"], shape["heads"]
        self.embedding = nn.Embedding(shape["vocab"], dim).to(torch.bfloat16)
        self.layers = nn.ModuleList(_NanochatLayer(dim, heads) for _ in range(shape["layers"]))
        self.head = nn.Linear(dim, shape["vocab"], bias=False)
        steps = torch.arange(0, dim // heads, 2) / (dim // heads)
        angles = torch.outer(torch.arange(shape["seq_len"]).float(), 10_000.0**-steps)
        self.cos, self.sin = (
            turn.to(torch.bfloat16)[None, :, None] for turn in (angles.cos(), angles.sin())
        )

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = _normed(self.embedding(ids))
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = self.head(_normed(x)).float()
        logits = 15 * torch.tanh(logits / 15)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def _normed(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1).to(x.dtype)


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("llama2c_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PEERS: dict[str, Callable[[dict[str, int], bool], Step]] = {
    "litgpt": litgpt,
    "llama2.c": llama2c,
    "transformers": transformers,
    "nanochat": nanochat,
}


# llamakit: the loop itself, stopped between its steps.


class _EndedError(Exception):
    """No more steps are asked for."""


def run_llamakit(shape: dict[str, int], compiled: bool, every: int, orders: Orders) -> None:
    """`training.loop.fit` as pretraining calls it. Where it would evaluate, it waits for orders."""
    from llamakit.events import Events
    from llamakit.model.config import ModelConfig
    from llamakit.model.transformer import Transformer
    from llamakit.training.batches import Batch
    from llamakit.training.loop import fit
    from llamakit.training.objectives import next_token
    from llamakit.training.plan import TrainingPlan

    class Random:
        def batch(self, step: int) -> list[Batch]:
            ids_BL, targets_BL = batch_of(shape, step)
            return [
                Batch(
                    ids_BL=ids_BL,
                    targets_BL=targets_BL,
                    mask_BL=torch.ones_like(ids_BL, dtype=torch.bool),
                    segments_BL=None,
                    positions_BL=None,
                    tokens=ids_BL.numel(),
                )
            ]

        def ids(self, step: int) -> list[str]:
            return []

    losses: list[float] = []

    class Losses:
        def begin(self, rows: Any) -> None: ...

        def see(self, row: Any, model: nn.Module) -> None:
            losses.append(row["loss"])

        def close(self) -> None: ...

    def wait(_: nn.Module) -> dict[str, float]:
        orders.done(losses[-1] if losses else float("nan"))
        if not orders.next():
            raise _EndedError
        return {}

    config = ModelConfig(
        dim=shape["dim"], n_layers=shape["layers"], n_heads=shape["heads"],
        n_kv_heads=shape["heads"], ffn_dim=shape["ffn"], vocab_size=shape["vocab"],
        max_seq_len=shape["seq_len"],
    )  # fmt: skip
    plan = TrainingPlan(
        steps=10**6, lr=LR, schedule="constant", betas=BETAS, weight_decay=WEIGHT_DECAY, clip=CLIP,
        dtype="bf16", compile=compiled, checkpoint_every=0, log_every=1, eval_every=every,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        try:
            fit(
                Transformer(config),
                next_token,
                Random(),
                plan,
                checkpoints=Path(folder) / "checkpoints",
                log=Path(folder),
                events=Events(),
                evaluate=wait,
                watchers=[Losses()],
            )
        except _EndedError:
            return


def run_peer(build: Callable[[], Step], shape: dict[str, int], every: int, orders: Orders) -> None:
    """A peer's steps, in the same rhythm."""
    step, number, loss = build(), 0, float("nan")
    while True:
        for _ in range(every):
            loss = step(*batch_of(shape, number))
            number += 1
        orders.done(loss)
        if not orders.next():
            return


class Orders:
    """Lines from the parent, and answers to it."""

    def __init__(self, shape: dict[str, int]) -> None:
        self._shape = shape
        self._started = (time.perf_counter(), time.process_time())
        self._peak = 0

    def done(self, loss: float) -> None:
        """Say how long the steps just taken took."""
        wall, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        self._say({"wall": wall, "cpu": cpu, "loss": loss})

    def next(self) -> bool:
        """Wait for an order; whether it is to take steps."""
        for line in sys.stdin:
            if line.strip() == "rate":
                # Before the products: their matrices are none of the training's.
                self._peak = self._peak or peak_bytes()
                self._say({"rate": matmul_rate(self._shape)})
            elif line.strip() == "memory":
                self._say({"peak": self._peak or peak_bytes()})
            elif line.strip() == "steps":
                self._started = (time.perf_counter(), time.process_time())
                return True
            else:
                break
        return False

    def _say(self, answer: dict[str, float]) -> None:
        print(json.dumps(answer), file=sys.__stdout__, flush=True)


def peak_bytes() -> int:
    """The most memory that this process has held at a time."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status tells no peak")


def main() -> None:
    """Be the contender that the arguments name."""
    name, options = sys.argv[1], json.loads(sys.argv[2])
    sys.stdout = sys.stderr  # what a peer prints is no answer
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    shape: dict[str, int] = options["shape"]
    base, _, way = name.partition("+")
    compiled, every = way == "compile", options["steps"]
    orders = Orders(shape)
    try:
        if base == "llamakit":
            run_llamakit(shape, compiled, every, orders)
        else:
            run_peer(lambda: PEERS[base](shape, compiled), shape, every, orders)
    except MissingError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
