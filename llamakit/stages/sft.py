"""Dialogues and a model become a chat model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Model
from llamakit.stages.fields import Execution, Identity, Input, Inputs
from llamakit.stages.stage import Outcome
from llamakit.stages.trained import Adapted, Trained

if TYPE_CHECKING:
    from llamakit.artifacts.store import Version
    from llamakit.text.vocabulary import Vocabulary
    from llamakit.training.dialogues import DialogueTokens


@dataclass(frozen=True, kw_only=True)
class Sft(Trained, Adapted):
    """Fine-tune a model on dialogues, so that it answers as an assistant.

    Dialogues are packed into rows without seeing one another, and only answers are trained on: all
    of a dialogue's, or its last where it says so. The default preset is the paper's; toy suits a
    model of a few million parameters.
    """

    dialogues: Inputs[Dialogues]
    """Dialogues to train on; those of several artifacts are put together."""
    model: Input[Model]
    """Model to start from: a base model, or a chat model to train further."""
    validation: Inputs[Dialogues] = ()
    """Dialogues to measure the loss on; never trained on."""
    preset: Identity[str] = "llama2"
    """Learning rate, batch and row length: llama2 (paper §3.1) or toy."""
    epochs: Identity[Annotated[int, Ge(1)]] = 2
    """Passes over the dialogues."""
    batch: Identity[Annotated[int, Ge(1)] | None] = None
    """Rows an optimizer step; a row is packed with dialogues."""
    micro_batch: Identity[Annotated[int, Ge(1)] | None] = None
    """Rows a forward pass."""
    seq_len: Identity[Annotated[int, Ge(2)] | None] = None
    """Tokens of a row: by default the model's context length, which a larger number extends."""
    pack: Identity[bool] = True
    """Pack dialogues into rows; off gives each a row of its own."""
    overlong: Identity[Literal["truncate", "drop"]] = "truncate"
    """What becomes of a dialogue longer than a row; either way it is counted."""
    mask_prompt: Identity[bool] = True
    """Train on answers only; off trains on prompts too."""
    lr: Identity[Annotated[float, Gt(0)] | None] = None
    """Peak learning rate."""
    min_lr_ratio: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.1
    """Where the cosine ends, as a share of the peak."""
    warmup_ratio: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.03
    """Warm-up as a share of all steps."""
    weight_decay: Identity[Annotated[float, Ge(0)]] = 0.1
    """Decoupled weight decay of matrices."""
    clip: Identity[Annotated[float, Ge(0)]] = 1.0
    """Largest gradient norm; 0 turns clipping off."""
    dtype: Identity[Literal["fp32", "bf16"] | None] = None
    """What the model computes in: bf16 (with fp32 master weights) in llama2, fp32 in toy."""
    compile: Identity[bool] = False
    """Compile the blocks: for a GPU. Sums are rounded elsewhere than without; a processor gains
    nothing and needs a C++ compiler."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the order of rows, and of the adapters."""
    threads: Execution[Annotated[int, Interval(ge=0, le=1024)]] = 0
    """Threads on the processor; 0 lets torch choose."""
    log_every: Execution[Annotated[int, Ge(1)]] = 10
    """Steps between rows of the metrics log."""
    eval_every: Execution[Annotated[int, Ge(0)]] = 0
    """Steps between measurements of the validation loss; 0 is once an epoch."""

    makes: ClassVar = Model
    revision: ClassVar = 2
    panel: ClassVar = "Training"
    presets: ClassVar = {
        "llama2": {"lr": 2e-5, "batch": 64, "micro_batch": 1, "dtype": "bf16"},
        "toy": {"lr": 1e-3, "batch": 8, "micro_batch": 8, "dtype": "fp32"},
    }

    def run(self, draft: Draft[Model]) -> Outcome:
        from llamakit.model.lora import add_lora
        from llamakit.model.weights import load_config, load_model, load_vocabulary
        from llamakit.training.batches import PackedDialogues
        from llamakit.training.language import train_language_model
        from llamakit.training.machine import (
            check_compiler,
            check_memory,
            pick_device,
            warn_of_slow_bf16,
        )
        from llamakit.training.parallel import parallel_of
        from llamakit.training.plan import TrainingPlan

        # Left at None, these were filled by the preset.
        assert self.batch is not None
        assert self.micro_batch is not None
        assert self.lr is not None
        assert self.dtype is not None
        lora = self.lora()
        start = draft.input(self.model)
        config, vocabulary = load_config(start.path), load_vocabulary(start.path)
        device = pick_device(self.device)
        parallel = parallel_of(self.parallel, self.tensor_parallel, device, lora=lora)
        check_memory(
            config,
            self.dtype,
            device,
            shards=parallel.shard_count,
            tensor=self.tensor_parallel,
            trained=None if lora is None else lora.parameters(config),
        )
        check_compiler(device, wanted=self.compile)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        seq_len = self.seq_len or config.max_seq_len
        model = load_model(start.path)
        if seq_len > config.max_seq_len:
            # As the paper did with Llama 1: pretrained on rows of 2,048, fine-tuned on 4,096.
            model.lengthen(seq_len)
            draft.events.note(
                f"the model's context grows from {config.max_seq_len:,} to {seq_len:,} tokens"
            )
        sources = draft.inputs(self.dialogues)
        tokens = self._render(sources, vocabulary, seq_len)
        _tell(draft, tokens)
        batches = PackedDialogues(
            tokens,
            seq_len=seq_len,
            rows=self.batch,
            micro_rows=self.micro_batch,
            seed=self.seed,
            packed=self.pack,
            share=parallel.rows,
        )
        validation = []
        if self.validation:
            held_out = self._render(draft.inputs(self.validation), vocabulary, seq_len)
            rows = PackedDialogues(
                held_out,
                seq_len=seq_len,
                rows=self.batch,
                micro_rows=self.micro_batch,
                seed=self.seed,
                packed=self.pack,
                share=parallel.rows,
            )
            validation = list(rows.once())
        steps = self.epochs * batches.steps_per_epoch
        plan = TrainingPlan(
            steps=steps,
            lr=self.lr,
            min_lr_ratio=self.min_lr_ratio,
            warmup_steps=round(self.warmup_ratio * steps),
            weight_decay=self.weight_decay,
            clip=self.clip,
            dtype=self.dtype,
            device=device,
            compile=self.compile,
            recompute=self.recompute,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
            eval_every=self.eval_every or batches.steps_per_epoch,
        )
        if lora is not None:
            add_lora(model, lora, self.seed)
        metrics = train_language_model(
            draft,
            model,
            vocabulary,
            batches,
            plan,
            validation=validation,
            n_threads=self.threads,
            chat=True,
            title="Chat model",
            about="A language model fine-tuned on dialogues. It reads Llama 2's chat format; the "
            "tokenizer carries the template.",
            facts={
                "batch": f"{self.batch} rows of {seq_len:,} tokens",
                "dialogues": f"{len(tokens):,}, read {self.epochs} times",
                "start model digest": start.digest[:16],
                "data digests": ", ".join(source.digest[:16] for source in sources),
            },
            parallel=parallel,
            lora=lora,
        )
        if not parallel.leads:
            return Outcome()
        counts = {
            **tokens.counts,
            "steps": steps,
            "rows": batches.n_rows,
            "answer_tokens": int(tokens.trained.sum()),
        }
        metrics["fill"] = batches.fill
        measured = "validation_loss" if validation else "loss"
        headline = f"{measured.replace('_', ' ')} {metrics[measured]:.3f}"
        return Outcome(counts=counts, metrics=metrics, headline=headline)

    def _render(
        self, sources: Sequence["Version[Dialogues]"], vocabulary: "Vocabulary", seq_len: int
    ) -> "DialogueTokens":
        from llamakit.training.dialogues import render_dialogues

        return render_dialogues(
            _rows(sources),
            vocabulary,
            seq_len=seq_len,
            overlong=self.overlong,
            mask_prompt=self.mask_prompt,
        )


def _rows(sources: Sequence["Version[Dialogues]"]) -> Iterator[dict[str, Any]]:
    from llamakit.artifacts.frames import DIALOGUES, read_as

    for source in sources:
        for part in source.parts():
            for row in read_as(DIALOGUES, part).iter_rows(named=True):
                yield {**row, "artifact": source.reference}


def _tell(draft: Draft[Model], tokens: "DialogueTokens") -> None:
    """Nothing is left out in silence."""
    counts = tokens.counts
    left_out = counts["overlong"] + counts["unanswered"] + counts["refused"]
    if left_out or counts["truncated"]:
        draft.events.warn(
            f"of {counts['dialogues']:,} dialogues {counts['truncated']:,} were cut to the row, "
            f"{counts['overlong']:,} were too long, {counts['unanswered']:,} have no answer and "
            f"{counts['refused']:,} are refused: {counts['trained']:,} are trained on"
        )
    if tokens.refused:
        draft.events.warn(f"refused, the first of {len(tokens.refused):,}: {tokens.refused[0]}")
