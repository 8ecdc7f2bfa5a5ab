"""Training on one GPU in ten minutes: peaks, what each setting gives, MFU, memory, resume.

    python tests/bench/training_gpu.py --out rows.jsonl          on a GPU, about ten minutes
    python tests/bench/training_gpu.py --tiny --device cpu       all sections in seconds, no speed

Each section has its seconds; one that is late, fails or runs out of memory is written down and the
next begins. Rows go to `--out` as they are measured, so that a run cut short keeps what it has.
Steps are those of `training.loop.fit`: objective, accumulation and optimizer, timed between two
synchronisations. MFU is over the data sheet's peak (`training/estimate.py`), or over the measured
one where the device is not in the table; FLOPs as in `docs/methods/pretraining.md`. There is no
fp8 here: llamakit has none.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from llamakit.events import Events, Stopped
from llamakit.model.cache import KVCache
from llamakit.model.config import ModelConfig
from llamakit.model.transformer import Transformer
from llamakit.training.accumulation import Loss, accumulate
from llamakit.training.batches import Batch
from llamakit.training.estimate import kind_of
from llamakit.training.loop import fit
from llamakit.training.objectives import next_token
from llamakit.training.optimizer import Optimizer
from llamakit.training.plan import TrainingPlan


class LateError(Exception):
    """A section's seconds are over."""


@dataclass
class Bench:
    """Where the run stands: the device, the clock, and the rows."""

    device: str
    tiny: bool
    out: Path | None
    peak: float = 0.0
    """FLOP/s that MFU is over."""
    deadline: float = 0.0
    section: str = ""

    def write(self, **figures: Any) -> None:
        """Put a row down at once."""
        line = json.dumps({"section": self.section, **figures})
        print(line, flush=True)
        if self.out is not None:
            with self.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def check(self) -> None:
        """Give up a section that is late."""
        if time.monotonic() > self.deadline:
            raise LateError

    def wait(self) -> None:
        """Until the device has done all it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], times: int) -> float:
        """Of one of `times` calls, after two that are not timed."""
        for _ in range(2):
            work()
            self.check()
        self.wait()
        started = time.perf_counter()
        for _ in range(times):
            work()
        self.wait()
        return (time.perf_counter() - started) / times


def model_124m(tiny: bool) -> ModelConfig:
    """GPT-2 small's size."""
    return _tiny() if tiny else ModelConfig(768, 12, 6, 6, 2048, 32_000, 2048)


def model_350m(tiny: bool) -> ModelConfig:
    """Heads of 128: kernels of attention are at their best."""
    return _tiny() if tiny else ModelConfig(1024, 24, 8, 8, 2816, 32_000, 2048)


def model_1b(tiny: bool) -> ModelConfig:
    """TinyLlama's depth and width, with heads of 128 and four key-value heads."""
    return _tiny() if tiny else ModelConfig(2048, 22, 16, 4, 5632, 32_000, 2048)


def _tiny() -> ModelConfig:
    return ModelConfig(64, 2, 4, 2, 128, 300, 32)


def batch(config: ModelConfig, rows: int, seed: int) -> Batch:
    """Random tokens on the processor."""
    generator = torch.Generator().manual_seed(seed)
    size = (rows, config.max_seq_len + 1)
    tokens = torch.randint(0, config.vocab_size, size, generator=generator)
    return Batch(
        ids_BL=tokens[:, :-1].contiguous(),
        targets_BL=tokens[:, 1:].contiguous(),
        mask_BL=torch.ones(rows, config.max_seq_len, dtype=torch.bool),
        segments_BL=None,
        positions_BL=None,
        tokens=rows * config.max_seq_len,
    )


def train_steps(
    bench: Bench,
    config: ModelConfig,
    rows: int,
    *,
    steps: int,
    compiled: bool,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
    objective: Callable[[nn.Module, Batch], Loss] = next_token,
    **settings: object,
) -> None:
    """Time bf16 steps of llamakit and write a row."""
    with torch.device("meta"):
        model = Transformer(config)
    model = model.to_empty(device=bench.device)
    for weight in model.parameters():  # speed does not depend on the numbers
        nn.init.ones_(weight) if weight.ndim == 1 else nn.init.normal_(weight, std=0.02)
    optimizer = Optimizer(
        model.train(), dtype="bf16", betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, clip=1.0
    )
    if compiled:
        model.compile()
    given = batch(config, rows, 0)
    given = given.pinned() if bench.device == "cuda" else given
    norms: list[float] = []

    def backward(loss: Loss) -> None:
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.gather()

    def step() -> None:
        figures = accumulate(model, objective, [given], bench.device, after=backward)
        norms.append(optimizer.step(1e-4, 1 / figures["count"]))

    if bench.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    with around():
        step()
        bench.wait()
        first = time.perf_counter() - began
        took = bench.seconds(step, 1 if bench.tiny else steps)
    speed = given.tokens / took
    peak = torch.cuda.max_memory_allocated() if bench.device == "cuda" else 0
    bench.write(
        parameters=config.parameters(),
        micro_batch_tokens=given.tokens,
        compiled=compiled,
        **settings,
        tokens_per_s=round(speed),
        mfu=round(speed * config.flops_per_token(config.max_seq_len) / bench.peak, 4),
        step_ms=round(took * 1e3, 2),
        first_step_s=round(first, 1),
        peak_gib=round(peak / 2**30, 2),
        grad_norm=round(norms[-1], 4),
    )


# The sections.


def peaks(bench: Bench) -> None:
    """What the device reaches in matrix products and in attention, alone."""
    config, tokens = model_1b(bench.tiny), 64 if bench.tiny else 32_768
    best = 0.0
    square = 64 if bench.tiny else 8192
    products = [("square", square, square, square), ("ffn", tokens, config.dim, config.ffn_dim)]
    products.append(("head", min(tokens, 8192), config.dim, config.vocab_size))
    for name, rows, inputs, outputs in products:
        x, w = (
            torch.randn(s, device=bench.device).bfloat16()
            for s in ((rows, inputs), (outputs, inputs))
        )
        took = bench.seconds(partial(F.linear, x, w), 20)
        best = max(best, rate := 2.0 * rows * inputs * outputs / took)
        bench.write(product=name, tflops=round(rate / 1e12, 3))
    known = kind_of(torch.cuda.get_device_name()) if bench.device == "cuda" else None
    bench.peak = known.peak["bf16"] if known else best
    bench.write(peak_tflops=round(bench.peak / 1e12, 3), of=known.name if known else "measured")
    length, width = (32, 16) if bench.tiny else (2048, 128)
    shape = (2, 4, length, width) if bench.tiny else (16, 16, length, width)
    q, k, v = (
        torch.randn(shape, device=bench.device, dtype=torch.bfloat16, requires_grad=True)
        for _ in range(3)
    )

    def both_ways() -> None:
        F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()  # type: ignore[no-untyped-call]

    for backend in _backends(bench):
        try:
            with sdpa_kernel(backend):
                took = bench.seconds(both_ways, 10)
        except RuntimeError as error:
            bench.write(attention=backend.name, failed=str(error).splitlines()[0][:120])
            continue
        flops = 3.5 * 4.0 * shape[0] * shape[1] * length * length * width / 2
        bench.write(attention=backend.name, causal_tflops=round(flops / took / 1e12, 3))


def settings_124m(bench: Bench) -> None:
    """What each setting gives on the small model."""
    config, rows = model_124m(bench.tiny), 2 if bench.tiny else 16
    train_steps(bench, config, rows, steps=10, compiled=False, attention="torch's choice")
    train_steps(bench, config, rows, steps=40, compiled=True, attention="torch's choice")
    for backend in _backends(bench):
        bench.check()
        with suppressed(bench, attention=backend.name):
            train_steps(
                bench,
                config,
                rows,
                steps=20,
                compiled=True,
                around=partial(sdpa_kernel, backend),
                attention=backend.name,
            )
    bench.check()
    with suppressed(bench, loss="whole logits"):
        train_steps(
            bench, config, rows, steps=20, compiled=True, objective=whole_logits,
            loss="whole logits",
        )  # fmt: skip


def whole_logits(model: nn.Module, given: Batch) -> Loss:
    """The loss without chunks, compiled: faster where its memory is there to be had."""
    assert isinstance(model, Transformer)
    hidden = model(given.ids_BL)
    total = _whole_loss(hidden, model.head_weight, given.targets_BL)
    return Loss(total, float(given.targets_BL.numel()))


@torch.compile
def _whole_loss(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    logits = F.linear(hidden, weight).flatten(0, -2)
    return F.cross_entropy(logits.float(), targets.flatten(), reduction="sum")


def sizes_350m(bench: Bench) -> None:
    """The middle model at growing micro-batches."""
    config = model_350m(bench.tiny)
    for rows in (1, 2) if bench.tiny else (16, 32, 64):
        bench.check()
        with suppressed(bench, rows=rows):
            train_steps(bench, config, rows, steps=20, compiled=True)


def size_1b(bench: Bench) -> None:
    """The large one."""
    config = model_1b(bench.tiny)
    for rows in (1, 2) if bench.tiny else (8, 16, 32):
        bench.check()
        with suppressed(bench, rows=rows):
            train_steps(bench, config, rows, steps=10, compiled=True)


def peer(bench: Bench) -> None:
    """transformers' Llama of the small model's size, compiled, fused AdamW, bf16 autocast."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config, rows = model_124m(bench.tiny), 2 if bench.tiny else 16
    values = {**config.to_huggingface(), "use_cache": False}
    model = LlamaForCausalLM(LlamaConfig(**values)).to(bench.device).train()
    run = torch.compile(model)
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    given = batch(config, rows, 0).to(bench.device)

    def step() -> None:
        with torch.autocast(bench.device, torch.bfloat16):
            loss = run(input_ids=given.ids_BL, labels=given.ids_BL, shift_labels=given.targets_BL)
        loss.loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        adamw.zero_grad()

    took = bench.seconds(step, 1 if bench.tiny else 20)
    speed = given.tokens / took
    bench.write(
        peer="transformers, compiled",
        tokens_per_s=round(speed),
        mfu=round(speed * config.flops_per_token(config.max_seq_len) / bench.peak, 4),
    )


def decoding(bench: Bench) -> None:
    """Greedy steps over the cache, at growing batches."""
    config = model_124m(bench.tiny)
    model = Transformer(config).to(bench.device, torch.bfloat16).eval()
    read, new = (16, 8) if bench.tiny else (64, 128)
    for rows in (1, 2) if bench.tiny else (1, 32, 256):
        prompts_BL = batch(config, rows, 1).ids_BL[:, :read].to(bench.device)
        took = bench.seconds(partial(_decode, model, prompts_BL, new), 1)
        bench.write(rows=rows, prompt=read, new_tokens_per_s=round(rows * new / took))


@torch.no_grad()
def _decode(model: Transformer, ids_BL: Tensor, new: int) -> None:
    rows, length = ids_BL.shape
    cache = KVCache.for_model(model, model.config, rows, length + new)
    for _ in range(new):
        ids_BL = model.logits(model(ids_BL, cache=cache)[:, -1:]).argmax(-1)


def resume(bench: Bench) -> None:
    """20 steps, stopped, and 20 more, against 40: equal to the bit with fixed algorithms."""
    config = _tiny()
    plan = TrainingPlan(
        steps=6 if bench.tiny else 40, lr=1e-3, dtype="bf16", device=bench.device,
        checkpoint_every=0, log_every=1,
    )  # fmt: skip
    torch.use_deterministic_algorithms(True, warn_only=True)
    with tempfile.TemporaryDirectory() as folder:
        whole = _fitted(config, plan, Path(folder) / "whole")
        half = Path(folder) / "half"
        with _expecting_a_stop():
            _fitted(config, plan, half, stop_at=plan.steps // 2)
        again = _fitted(config, plan, half)
    torch.use_deterministic_algorithms(False)
    equal = all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
    bench.write(steps=plan.steps, stopped_at=plan.steps // 2, bit_equal=equal)


def autotune(bench: Bench) -> None:
    """Whether max-autotune finds anything, on one block of the small model."""
    config = replace(model_124m(bench.tiny), n_layers=1)
    rows = 2 if bench.tiny else 16
    for mode in ("default",) if bench.tiny else ("default", "max-autotune-no-cudagraphs"):
        body = Transformer(config).to(bench.device, torch.bfloat16).body
        body.compile(mode=mode)
        ids_BL = batch(config, rows, 0).ids_BL.to(bench.device)
        took = bench.seconds(partial(_both_ways, body, ids_BL), 10)
        bench.write(mode=mode, one_block_ms=round(took * 1e3, 2))


def _both_ways(body: nn.Module, ids_BL: Tensor) -> None:
    body(ids_BL).sum().backward()


SECTIONS: dict[str, tuple[Callable[[Bench], None], int]] = {
    "peaks": (peaks, 30),
    "124m": (settings_124m, 110),
    "350m": (sizes_350m, 90),
    "1.1b": (size_1b, 120),
    "peer": (peer, 60),
    "decoding": (decoding, 60),
    "resume": (resume, 60),
    "autotune": (autotune, 60),
}
"""By name: a section and its seconds."""


def _backends(bench: Bench) -> list[SDPBackend]:
    if bench.device == "cuda":
        return [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION]
    return [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]


def _fitted(
    config: ModelConfig, plan: TrainingPlan, folder: Path, stop_at: int | None = None
) -> list[Tensor]:
    """The weights after `fit`; stopped by a signal's way once `stop_at` steps are done."""
    events = Events()

    class Steps:
        def batch(self, step: int) -> list[Batch]:
            return [batch(config, 2, step)]

        def ids(self, step: int) -> list[str]:
            return []

    class Stop:
        def begin(self, rows: Any) -> None: ...

        def see(self, row: Any, model: nn.Module) -> None:
            if row["step"] == stop_at:
                events.stop(15)

        def close(self) -> None: ...

    model = Transformer(config)
    fit(
        model, next_token, Steps(), plan, checkpoints=folder / "checkpoints", log=folder,
        events=events, watchers=[Stop()],
    )  # fmt: skip
    return [weight.detach().cpu().clone() for weight in model.parameters()]


@contextmanager
def _expecting_a_stop() -> Iterator[None]:
    try:
        yield
    except Stopped:
        return
    raise AssertionError("the run was to be stopped, and was not")


@contextmanager
def suppressed(bench: Bench, **what: object) -> Iterator[None]:
    """A setting that this device or its memory cannot have is written down."""
    try:
        yield
    except RuntimeError as error:  # out of memory is one
        bench.write(**what, failed=str(error).splitlines()[0][:160])
        if bench.device == "cuda":
            torch.cuda.empty_cache()


def main() -> None:
    """Run the sections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="a model of nothing, a step each")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU is found here; --tiny --device cpu tries the sections without one")
    torch.set_float32_matmul_precision("high")
    bench = Bench(given.device, given.tiny, given.out)
    names = [name for name in SECTIONS if name in given.only or name == "peaks"]
    for name in names:
        section, limit = SECTIONS[name]
        limit *= 10 if given.tiny else 1  # processors compile slowly
        bench.section, bench.deadline = name, time.monotonic() + limit
        began = time.perf_counter()
        try:
            section(bench)
        except LateError:
            bench.write(late=f"{limit} s are over")
        except Exception as error:
            bench.write(failed=f"{type(error).__name__}: {error}"[:200])
            traceback.print_exc()
        bench.write(took_s=round(time.perf_counter() - began, 1))
        if bench.device == "cuda":
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
