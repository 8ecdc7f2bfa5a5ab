"""Preferences and a chat model become a better chat model, without a reward model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Model, Preferences
from llamakit.stages.fields import Execution, Identity, Input, Inputs
from llamakit.stages.stage import Outcome
from llamakit.stages.trained import Adapted, Trained
from llamakit.wording import counted

if TYPE_CHECKING:
    from torch import Tensor

    from llamakit.alignment.preferences import Pair
    from llamakit.model.lora import Lora
    from llamakit.model.transformer import Transformer
    from llamakit.text.vocabulary import Vocabulary
    from llamakit.training.plan import TrainingPlan


@dataclass(frozen=True, kw_only=True)
class Dpo(Trained, Adapted):
    """Train a chat model on ranked answers directly (DPO), without a reward model or sampling.

    The loss is -log sigmoid(beta * (how much likelier the chosen answer has become than under the
    start model - the same of the rejected one)). The report shows how well the policy, read as a
    reward model, agrees with annotators on held-out pairs.
    """

    preferences: Inputs[Preferences]
    """Pairs to train on."""
    model: Input[Model]
    """Chat model to start from; also the reference."""
    heldout: Inputs[Preferences] = ()
    """Pairs to report agreement on; without them a share of the training pairs is held out."""
    heldout_share: Identity[Annotated[float, Interval(ge=0, lt=1)]] = 0.05
    """Share of the pairs held out when no held-out pairs are given (0-1)."""
    beta: Identity[Annotated[float, Gt(0)]] = 0.1
    """How dear it is to leave the start model: larger stays nearer."""
    label_smoothing: Identity[Annotated[float, Interval(ge=0, lt=0.5)]] = 0.0
    """Share of the pairs that are taken to be ranked the wrong way round (0-0.5)."""
    shuffle_labels: Identity[bool] = False
    """A control: toss a coin for which answer of a training pair was chosen. Agreement must be
    0.5."""
    epochs: Identity[Annotated[int, Ge(1)]] = 1
    """Passes over the pairs."""
    batch_pairs: Identity[Annotated[int, Ge(1)]] = 64
    """Pairs an optimizer step."""
    tokens_at_once: Identity[Annotated[int, Ge(1)]] = 1024
    """Tokens of a forward pass, padding included; a longer pair is read alone."""
    lr: Identity[Annotated[float, Gt(0)]] = 1e-6
    """Peak learning rate; a cosine ends at a tenth of it."""
    warmup_ratio: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.1
    """Warm-up as a share of all steps."""
    weight_decay: Identity[Annotated[float, Ge(0)]] = 0.0
    """Decoupled weight decay."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the model computes in; weights are trained in fp32."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the order of pairs and what is held out."""
    eval_every: Execution[Annotated[int, Ge(0)]] = 0
    """Steps between measurements on held-out pairs; 0 is once an epoch."""

    makes: ClassVar = Model
    revision: ClassVar = 2
    panel: ClassVar = "Alignment"

    def run(self, draft: Draft[Model]) -> Outcome:
        from llamakit.alignment import direct
        from llamakit.alignment.direct_report import direct_page
        from llamakit.alignment.preferences import PairBatches
        from llamakit.alignment.rm_figures import figures
        from llamakit.model.lora import add_lora
        from llamakit.model.weights import load_model, load_vocabulary
        from llamakit.training.accumulation import mean_loss
        from llamakit.training.loop import fit
        from llamakit.training.machine import pick_device, warn_of_slow_bf16
        from llamakit.training.metrics import METRICS_FILE, read_metrics
        from llamakit.training.parallel import parallel_of
        from llamakit.training.plan import TrainingPlan

        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        lora = self.lora()
        start = draft.input(self.model).path
        vocabulary = load_vocabulary(start)
        parallel = parallel_of(self.parallel, self.tensor_parallel, device, lora=lora)
        model = load_model(start)
        pairs, heldout, counts = self._pairs(draft, vocabulary, model.config.max_seq_len)
        reference = load_model(start, self.dtype, device).eval()
        with draft.events.task("reference", len(pairs) + len(heldout), "pairs") as task:
            pairs = direct.with_reference(reference, pairs, vocabulary.pad, parallel)
            task.advance(len(pairs))
            heldout = direct.with_reference(reference, heldout, vocabulary.pad, parallel)
            task.advance(len(heldout))
        del reference

        def batched(some: "list[Pair]", size: int, epochs: int) -> PairBatches:
            return PairBatches(
                some,
                batch_pairs=size,
                tokens_at_once=self.tokens_at_once,
                epochs=epochs,
                seed=self.seed,
                margin="none",
                pad=vocabulary.pad,
                share=parallel.rows,
            )

        batches = batched(pairs, self.batch_pairs, self.epochs)
        held_batch = batched(heldout, len(heldout), 1).batch(0) if heldout else []
        loss = direct.objective(self.beta, self.label_smoothing)
        if lora is not None:
            add_lora(model, lora, self.seed)
        plan = TrainingPlan(
            steps=batches.steps,
            lr=self.lr,
            warmup_steps=round(self.warmup_ratio * batches.steps),
            weight_decay=self.weight_decay,
            dtype=self.dtype,
            device=device,
            recompute=self.recompute,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
            eval_every=self.eval_every or batches.steps_per_epoch,
        )
        result = fit(
            model,
            loss,
            batches,
            plan,
            checkpoints=draft.work / "checkpoints",
            log=draft.log,
            events=draft.events,
            evaluate=(
                lambda model: {
                    f"heldout_{name}": value
                    for name, value in mean_loss(model, loss, held_batch, device, parallel).items()
                    if name != "count"
                }
            )
            if heldout
            else None,
            label="dpo",
            parallel=parallel,
        )
        # A model that is divided can only be used by all at once.
        scored = direct.implicit_rewards(model.eval(), heldout, vocabulary.pad, self.beta)
        trained = parallel.weights(model, self.dtype, draft.work / "weights")
        if not parallel.leads:
            return Outcome()
        self._save(draft, model, vocabulary, plan, trained, lora, len(pairs))
        with draft.writing("log/report.html") as path:
            metrics = read_metrics(draft.log / METRICS_FILE)
            path.write_text(direct_page(metrics, scored, counts), encoding="utf-8")
        found = figures(scored, None)
        headline = f"{counted(len(pairs), 'pair')}, none held out"
        if scored:
            of = counted(len(scored), "held-out pair")
            headline = f"agreement {found['agreement']:.3f} on {of}"
        measured = {name: float(result.last[name]) for name in _KEPT if name in result.last}
        return Outcome(counts=counts, metrics=measured | found, headline=headline)

    def _save(
        self,
        draft: Draft[Model],
        model: "Transformer",
        vocabulary: "Vocabulary",
        plan: "TrainingPlan",
        trained: "Mapping[str, Tensor]",
        lora: "Lora | None",
        n_pairs: int,
    ) -> None:
        from llamakit.model.exchange.peft import ADAPTER_FOLDER, write_adapter
        from llamakit.model.lora import MergedWeights
        from llamakit.model.weights import save_model
        from llamakit.training.card import model_card

        card = model_card(
            "Chat model",
            "A chat model trained on ranked answers by direct preference optimisation. It reads "
            "Llama 2's chat format; the tokenizer carries the template.",
            model.config,
            plan,
            {"pairs": f"{n_pairs:,}, read {self.epochs} times", "beta": self.beta},
        )
        if lora is not None:
            write_adapter(draft.path / ADAPTER_FOLDER, trained, lora, reward=False)
            trained = MergedWeights(trained, lora)
        save_model(draft.path, model, vocabulary, chat=True, card=card, weights=trained)

    def _pairs(
        self, draft: Draft[Model], vocabulary: "Vocabulary", max_tokens: int
    ) -> tuple[list["Pair"], list["Pair"], dict[str, int]]:
        """(training pairs, held-out pairs, counts of what was read, shortened and dropped)."""
        from llamakit.alignment.preferences import shuffled, training_pairs
        from llamakit.alignment.tables import read_rows
        from llamakit.artifacts.frames import PREFERENCES

        rows, heldout_rows = (
            read_rows([version.path / "data" for version in draft.inputs(given)], PREFERENCES)
            for given in (self.preferences, self.heldout)
        )
        pairs, heldout, dropped = training_pairs(
            rows,
            heldout_rows if self.heldout else None,
            self.heldout_share,
            vocabulary,
            max_tokens,
            seed=self.seed,
            where=self.command(),
        )
        if self.shuffle_labels:
            pairs = shuffled(pairs, self.seed)
        counts = {
            "pairs": len(pairs),
            "held_out": len(heldout),
            **{name: count for name, count in sorted(dropped.items()) if count},
        }
        return pairs, heldout, counts


_KEPT = ("loss", "accuracy", "margin", "heldout_loss", "heldout_margin")
"""Figures of the last step that a record keeps."""
