"""Preferences and a chat model become a reward model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Model, Preferences, RewardModel
from llamakit.errors import InputError
from llamakit.stages.fields import Identity, Input, Inputs
from llamakit.stages.stage import Outcome
from llamakit.stages.trained import Adapted, Trained
from llamakit.wording import counted

if TYPE_CHECKING:
    from llamakit.alignment.agreement import ScoredPair
    from llamakit.alignment.preferences import Pair
    from llamakit.text.vocabulary import Vocabulary

# The recipes of paper §3.2.2: share of mixed-in pairs, weight of the safety auxiliary loss.
_MIX_SHARE = {"helpfulness": 0.5, "safety": 0.1}
_AUX_WEIGHT = {"helpfulness": 0.0, "safety": 1.0}


@dataclass(frozen=True, kw_only=True)
class Rm(Trained, Adapted):
    """Train a reward model on ranked answers.

    Two are made, one for helpfulness and one for safety, each from a chat model whose output layer
    gives way to a scalar one. The loss is -log sigmoid(chosen - rejected - margin of the grade),
    and for safety also the cross-entropy of each answer's safety label. The report shows agreement
    with annotators on held-out pairs, by grade and by safety bin.
    """

    preferences: Inputs[Preferences]
    """Pairs of the model's own kind, all of which are used; with `sources`, of other kinds too."""
    model: Input[Model]
    """Chat model to start from."""
    mix: Inputs[Preferences] = ()
    """Other pairs, of which a share is mixed in."""
    heldout: Inputs[Preferences] = ()
    """Pairs to report agreement on; without them a share of the training pairs is held out."""
    other: Input[RewardModel] | None = None
    """Another reward model, to report how often both rank the held-out pairs alike."""
    sources: Identity[list[str]] = field(default_factory=list)
    """Sources of the pairs that are of the model's own kind; pairs of other sources are mixed in.
    By default all are its own."""
    kind: Identity[Literal["helpfulness", "safety"]] = "helpfulness"
    """What the model judges; decides the defaults of mix-share and safety-aux-weight."""
    mix_share: Identity[Annotated[float, Interval(ge=0, lt=1)] | None] = None
    """Share of mixed-in pairs among all (0-1): by default 0.5 for helpfulness, 0.1 for safety."""
    heldout_share: Identity[Annotated[float, Interval(ge=0, lt=1)]] = 0.05
    """Share of the pairs held out when no held-out pairs are given (0-1); none of their prompts is
    trained on."""
    margin: Identity[Literal["none", "small", "large"]] = "small"
    """Margins by grade: small is 1, 2/3, 1/3, 0; large is 3, 2, 1, 0; ungraded pairs have 0."""
    safety_aux_weight: Identity[Annotated[float, Ge(0)] | None] = None
    """Weight of the safety labels' cross-entropy: by default 0 for helpfulness, 1 for safety."""
    centring_weight: Identity[Annotated[float, Ge(0)]] = 0.01
    """Weight of (chosen + rejected)^2, which keeps the mean score near 0, as the gate of PPO
    needs."""
    shuffle_labels: Identity[bool] = False
    """A control: toss a coin for which answer of a training pair was chosen. Agreement must be
    0.5."""
    epochs: Identity[Annotated[int, Ge(1)]] = 1
    """Passes over the pairs; more than one overfits."""
    batch_pairs: Identity[Annotated[int, Ge(1)]] = 512
    """Pairs an optimizer step."""
    tokens_at_once: Identity[Annotated[int, Ge(1)]] = 1024
    """Tokens of a forward pass, padding included; a longer pair is read alone."""
    lr: Identity[Annotated[float, Gt(0)]] = 1e-5
    """Peak learning rate; a cosine ends at a tenth of it."""
    warmup_ratio: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.03
    """Warm-up as a share of all steps."""
    warmup_min: Identity[Annotated[int, Ge(0)]] = 5
    """Fewest steps of warm-up."""
    weight_decay: Identity[Annotated[float, Ge(0)]] = 0.1
    """Decoupled weight decay."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the model computes in; weights are trained in fp32."""
    lora_rank: Identity[Annotated[int, Ge(0)]] = 0
    """Rank of the adapters that are trained in place of the model's own weights; 0 trains all. The
    new output layer is trained either way."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of new weights, the order of pairs and what is mixed in or held out."""

    makes: ClassVar = RewardModel
    revision: ClassVar = 3
    panel: ClassVar = "Alignment"

    def run(self, draft: Draft[RewardModel]) -> Outcome:
        from llamakit.alignment import agreement, ranking
        from llamakit.alignment.models import require_same_vocabulary
        from llamakit.alignment.preferences import PairBatches
        from llamakit.model.exchange.peft import ADAPTER_FOLDER, write_adapter
        from llamakit.model.lora import MergedWeights, add_lora
        from llamakit.model.weights import (
            load_model,
            load_vocabulary,
            reward_from_model,
            save_reward_model,
        )
        from llamakit.training.loop import fit
        from llamakit.training.machine import pick_device, warn_of_slow_bf16
        from llamakit.training.parallel import parallel_of
        from llamakit.training.plan import TrainingPlan

        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        lora = self.lora()
        start = draft.input(self.model)
        if self.other is not None:
            require_same_vocabulary([start.path, draft.input(self.other).path])
        vocabulary = load_vocabulary(start.path)
        model = reward_from_model(load_model(start.path), self.seed)
        if lora is not None:
            add_lora(model, lora, self.seed)
        pairs, heldout, counts = self._pairs(draft, vocabulary, model.config.max_seq_len)
        parallel = parallel_of(self.parallel, self.tensor_parallel, device, lora=lora)
        batches = PairBatches(
            pairs,
            batch_pairs=self.batch_pairs,
            tokens_at_once=self.tokens_at_once,
            epochs=self.epochs,
            seed=self.seed,
            margin=self.margin,
            pad=vocabulary.pad,
            share=parallel.rows,
        )
        warmup = max(self.warmup_min, round(self.warmup_ratio * batches.steps))
        plan = TrainingPlan(
            steps=batches.steps,
            lr=self.lr,
            warmup_steps=min(warmup, batches.steps),
            weight_decay=self.weight_decay,
            dtype=self.dtype,
            device=device,
            recompute=self.recompute,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
        )
        weights = (self._aux_weight(), self.centring_weight)
        result = fit(
            model,
            ranking.objective(*weights),
            batches,
            plan,
            checkpoints=draft.work / "checkpoints",
            log=draft.log,
            events=draft.events,
            label="rm",
            parallel=parallel,
        )
        trained = parallel.weights(model, self.dtype, draft.work / "weights")
        # A model that is divided can only be used by all at once.
        scored = agreement.score_pairs(model, heldout, vocabulary.pad)
        if not parallel.leads:
            return Outcome()
        card = self._card(len(pairs))
        if lora is not None:
            write_adapter(draft.path / ADAPTER_FOLDER, trained, lora, reward=True)
            trained = MergedWeights(trained, lora)
        save_reward_model(draft.path, model, vocabulary, card=card, weights=trained)
        found = self._report(draft, scored, counts)
        headline = f"{counted(counts['pairs'], 'pair')}, none held out"
        if scored:
            headline = (
                f"agreement {found['agreement']:.3f} on {counted(len(scored), 'held-out pair')}"
            )
        return Outcome(
            counts=counts,
            metrics={"loss": float(result.last["loss"]), **found},
            headline=headline,
        )

    def _pairs(
        self, draft: Draft[RewardModel], vocabulary: "Vocabulary", max_tokens: int
    ) -> tuple[list["Pair"], list["Pair"], dict[str, int]]:
        """(training pairs, held-out pairs, counts of what was read, shortened and dropped)."""
        from llamakit.alignment.preferences import draw_share, shuffled, training_pairs
        from llamakit.alignment.tables import read_rows
        from llamakit.artifacts.frames import PREFERENCES

        def read(references: Inputs[Preferences]) -> list[dict[str, object]]:
            folders = [version.path / "data" for version in draft.inputs(references)]
            return read_rows(folders, PREFERENCES)

        main, mix = read(self.preferences), read(self.mix)
        if self.sources:
            mix += [row for row in main if row["source"] not in self.sources]
            main = [row for row in main if row["source"] in self.sources]
            if not main:
                raise InputError(
                    f"no pair has a source among {', '.join(self.sources)}", where="rm"
                )
        share = _MIX_SHARE[self.kind] if self.mix_share is None else self.mix_share
        picked = draw_share(len(main), len(mix), share, self.seed)
        if mix and len(picked) == len(mix):
            draft.events.note(f"all {len(mix):,} other pairs are mixed in: no more are there")
        rows = main + [mix[index] for index in picked.tolist()]
        pairs, heldout, dropped = training_pairs(
            rows,
            read(self.heldout) if self.heldout else None,
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
            "own": len(main),
            "mixed_in": len(picked),
            "held_out": len(heldout),
            **{name: count for name, count in sorted(dropped.items()) if count},
        }
        return pairs, heldout, counts

    def _report(
        self, draft: Draft[RewardModel], scored: "list[ScoredPair]", counts: dict[str, int]
    ) -> dict[str, float]:
        """Draw the page; returns the numbers for the record."""
        from llamakit.alignment.agreement import gate_quality
        from llamakit.alignment.consensus import consensus
        from llamakit.alignment.reward import SAFETY_THRESHOLD
        from llamakit.alignment.rm_figures import figures
        from llamakit.alignment.rm_report import rm_page
        from llamakit.training.metrics import read_metrics

        gate = gate_quality(scored, SAFETY_THRESHOLD) if self.kind == "safety" else None
        found = figures(scored, gate)
        theirs = self._scored_by_other(draft, [one.pair for one in scored])
        if theirs is not None:
            found["same_choice"] = consensus(scored, theirs[1]).same.value
        metrics = read_metrics(draft.log / "metrics.jsonl")
        with draft.writing("log/report.html") as path:
            page = rm_page(self.kind, metrics, scored, gate, counts, theirs)
            path.write_text(page, encoding="utf-8")
        return found

    def _scored_by_other(
        self, draft: Draft[RewardModel], heldout: "Sequence[Pair]"
    ) -> "tuple[str, list[ScoredPair]] | None":
        """The other model's name and its scores of the held-out pairs, if it can read any."""
        from llamakit.alignment.agreement import score_pairs
        from llamakit.model.weights import load_reward_model, load_vocabulary
        from llamakit.training.machine import pick_device

        if self.other is None:
            return None
        version = draft.input(self.other)
        model = load_reward_model(version.path, self.dtype, pick_device(self.device))
        limit = model.config.max_seq_len
        read = [one for one in heldout if max(len(one.chosen), len(one.rejected)) <= limit]
        scored = score_pairs(model, read, load_vocabulary(version.path).pad)
        return (version.reference, scored) if scored else None

    def _aux_weight(self) -> float:
        given = self.safety_aux_weight
        return _AUX_WEIGHT[self.kind] if given is None else given

    def _card(self, n_pairs: int) -> str:
        return (
            f"# {self.kind.capitalize()} reward model\n\n"
            f"Trained with llamakit on {n_pairs:,} ranked pairs of answers, with {self.margin} "
            "margins. It reads a dialogue in Llama 2's chat format up to the answer's end of "
            "sequence; its score is a logit.\n"
        )
