"""Prompts, a chat model and reward models become dialogues with the best of K answers."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval, MinLen

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Model, RewardModel
from llamakit.errors import UsageError
from llamakit.stages.fields import Execution, Identity, Input, Inputs
from llamakit.stages.sampled import Sampled
from llamakit.stages.stage import Outcome


@dataclass(frozen=True, kw_only=True)
class Rejection(Sampled):
    """Sample K answers to each prompt and keep the best by the reward models.

    The result is fine-tuned on with `sft`. Answers that did not end by themselves, that are empty
    or hold a chat tag are never kept. Winners of earlier rounds can be candidates too. The report
    shows the expected best and median reward against K, for each temperature too.
    """

    prompts: Inputs[Dialogues]
    """Dialogues to answer; an answer at a dialogue's end is taken off."""
    model: Input[Model]
    """Chat model to sample from."""
    helpfulness: Input[RewardModel] | None = None
    """Helpfulness reward model; at least one of the two is needed."""
    safety: Input[RewardModel] | None = None
    """Safety reward model; with both, the rule of `ppo` decides which one judges an answer."""
    pool: Inputs[Dialogues] = ()
    """Dialogues of earlier rounds: scored anew, each is one more candidate for its prompt, and the
    best one stays where a prompt is not sampled now."""
    k: Identity[Annotated[int, Ge(1)]] = 8
    """Answers a prompt."""
    temperatures: Identity[Annotated[list[Annotated[float, Gt(0)]], MinLen(1)]] = field(
        default_factory=lambda: [1.0]
    )
    """Sampling temperatures, shared out among the K answers in turn."""
    top_p: Identity[Annotated[float, Interval(gt=0, le=1)]] = 1.0
    """Nucleus sampling: mass of the tokens to choose from."""
    safety_threshold: Identity[Annotated[float, Interval(gt=0, lt=1)]] = 0.15
    """Safety score (0-1) below which an answer is judged by its safety, whatever the prompt."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """Answer only the first so many prompts."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of sampling; an answer depends on it and on the prompt's place, not on its batch."""
    shard_prompts: Execution[Annotated[int, Ge(1)]] = 64
    """Prompts sampled at once: what a stopped run loses at most."""

    makes: ClassVar = Dialogues
    revision: ClassVar = 3
    panel: ClassVar = "Alignment"

    def run(self, draft: Draft[Dialogues]) -> Outcome:
        from llamakit.alignment import rejection
        from llamakit.alignment.models import require_same_vocabulary
        from llamakit.alignment.pool import deal, lone_prompts
        from llamakit.alignment.sampling_report import rejection_page
        from llamakit.alignment.tables import read_rows

        model = draft.input(self.model).path
        helpfulness = draft.input(self.helpfulness).path if self.helpfulness else None
        safety = draft.input(self.safety).path if self.safety else None
        judges = [path for path in (helpfulness, safety) if path is not None]
        if not judges:
            raise UsageError(
                "no reward model is given",
                where="rejection",
                fix="Give helpfulness, safety or both.",
            )
        require_same_vocabulary([model, *judges])
        answerer = self.answerer(draft, self.model, self.top_p, self.seed, judges)
        asked = read_rows([version.path / "data" for version in draft.inputs(self.prompts)])
        asked = asked[: self.limit]
        pooled = read_rows([version.path / "data" for version in draft.inputs(self.pool)])
        rows = [*asked, *lone_prompts(asked, pooled)]
        pools = deal(rows, pooled, draft.work / f"pool-{self.shard_prompts}", self.shard_prompts)
        sampler = rejection.Sampler(
            answerer=answerer,
            helpfulness=helpfulness,
            safety=safety,
            k=self.k,
            temperatures=tuple(self.temperatures),
            threshold=self.safety_threshold,
            sampled=len(asked),
        )
        results, counts = self.sample(
            draft,
            rows,
            lambda prompts, first, answers: rejection.Shard(
                prompts,
                first,
                answers,
                sampler,
                pool=pools[first // self.shard_prompts] if pooled else None,
            ),
            rejection.sample_shard,
            self.shard_prompts,
        )
        with draft.writing("log/report.html") as path:
            path.write_text(rejection_page(results, counts), encoding="utf-8")
        figures = rejection.gain(results)
        headline = f"{counts['dialogues']:,} of {counts['prompts']:,} prompts"
        if figures:
            headline += f", best of {self.k}: {figures['median']:.2f} -> {figures['best']:.2f}"
        return Outcome(counts=counts, metrics=figures, headline=headline)
