"""Reward models and held-out preferences become a report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Kind, Preferences, Report, RewardModel
from llamakit.artifacts.store import Version
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Execution, Identity, Inputs
from llamakit.stages.naming import by_name
from llamakit.stages.stage import Outcome, Stage
from llamakit.wording import counted

if TYPE_CHECKING:
    from llamakit.alignment.agreement import GateQuality, ScoredPair
    from llamakit.evaluation.results import PartResult


@dataclass(frozen=True, kw_only=True)
class Rmeval(Stage):
    """Measure reward models on preferences they were not trained on.

    For each artifact of pairs and each model: agreement with annotators by grade, safety bin and
    source, with intervals; calibration; the scores of chosen and rejected answers; how far length
    alone would get; the safety gate where pairs are labelled; and for every two models, how often
    they rank alike. `study` compares such reports over several runs.
    """

    models: Inputs[RewardModel]
    """Reward models to measure, in the order the report shows them."""
    preferences: Inputs[Preferences] = ()
    """Pairs to measure them on; each artifact is a part of the report."""
    parts: Identity[list[str]] = field(default_factory=list)
    """What the parts are called, in that order; by default as the artifacts are. Reports that a
    study compares need the same names."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """At most this many pairs of each artifact, evenly spaced; all by default."""
    threshold: Identity[Annotated[float, Interval(gt=0, lt=1)]] = 0.15
    """Score, as a share, below which the safety gate calls an answer unsafe."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the models compute in."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of the resampling behind the intervals of differences."""
    require: Execution[list[str]] = field(default_factory=list)
    """What must hold, else exit 4: PAIRS>=0.6, PAIRS.calibration_error<=0.1, PAIRS:new>old."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to compute: auto takes a GPU if there is one."""
    threads: Execution[Annotated[int, Interval(ge=0, le=1024)]] = 0
    """Processor threads; 0 leaves the choice to torch."""

    makes: ClassVar = Report
    revision: ClassVar = 1
    panel: ClassVar = "Evaluation"

    def __post_init__(self) -> None:
        super().__post_init__()
        from llamakit.evaluation.requirement import parse

        if not self.preferences:
            raise UsageError("preferences: name the pairs to measure on", where="rmeval")
        if self.parts and len(set(self.parts)) != len(self.preferences):
            raise UsageError(
                f"parts: {len(self.preferences)} different names are needed, one for each of the"
                f" preferences, not {', '.join(self.parts)}",
                where="rmeval",
            )
        for text in self.require:
            parse(text)

    def run(self, draft: Draft[Report]) -> Outcome:
        """Score every pair with every model, then count."""
        import json

        import polars as pl

        from llamakit.alignment import comparison
        from llamakit.alignment.agreement import accuracy, gate_quality
        from llamakit.artifacts.frames import write_table
        from llamakit.evaluation.report import assemble

        models = by_name(draft.inputs(self.models), "model", "rmeval")
        sets = by_name(draft.inputs(self.preferences), "set of pairs", "rmeval")
        if self.parts:
            sets = dict(zip(self.parts, sets.values(), strict=True))
        self._check(list(models), list(sets))
        rows = {name: self._rows(version) for name, version in sets.items()}
        parts: dict[str, dict[str, list[ScoredPair]]] = {name: {} for name in sets}
        notes: dict[str, list[str]] = {name: [] for name in sets}
        sizes = {}
        for model, version in models.items():
            sizes[model] = self._score(draft, model, version, rows, parts, notes)
        gates = {
            name: {
                model: gate
                for model, scored in own.items()
                if (gate := gate_quality(scored, self.threshold)) is not None
            }
            for name, own in parts.items()
        }
        results = [
            _result(name, model, scored, gates[name].get(model), notes[name])
            for name, own in parts.items()
            for model, scored in own.items()
        ]
        report = assemble(dict.fromkeys(models, "chat"), sizes, results, [], self.seed)
        report["two_models"] = {
            name: comparison.plain(comparison.comparisons(own)) for name, own in parts.items()
        }
        with draft.writing("report.json") as path:
            text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        with draft.writing("report.html") as path:
            said = [f"{name}: {note}" for name, own in notes.items() for note in own]
            page = comparison.comparison_page(parts, gates, rows, said)
            path.write_text(page.html(), encoding="utf-8")
        table = [row for name, own in parts.items()
                 for row in comparison.samples(name, own, rows[name])]  # fmt: skip
        frame = pl.DataFrame(table, schema=dict(comparison.SAMPLES))
        write_table(draft.path / "samples.parquet", frame, comparison.SAMPLES)
        main = {
            f"{name}.{model}": accuracy(scored).value
            for name, own in parts.items()
            for model, scored in own.items()
        }
        return Outcome(
            counts={"models": len(models), "pairs": sum(map(len, rows.values()))},
            metrics=main,
            headline=", ".join(f"{name} {value:.3f}" for name, value in main.items()),
        )

    def unmet(self, version: Version[Kind]) -> list[str]:
        """The requirements that the report misses."""
        from llamakit.evaluation.requirement import missed

        return missed(self.require, version.path)

    def _check(self, models: list[str], parts: list[str]) -> None:
        from llamakit.evaluation.requirement import check_names, parse

        for text in self.require:
            check_names(parse(text), models, parts)

    def _rows(self, version: Version[Preferences]) -> list[dict[str, Any]]:
        from llamakit.alignment.tables import read_rows
        from llamakit.artifacts.frames import PREFERENCES
        from llamakit.evaluation.tasks import spaced

        rows = read_rows([version.path / "data"], PREFERENCES)
        if not rows:
            raise InputError("it holds no pair", where=version.reference)
        return list(spaced(rows, self.limit))

    def _score(
        self,
        draft: Draft[Report],
        model: str,
        version: Version[RewardModel],
        rows: dict[str, list[dict[str, Any]]],
        parts: "dict[str, dict[str, list[ScoredPair]]]",
        notes: dict[str, list[str]],
    ) -> dict[str, int]:
        """Score all pairs with one model, which alone is in memory; returns its size."""
        from llamakit.alignment.agreement import score_pairs
        from llamakit.alignment.preferences import tokenise_pairs
        from llamakit.alignment.tables import told
        from llamakit.model.weights import load_reward_model, load_vocabulary
        from llamakit.training.machine import pick_device, threads, warn_of_slow_bf16

        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        vocabulary = load_vocabulary(version.path)
        loaded = load_reward_model(version.path, self.dtype, device)
        total = sum(map(len, rows.values()))
        with threads(self.threads), draft.events.task(model, total=total, unit="pairs") as task:
            for name, held in rows.items():
                pairs, dropped = tokenise_pairs(held, vocabulary, loaded.config.max_seq_len)
                if not pairs:
                    raise InputError(
                        f"{model} can read none of its pairs: {told(dropped)}", where=name
                    )
                if any(dropped.values()):
                    note = f"{model}: of {counted(len(held), 'pair')} {told(dropped)}"
                    draft.events.warn(f"{name}, {note}")
                    notes[name].append(note)
                parts[name][model] = score_pairs(loaded, pairs, vocabulary.pad)
                task.advance(len(held))
        return {"parameters": sum(weight.numel() for weight in loaded.parameters())}


def _result(
    part: str,
    model: str,
    scored: "Sequence[ScoredPair]",
    gate: "GateQuality | None",
    notes: Sequence[str],
) -> "PartResult":
    """In the form of eval's results, so that `study` and requirements read them alike."""
    from llamakit.alignment.rm_figures import groups, measures
    from llamakit.evaluation.results import PartResult, Row

    return PartResult(
        part=part,
        model=model,
        kind="preferences",
        main="agreement",
        higher_is_better=True,
        measures=measures(scored, gate),
        groups=groups(scored),
        notes=[note for note in notes if note.startswith(f"{model}: ")],
        rows=[
            Row(str(one.pair.row), "", values={"agreement": float(one.agrees)}) for one in scored
        ],
    )
