"""Tokens become a base model."""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Model, Tokens
from llamakit.errors import UsageError, nearest
from llamakit.model.config import PRESETS
from llamakit.stages.fields import Execution, Identity, Input
from llamakit.stages.stage import Answer, Outcome
from llamakit.stages.trained import Trained

if TYPE_CHECKING:
    from llamakit.model.config import ModelConfig
    from llamakit.text.tokens import TokenStore
    from llamakit.text.vocabulary import Vocabulary
    from llamakit.training.watch import Watcher

# Beyond the shape. The llama2 rows are the paper's §2.2; those of the small models were chosen so
# that a laptop's processor gets through a run.
_TRAINING: dict[str, dict[str, object]] = {
    "toy": {"lr": 3e-3, "batch_tokens": 16_384, "micro_batch": 8, "dtype": "fp32"},
    "small": {"lr": 2e-3, "batch_tokens": 16_384, "micro_batch": 8, "dtype": "fp32"},
    "base-15m": {"lr": 1e-3, "batch_tokens": 65_536, "micro_batch": 8, "dtype": "fp32"},
    "110m": {"lr": 6e-4, "batch_tokens": 524_288, "micro_batch": 16, "dtype": "bf16"},
    "llama2-7b": {"lr": 3e-4, "batch_tokens": 4_000_000, "micro_batch": 1, "dtype": "bf16"},
    "llama2-13b": {"lr": 3e-4, "batch_tokens": 4_000_000, "micro_batch": 1, "dtype": "bf16"},
    "llama2-34b": {"lr": 1.5e-4, "batch_tokens": 4_000_000, "micro_batch": 1, "dtype": "bf16"},
    "llama2-70b": {"lr": 1.5e-4, "batch_tokens": 4_000_000, "micro_batch": 1, "dtype": "bf16"},
}
_WARMUP_STEPS = 2000
_TRACKERS = ("tensorboard", "wandb")
_ADAMW = {"beta1": 0.9, "beta2": 0.95, "eps": 1e-5}
_SHAPE = ("dim", "n_layers", "n_heads", "n_kv_heads", "ffn_dim")


def _preset(name: str) -> dict[str, object]:
    shape = dict(PRESETS[name])
    return {"seq_len": shape.pop("max_seq_len"), **shape, **_TRAINING[name]}


@dataclass(frozen=True, kw_only=True)
class Pretrain(Trained):
    """Train a base model from nothing on tokens.

    A preset sets shape, learning rate and batch; every one of them can be set apart. The run reads
    all tokens once, unless steps, token-budget or epochs says how long it is. Stopped, it goes on
    from its last checkpoint and ends with the same bytes.
    """

    tokens: Input[Tokens]
    """Tokens to train on; their vocabulary becomes the model's."""
    preset: Identity[str] = "toy"
    """Shape and settings: toy, small, base-15m, 110m, llama2-7b, -13b, -34b or -70b."""
    dim: Identity[Annotated[int, Ge(2)] | None] = None
    """Width of the residual stream; with another width, set ffn-dim too."""
    n_layers: Identity[Annotated[int, Ge(1)] | None] = None
    """Layers."""
    n_heads: Identity[Annotated[int, Ge(1)] | None] = None
    """Query heads."""
    n_kv_heads: Identity[Annotated[int, Ge(1)] | None] = None
    """Key-value heads: as many as query heads, one, or a number between that divides them."""
    ffn_dim: Identity[Annotated[int, Ge(1)] | None] = None
    """Width inside the feed-forward layers."""
    seq_len: Identity[Annotated[int, Ge(2)] | None] = None
    """Tokens of a row: the model's context length."""
    rope_theta: Identity[Annotated[float, Gt(0)]] = 10_000.0
    """Base of the rotary angles."""
    tie_embeddings: Identity[bool] = False
    """Use the embedding's matrix as the output layer; Llama 2 has two."""
    steps: Identity[Annotated[int, Ge(1)] | None] = None
    """Optimizer steps."""
    token_budget: Identity[Annotated[int, Ge(1)] | None] = None
    """Tokens to train on, instead of steps."""
    epochs: Identity[Annotated[float, Gt(0)] | None] = None
    """Passes over the tokens, instead of steps."""
    batch_tokens: Identity[Annotated[int, Ge(1)] | None] = None
    """Tokens an optimizer step, rounded down to whole rows."""
    micro_batch: Identity[Annotated[int, Ge(1)] | None] = None
    """Rows a forward pass."""
    isolate_documents: Identity[bool] = False
    """Keep attention and loss inside a document instead of the whole row."""
    lr: Identity[Annotated[float, Gt(0)] | None] = None
    """Peak learning rate."""
    min_lr_ratio: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.1
    """Where the cosine ends, as a share of the peak."""
    warmup: Identity[Annotated[int, Ge(0)] | None] = None
    """Steps of warm-up: by default 2,000, but no more than a tenth of all steps."""
    adamw: Identity[dict[str, float]] = field(default_factory=dict)
    """AdamW's decay of the mean gradient and of its square, and the floor of its divisor: beta1
    (0.9), beta2 (0.95), eps (1e-5)."""
    weight_decay: Identity[Annotated[float, Ge(0)]] = 0.1
    """Decoupled weight decay of matrices."""
    clip: Identity[Annotated[float, Ge(0)]] = 1.0
    """Largest gradient norm; 0 turns clipping off."""
    dtype: Identity[Literal["fp32", "bf16"] | None] = None
    """What the model computes in; bf16 keeps fp32 master weights. Small presets take fp32: on a
    processor bf16 is 1.4 times as fast where it has the instructions, else 7 times slower."""
    compile: Identity[bool] = False
    """Compile the blocks: for a GPU. Sums are rounded elsewhere than without; a processor gains
    nothing and needs a C++ compiler."""
    on_anomaly: Identity[Literal["stop", "skip", "rollback"]] = "skip"
    """What to do when a loss or gradient is not finite, or the loss jumps: stop, pass over that
    batch, or go back to before it and pass over all batches since."""
    spike: Identity[Annotated[float, Ge(0)]] = 10.0
    """A loss is a jump when it is above the median of the last 128 by more than so many of their
    (robust) standard deviations; 0: never."""
    validation_tokens: Identity[Annotated[int, Ge(0)]] = 65_536
    """Held-out tokens to measure the loss on, at most."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the first weights and of the order of documents."""
    threads: Execution[Annotated[int, Interval(ge=0, le=1024)]] = 0
    """Threads on the processor; 0 lets torch choose."""
    keep_every: Execution[Annotated[int, Ge(0)]] = 0
    """Keep the checkpoints of steps that this divides as well; 0: none."""
    log_every: Execution[Annotated[int, Ge(1)]] = 10
    """Steps between rows of the metrics log."""
    eval_every: Execution[Annotated[int, Ge(0)]] = 0
    """Steps between measurements of the validation loss; 0 is a tenth of the run."""
    track: Execution[list[str]] = field(default_factory=list)
    """Show the metrics to tensorboard or wandb (offline) too, each in a folder of the log."""
    on: Execution[str] = ""
    """Devices that --dry-run reckons for: a100-80gb, h100, h200, b200 or l4, several as in
    2048xa100-80gb; by default what is here."""
    assume: Execution[dict[str, float]] = field(default_factory=dict)
    """What time and energy are reckoned with: mfu (share of the peak, 0.4), watts (of a device),
    pue (1.1), carbon (kg a kWh, 0.385)."""

    makes: ClassVar = Model
    revision: ClassVar = 2
    sections: ClassVar = {
        "preset": "Shape",
        "steps": "Length and batch",
        "lr": "Optimizer",
        "on_anomaly": "Anomalies",
        "validation_tokens": "Run",
        "threads": "Devices",
        "keep_every": "Checkpoints and log",
        "on": "Forecast",
        "device": "Devices",
        "checkpoint_every": "Checkpoints and log",
    }
    panel: ClassVar = "Training"
    presets: ClassVar = {name: _preset(name) for name in PRESETS}

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [n for n in ("steps", "token_budget", "epochs") if getattr(self, n) is not None]
        if len(given) > 1:
            raise UsageError(
                f"{' and '.join(given)} both say how long the run is",
                where=self.command(),
                fix="Give one of them.",
            )
        self._fill_adamw()
        for name in self.track:
            if name not in _TRACKERS:
                raise UsageError(
                    f"there is no tracker {name!r}",
                    where=self.command(),
                    fix=f"There are: {', '.join(_TRACKERS)}; --track is given once for each.",
                )

    def _fill_adamw(self) -> None:
        """Complete AdamW's settings: the same ones, given or not, are one fingerprint."""
        for name, value in self.adamw.items():
            if name not in _ADAMW:
                guess = nearest(name, list(_ADAMW))
                fix = f"Did you mean {guess!r}?" if guess else f"It has {', '.join(_ADAMW)}."
                raise UsageError(f"adamw has no {name!r}", where=self.command(), fix=fix)
            if not (value > 0 if name == "eps" else 0 <= value < 1):
                bound = "above 0" if name == "eps" else "from 0 to below 1"
                raise UsageError(
                    f"adamw's {name} is {value:g}; it must be {bound}", where=self.command()
                )
        object.__setattr__(self, "adamw", {**_ADAMW, **self.adamw})

    def run(self, draft: Draft[Model]) -> Outcome:
        import torch

        from llamakit.model.transformer import Transformer, drawn_weights
        from llamakit.model.weights import load_vocabulary
        from llamakit.text.compression import MOST_IN_RECORD
        from llamakit.text.tokens import TokenStore
        from llamakit.training.batches import PackedDocuments
        from llamakit.training.estimate import Assumed
        from llamakit.training.language import train_language_model
        from llamakit.training.machine import (
            check_compiler,
            check_memory,
            pick_device,
            this_device,
            threads,
            warn_of_slow_bf16,
        )
        from llamakit.training.meter import Meter
        from llamakit.training.metrics import METRICS_FILE, read_metrics
        from llamakit.training.parallel import parallel_of
        from llamakit.training.plan import TrainingPlan

        source = draft.input(self.tokens)
        store = TokenStore.open(source.path)
        # Left at None, these were filled by the preset.
        assert self.seq_len is not None
        assert self.batch_tokens is not None
        assert self.micro_batch is not None
        assert self.lr is not None
        assert self.dtype is not None
        config = self._shape(store.vocab_size)
        assumed = Assumed.of(self.assume)
        device = pick_device(self.device)
        parallel = parallel_of(self.parallel, self.tensor_parallel, device)
        check_memory(
            config, self.dtype, device, shards=parallel.shard_count, tensor=self.tensor_parallel
        )
        check_compiler(device, wanted=self.compile)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        rows = max(1, self.batch_tokens // self.seq_len)
        micro_rows = min(rows, self.micro_batch)
        packed = partial(
            PackedDocuments,
            store,
            seq_len=self.seq_len,
            rows=rows,
            micro_rows=micro_rows,
            seed=self.seed,
            isolate_documents=self.isolate_documents,
            share=parallel.rows,
        )
        batches = packed(order=store.order)
        steps = self._steps(batches.tokens_per_epoch, rows * self.seq_len)
        plan = TrainingPlan(
            steps=steps,
            lr=self.lr,
            min_lr_ratio=self.min_lr_ratio,
            warmup_steps=min(_WARMUP_STEPS, steps // 10) if self.warmup is None else self.warmup,
            betas=(self.adamw["beta1"], self.adamw["beta2"]),
            eps=self.adamw["eps"],
            weight_decay=self.weight_decay,
            clip=self.clip,
            dtype=self.dtype,
            on_anomaly=self.on_anomaly,
            spike=self.spike,
            device=device,
            compile=self.compile,
            recompute=self.recompute,
            checkpoint_every=self.checkpoint_every,
            keep_every=self.keep_every,
            log_every=self.log_every,
            eval_every=self.eval_every or max(1, steps // 10),
        )
        validation = []
        if len(store.validation) and self.validation_tokens:
            held_out = packed(order=store.validation, shuffle=False)
            validation = list(held_out.once(self.validation_tokens))
        validation_tokens = parallel.total(sum(batch.tokens for batch in validation))
        with threads(self.threads):
            here = this_device(device, self.dtype)
        meter = Meter(
            flops_per_token=config.flops_per_token(self.seq_len),
            device=here,
            peak=here.peak[self.dtype],
            n_devices=parallel.processes.world,
            assumed=assumed,
        )
        sources = batches.tokens_by_source(steps)
        vocabulary = load_vocabulary(source.path)
        # What is divided is too large for one process to hold, even once.
        with torch.device("cpu" if parallel.whole else "meta"):
            model = Transformer(config, seed=self.seed)
        metrics = train_language_model(
            draft,
            model,
            vocabulary,
            batches,
            plan,
            validation=validation,
            n_threads=self.threads,
            chat=False,
            title=f"Base model ({self.preset})",
            about="A base language model: it continues text and does not answer as an assistant.",
            facts={
                "batch": f"{rows * self.seq_len:,} tokens",
                "data": f"{batches.tokens_per_epoch:,} tokens, read"
                f" {steps * rows * self.seq_len / batches.tokens_per_epoch:.3g} times",
                "data digest": source.digest[:16],
            },
            parallel=parallel,
            weights=None if parallel.whole else drawn_weights(model, config, self.seed),
            meter=meter,
            watchers=self._watchers(
                draft, store, vocabulary, texts=bool(validation) and parallel.whole
            ),
            sources=sources,
        )
        if not parallel.leads:
            return Outcome()
        counts = {
            "parameters": config.parameters(),
            "steps": steps,
            "tokens": int(metrics["tokens"]),
            "anomalies": int(metrics.pop("anomalies")),
            "passed_over": int(metrics.pop("passed_over")),
            "validation_tokens": validation_tokens,
            **{f"tokens_{name}": sources[name] for name in list(sources)[:MOST_IN_RECORD] if name},
        }
        measured = "validation_loss" if validation else "loss"
        headline = f"{measured.replace('_', ' ')} {metrics[measured]:.3f}"
        return Outcome(
            counts=counts,
            metrics=metrics,
            headline=headline,
            usage=meter.usage(read_metrics(draft.log / METRICS_FILE)),
        )

    def _watchers(
        self, draft: Draft[Model], store: "TokenStore", vocabulary: "Vocabulary", *, texts: bool
    ) -> "list[Watcher]":
        """Trackers that were asked for, and sample texts where one process holds the model."""
        from llamakit.training.samples import Samples, beginnings
        from llamakit.training.trackers import trackers

        watchers: list[Watcher] = [*trackers(self.track, draft.log, self.config(), draft.events)]
        if texts:
            assert self.seq_len is not None
            chosen = beginnings(store, self.seq_len)
            watchers.append(
                Samples(draft.log, vocabulary, chosen, compiled=self.compile, events=draft.events)
            )
        return watchers

    def forecast(self, draft: Draft[Any]) -> Answer:
        """Size, memory, time and energy of the run; the model is not built."""
        from llamakit.text.tokens import TokenStore
        from llamakit.training.estimate import Assumed, named_devices
        from llamakit.training.forecast import Forecast
        from llamakit.training.machine import pick_device, this_device, threads

        assert self.seq_len is not None
        assert self.batch_tokens is not None
        assert self.micro_batch is not None
        assert self.dtype is not None
        store = TokenStore.open(draft.input(self.tokens).path)
        assumed = Assumed.of(self.assume)
        if self.on:
            n_devices, device = named_devices(self.on)
        else:
            with threads(self.threads):
                n_devices, device = 1, this_device(pick_device(self.device), self.dtype)
        rows = max(1, self.batch_tokens // self.seq_len)
        told = Forecast(
            config=self._shape(store.vocab_size),
            dtype=self.dtype,
            seq_len=self.seq_len,
            rows=rows,
            micro_rows=self.micro_batch,
            steps=self._steps(store.training_tokens, rows * self.seq_len),
            tokens_per_epoch=store.training_tokens,
            device=device,
            n_devices=n_devices,
            sharded=self.parallel == "fsdp",
            tensor=self.tensor_parallel,
            recompute=self.recompute == "blocks",
            assumed=assumed,
        )
        return Answer(told.text(), told.values())

    def _shape(self, vocab_size: int) -> "ModelConfig":
        from llamakit.model.config import ModelConfig

        assert self.seq_len is not None
        return ModelConfig(
            **{name: getattr(self, name) for name in _SHAPE},
            vocab_size=vocab_size,
            max_seq_len=self.seq_len,
            rope_theta=self.rope_theta,
            tie_embeddings=self.tie_embeddings,
        )

    def _steps(self, tokens_per_epoch: int, tokens_per_step: int) -> int:
        if self.steps is not None:
            return self.steps
        tokens = self.token_budget or int((self.epochs or 1.0) * tokens_per_epoch)
        return max(1, -(-tokens // tokens_per_step))
