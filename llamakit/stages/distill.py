"""Adversarial prompts, a chat model and a safety reward model become safer answers."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Model, RewardModel
from llamakit.errors import InputError
from llamakit.stages.fields import Execution, Files, Identity, Input, Inputs
from llamakit.stages.sampled import Sampled
from llamakit.stages.stage import Outcome


@dataclass(frozen=True, kw_only=True)
class Distill(Sampled):
    """Distil a safety preprompt: safer answers to adversarial prompts, to be learnt without it.

    Context distillation. The model answers each prompt twice: as it is, and with a preprompt before
    it that asks for safety. The new answer is kept where the safety reward model scores it higher.
    The result is fine-tuned on with `sft`, together with other dialogues. The report shows scores
    before and after.
    """

    prompts: Inputs[Dialogues]
    """Dialogues to answer; an answer at a dialogue's end is taken off. Only those tagged as safety
    prompts are used; a prompt's source is its risk category (`ingest --source-field`)."""
    model: Input[Model]
    """Chat model that answers."""
    safety: Input[RewardModel]
    """Safety reward model that judges."""
    preprompts: Files = ()
    """JSONL files of preprompts (id, preprompt, maybe adjectives, category, answer), or raw
    artifacts or folders with a preprompts.jsonl; by default a list that comes along."""
    preprompt: Identity[Literal["category", "generic"]] = "category"
    """Take the preprompt of the prompt's category, which says how to answer (a generic one where
    there is none), or always a generic one."""
    gate: Identity[bool] = True
    """Keep an answer only where it scores higher than the original; off keeps all that can be used,
    safer or not."""
    temperature: Identity[Annotated[float, Ge(0)]] = 0.6
    """Sampling temperature of both answers; 0 takes the likeliest token."""
    top_p: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.9
    """Nucleus sampling: mass of the tokens to choose from."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """Answer only the first so many safety prompts."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of preprompts and sampling."""
    shard_prompts: Execution[Annotated[int, Ge(1)]] = 64
    """Prompts answered at once: what a stopped run loses at most."""

    makes: ClassVar = Dialogues
    revision: ClassVar = 1
    panel: ClassVar = "Alignment"

    def run(self, draft: Draft[Dialogues]) -> Outcome:
        from llamakit.alignment import distillation
        from llamakit.alignment.distill_report import compared, distillation_page, figures
        from llamakit.alignment.models import require_same_vocabulary
        from llamakit.alignment.preprompts import preprompt_files, read_preprompts
        from llamakit.alignment.tables import read_rows

        files = preprompt_files([file.path for file in draft.files(self.preprompts)])
        read_preprompts(files)  # a broken line is told before anything is sampled
        model, safety = draft.input(self.model).path, draft.input(self.safety).path
        require_same_vocabulary([model, safety])
        distiller = distillation.Distiller(
            answerer=self.answerer(draft, self.model, self.top_p, self.seed, [safety]),
            safety=safety,
            preprompts=tuple(files),
            kind=self.preprompt,
            gate=self.gate,
            temperature=self.temperature,
        )
        rows = read_rows([version.path / "data" for version in draft.inputs(self.prompts)])
        adversarial = [row for row in rows if row["safety"]]
        if not adversarial:
            raise InputError(
                f"none of {len(rows):,} prompts is tagged as a safety prompt",
                where="distill",
                fix="Safe answers to harmless prompts are refusals. Tag adversarial ones with "
                "`ingest --safety`.",
            )
        results, counts = self.sample(
            draft,
            adversarial[: self.limit],
            lambda prompts, first, answers: distillation.Shard(prompts, first, answers, distiller),
            distillation.distil_shard,
            self.shard_prompts,
        )
        counts = {**counts, "not_adversarial": len(rows) - len(adversarial)}
        with draft.writing("log/report.html") as path:
            path.write_text(distillation_page(results, counts), encoding="utf-8")
        told = figures(compared(results))
        headline = f"{counts['dialogues']:,} of {counts['prompts']:,} prompts"
        if told:
            headline += f", safety {told['score_before']:.2f} -> {told['score_after']:.2f}"
        return Outcome(counts=counts, metrics=told, headline=headline)
