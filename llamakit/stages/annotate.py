"""Prompts and chat models become preference pairs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval, MinLen

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Kind, Model, Preferences, Raw, RewardModel
from llamakit.errors import LlamakitError, UsageError
from llamakit.stages.fields import Execution, Identity, Input, Inputs
from llamakit.stages.sampled import in_shards
from llamakit.stages.stage import Outcome, Stage
from llamakit.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from llamakit.alignment.annotation import Annotator

PAIRS_FILE = "pairs.jsonl"


@dataclass(frozen=True, kw_only=True)
class Annotate(Stage):
    """Sample two answers to each prompt and have a judge choose the better one.

    The answers come from two models where several are given, at temperatures drawn from a list. The
    judge is the oracle of the embedded world or reward models (RLAIF): it chooses, grades how much
    better the chosen answer is, and of safety prompts says which answers are safe. Without a judge
    the pairs are written for people: pairs.jsonl, and log/judge.html to judge them on in a browser;
    `ingest --as preferences` reads what they fill in.
    """

    prompts: Inputs[Dialogues]
    """Dialogues to answer; an answer at a dialogue's end is taken off."""
    models: Inputs[Model]
    """Chat models; of one, both answers are its own."""
    oracle: Input[Raw] | None = None
    """The `world` that the prompts are of: its hidden rule judges."""
    helpfulness: Input[RewardModel] | None = None
    """Helpfulness reward model, as a judge in the oracle's place."""
    safety: Input[RewardModel] | None = None
    """Safety reward model; with both, the rule of `ppo` decides which one judges an answer."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """Take so many prompts, drawn by seed and batch; all by default."""
    temperatures: Identity[Annotated[list[Annotated[float, Gt(0)]], MinLen(1)]] = field(
        default_factory=lambda: [0.7, 1.0, 1.3]
    )
    """Sampling temperatures; each answer draws one, one model's two answers different ones."""
    top_p: Identity[Annotated[float, Interval(gt=0, le=1)]] = 1.0
    """Nucleus sampling: mass of the tokens to choose from."""
    max_new_tokens: Identity[Annotated[int, Ge(1)]] = 512
    """Longest answer, in tokens; one that is cut off is judged as it is."""
    label_noise: Identity[Annotated[float, Interval(ge=0, le=0.5)]] = 0.0
    """How often the judge takes the worse of two nearly equal answers; the farther they are apart,
    the less."""
    safety_threshold: Identity[Annotated[float, Interval(gt=0, lt=1)]] = 0.15
    """Safety score (0-1) below which reward models judge an answer by its safety."""
    batch: Identity[Annotated[int, Ge(0)]] = 0
    """Number of the batch, written beside each pair; another one draws and samples anew."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the models compute in."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of drawing prompts and variants, of sampling and of mistakes."""
    shard_prompts: Execution[Annotated[int, Ge(1)]] = 64
    """Prompts sampled at once: what a stopped run loses at most."""
    workers: Execution[Annotated[int, Ge(1)]] = 1
    """Processes, each with its own copy of the models."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to sample: auto takes a GPU if there is one."""

    makes: ClassVar = (Preferences, Raw)
    revision: ClassVar = 1
    panel: ClassVar = "Alignment"

    def output_kind(self) -> type[Kind]:
        """Preferences, or raw pairs where nobody judges yet."""
        return Preferences if self.oracle or self.helpfulness or self.safety else Raw

    def run(self, draft: Draft[Any]) -> Outcome:
        """Sample in shards, then judge."""
        from collections import Counter

        from llamakit.alignment.tables import told, total_counts

        results, tables = self._sampled(draft)
        counts: Counter[str] = Counter(total_counts(results))
        if self.output_kind() is Raw:
            kept = self._for_people(draft, tables)
            headline = f"{counted(kept, 'pair')} to be judged on log/judge.html"
        else:
            kept, shares = self._judged(draft, tables, counts)
            headline = f"{counted(kept, 'pair')}; chosen: {shares}"
        if not kept:
            raise LlamakitError(
                "no pair is left to judge",
                where="annotate",
                fix=f"What became of the prompts: {told(counts)}.",
            )
        return Outcome(counts={"pairs": kept, **counts}, headline=headline)

    def _sampled(self, draft: Draft[Any]) -> tuple[list[dict[str, Any]], list["Path"]]:
        """What each shard counted, and the tables of comparisons."""
        from llamakit.alignment import variants
        from llamakit.alignment.models import prompt_room, require_same_vocabulary
        from llamakit.training.machine import pick_device, warn_of_slow_bf16

        if self.oracle and (self.helpfulness or self.safety):
            raise UsageError(
                "the oracle and reward models cannot both judge",
                where="annotate",
                fix="Leave out one or the other.",
            )
        versions = draft.inputs(self.models)
        given = [draft.input(one).path if one else None for one in (self.helpfulness, self.safety)]
        models, judges = [one.path for one in versions], [path for path in given if path]
        require_same_vocabulary([*models, *judges])
        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        room = [prompt_room(one, judges, self.max_new_tokens, self.command()) for one in models]
        two = variants.Variants(
            models=tuple(models),
            names=tuple(version.reference for version in versions),
            temperatures=tuple(self.temperatures),
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            max_prompt_tokens=min(room),
            helpfulness=given[0],
            safety=given[1],
            threshold=self.safety_threshold,
            seed=(self.seed, self.batch),
            dtype=self.dtype,
            device=device,
        )
        return in_shards(
            draft,
            self._rows(draft),
            lambda prompts, first, found: variants.Shard(prompts, first, found, two),
            variants.compare_shard,
            label="annotate",
            size=self.shard_prompts,
            workers=self.workers,
        )

    def _rows(self, draft: Draft[Any]) -> list[dict[str, Any]]:
        """The prompts to answer, drawn by the seed and kept in their order."""
        from llamakit.alignment.prompts import draw_some
        from llamakit.alignment.tables import read_rows

        rows = read_rows([version.path / "data" for version in draft.inputs(self.prompts)])
        if self.limit is None or self.limit >= len(rows):
            return rows
        drawn = draw_some(len(rows), self.limit, (self.seed, self.batch))
        return [rows[index] for index in drawn]

    def _judged(
        self, draft: Draft[Any], tables: list["Path"], counts: dict[str, int]
    ) -> tuple[int, str]:
        """Write the preferences and the page; how many there are, and who was chosen how often."""
        from collections import Counter

        from llamakit.alignment.annotation import ANNOTATED
        from llamakit.alignment.annotation_report import annotation_page, chosen_shares
        from llamakit.artifacts.frames import read_table, write_rows

        annotator = self._annotator(draft)
        found: Counter[str] = Counter()
        judged = (
            annotator.row(comparison, found)
            for table in tables
            for comparison in read_table(table).to_dicts()
        )
        rows = [row for row in judged if row is not None]
        counts |= found
        for name in ("grade", "safety"):
            for value in (row[name] for row in rows):
                if value is not None:
                    counts[value] = counts.get(value, 0) + 1
        write_rows(draft.path / "data", rows, ANNOTATED)
        with draft.writing("log/report.html") as path:
            path.write_text(annotation_page(annotator.name, rows, counts), encoding="utf-8")
        shares = chosen_shares(rows, "model")
        return len(rows), ", ".join(f"{name} {one.value:.2f}" for name, one in shares.items())

    def _for_people(self, draft: Draft[Any], tables: list["Path"]) -> int:
        """Write the pairs as lines for people, and a page to judge them on; how many there are."""
        import json

        from llamakit.alignment.annotation import for_people
        from llamakit.alignment.judging import judging_page
        from llamakit.artifacts.frames import read_table

        rows = [row for table in tables for row in read_table(table).to_dicts()]
        lines = [for_people(row, self.batch) for row in rows]
        with draft.writing(PAIRS_FILE) as path, path.open("w", encoding="utf-8") as stream:
            for line in lines:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        with draft.writing("log/judge.html") as path:
            path.write_text(judging_page(lines, [row["safety"] for row in rows]), encoding="utf-8")
        return len(lines)

    def _annotator(self, draft: Draft[Any]) -> "Annotator":
        from llamakit.alignment import annotation
        from llamakit.world.oracle import Oracle
        from llamakit.world.preferences import GRADES

        if self.oracle:
            name, grades = "oracle", GRADES
            opinions = annotation.oracle_opinions(Oracle.load(draft.input(self.oracle).path).judge)
        else:
            name, grades = "reward models", annotation.REWARD_GRADES
            opinions = annotation.reward_opinions
        return annotation.Annotator(
            name, opinions, grades, self.label_noise, batch=self.batch, seed=self.seed
        )
