"""One corpus or two become a report of what they hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Report, Vocabulary
from llamakit.artifacts.store import Version
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Execution, Files, Identity, Input, Inputs
from llamakit.stages.naming import by_name
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome

if TYPE_CHECKING:
    from llamakit.corpus.profiling.scan import Settings
    from llamakit.corpus.profiling.toxicity import Scorer, Scoring

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Profile(Sharded):
    """Report what a corpus holds, or how two differ: before and after cleaning.

    The analyses of the Llama 2 paper (pronouns, identity terms, languages, toxicity), and lengths,
    copies, personal data and documents by site, and tokens by source. Of a mixture a document
    counts as often as it is read. Writes report.html, report.json and samples.parquet."""

    documents: Inputs[Documents]
    """Documents to count; two artifacts are shown side by side."""
    vocabulary: Input[Vocabulary] | None = None
    """Vocabulary to count tokens with; without one, tokens are left out."""
    toxicity: Files = ()
    """What scores a line: the folder of a classifier (Hugging Face, safetensors), or a text file
    with one phrase a line. Without one, toxicity is left out."""
    terms: Files = ()
    """File of identity terms by axis (TOML, JSON), instead of the five axes that come along."""
    toxicity_sample: Identity[Share] = 0.1
    """Share of the documents that is scored; the paper's is a tenth."""
    toxicity_threshold: Identity[Share] = 0.5
    """Score from which a document is toxic."""
    toxicity_label: Identity[str | None] = None
    """The classifier's label that means toxic; by default the one called so, or the second of
    two."""
    pii_sample: Identity[Share] = 0.1
    """Share of the documents that is searched for personal data."""
    regions: Identity[list[str]] = field(default_factory=lambda: ["all"])
    """Countries (ISO 3166) whose telephone numbers are read without their +."""
    min_confidence: Identity[Share] = 0.5
    """Probability below which a language counts as unknown, where the documents name none."""
    top: Identity[Annotated[int, Ge(1)]] = 20
    """Sites named in the tables."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Draws the samples: of equal ids, in every corpus the same."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where the classifier computes: auto takes a GPU if there is one."""

    makes: ClassVar = Report
    revision: ClassVar = 2
    panel: ClassVar = "Corpus"

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, most in (("documents", 2), ("toxicity", 1), ("terms", 1)):
            if len(getattr(self, key)) > most:
                raise UsageError(f"{key} takes at most {most}", where="profile")
        if not self.documents:
            raise UsageError("documents: name one artifact or two", where="profile")

    def run(self, draft: Draft[Report]) -> Outcome:
        """Count each corpus shard by shard, then compare."""
        import json

        import polars as pl

        from llamakit.artifacts.frames import write_table
        from llamakit.corpus.profiling.excerpts import EXCERPTS, load_excerpts
        from llamakit.corpus.profiling.page import report_page
        from llamakit.corpus.profiling.profile import profile
        from llamakit.corpus.profiling.report import assemble, measures

        settings = self._settings(draft)
        for source in draft.files(self.toxicity):
            # A scorer that cannot be opened is told before hours of counting.
            open_scorer(source.path, self.toxicity_label, self.device)
        profiles: dict[str, Any] = {}
        tables = []
        for name, version in by_name(draft.inputs(self.documents), "corpus", "profile").items():
            scanned, toxicity, excerpts = self._count(draft, name, version, settings)
            profiles[name] = profile(scanned, self.top, toxicity)
            rows = load_excerpts([*(shard.excerpts for shard in scanned.shards), *excerpts])
            tables.append(rows.select(pl.lit(name).alias("corpus"), pl.all()))
        samples = pl.concat(tables)
        report = assemble(profiles, self._shown(draft, settings))
        with draft.writing("report.json") as path:
            text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        with draft.writing("report.html") as path:
            path.write_text(report_page(report, samples).html(), encoding="utf-8")
        write_table(draft.path / "samples.parquet", samples, {"corpus": pl.String(), **EXCERPTS})
        counts = {"corpora": len(profiles), "samples": len(samples)}
        for key in ("documents", "reads", "bytes"):
            counts[key] = sum(one[key] for one in profiles.values())
        return Outcome(
            counts=counts,
            metrics={
                f"{key}.{name}": float(value)
                for name, one in profiles.items()
                for key, value in measures(one).items()
                if value is not None
            },
            headline=" | ".join(_headline(name, one) for name, one in profiles.items()),
        )

    def _settings(self, draft: Draft[Report]) -> "Settings":
        from llamakit.corpus.profiling.scan import Settings
        from llamakit.corpus.profiling.terms import identity_terms, read_terms
        from llamakit.text.vocabulary import Vocabulary as Pieces

        files = draft.files(self.terms)
        model = None
        if self.vocabulary is not None:
            model = Pieces.load(draft.input(self.vocabulary).path).model_path
        return Settings(
            terms=read_terms(files[0].path) if files else identity_terms(),
            vocabulary=model,
            min_confidence=self.min_confidence,
            pii_share=self.pii_sample,
            regions=tuple(self.regions),
            seed=self.seed,
        )

    def _shown(self, draft: Draft[Report], settings: "Settings") -> dict[str, Any]:
        """What the report says of how it was made; no path of this machine."""
        scorers = draft.files(self.toxicity)
        return {
            "pii_sample": self.pii_sample,
            "toxicity": scorers[0].name if scorers else None,
            "toxicity_sample": self.toxicity_sample,
            "toxicity_threshold": self.toxicity_threshold,
            "vocabulary": self.vocabulary is not None,
            "own_terms": bool(self.terms),
            "terms": {axis: list(terms) for axis, terms in settings.terms.items()},
        }

    def _count(
        self, draft: Draft[Report], name: str, version: Version[Documents], settings: "Settings"
    ) -> tuple[Any, Any, list[Path]]:
        """A corpus' counts, the counts of its toxicity (None without a scorer), its worst."""
        from llamakit.artifacts.mixture import shard_ranges
        from llamakit.corpus.profiling.profile import scan_corpus
        from llamakit.corpus.profiling.scan import add
        from llamakit.corpus.profiling.toxicity import Scoring
        from llamakit.engine.shards import map_shards

        work = draft.work / version.digest[:16]
        documents = shard_ranges(version)
        scanned = scan_corpus(
            name, documents, work / "scan", settings, engine=self.runs_on(), events=draft.events
        )
        if not self.toxicity:
            return scanned, None, []
        source = draft.files(self.toxicity)[0]
        jobs = [
            ScoringJob(
                Scoring(
                    shard,
                    work / f"toxic/{index:05d}.parquet",
                    self.toxicity_sample,
                    self.toxicity_threshold,
                    self.seed,
                ),
                source.path,
                self.toxicity_label,
                self.device,
            )
            for index, shard in enumerate(documents)
        ]
        totals: dict[str, Any] = {}
        for result in map_shards(
            score_shard,
            jobs,
            done=work / "toxic-done",
            engine=self.runs_on(),
            events=draft.events,
            label=f"scoring {name}",
        ):
            add(totals, result)
        return scanned, totals, [job.scoring.excerpts for job in jobs]


@dataclass(frozen=True)
class ScoringJob:
    """What a worker process gets: the shard, and what to score it with."""

    scoring: "Scoring"
    scorer: Path
    label: str | None
    device: str


def score_shard(job: ScoringJob) -> dict[str, Any]:
    """Score one shard's sample; on a processor with one thread, so that workers do not compete."""
    from llamakit.corpus.profiling.toxicity import score_documents

    scorer = open_scorer(job.scorer, job.label, job.device)
    if job.scorer.is_file():
        return score_documents(job.scoring, scorer)
    from llamakit.training.machine import threads

    with threads(1):
        return score_documents(job.scoring, scorer)


def open_scorer(path: Path, label: str | None, device: str) -> "Scorer":
    """What scores lines: the list of phrases or the classifier at a path.

    Raises:
        InputError: the path is neither.
    """
    from llamakit.corpus.profiling.toxicity import phrase_scorer

    if path.is_file():
        return phrase_scorer(path)
    from llamakit.evaluation.toxicity import is_classifier, toxicity_scorer
    from llamakit.training.machine import pick_device

    if not is_classifier(path):
        raise InputError(
            "this folder holds no config.json",
            where=str(path),
            fix="Name the folder of a Hugging Face classifier, or a text file of phrases.",
        )
    return toxicity_scorer(path, label, pick_device(device))


def _headline(name: str, profile: dict[str, Any]) -> str:
    copies = profile["copies"]["documents"]["share"]
    return (
        f"{name}: {profile['reads']:,} documents, {profile['bytes'] / 1e6:,.1f} MB,"
        f" {profile['english']['share']:.1%} English, {copies:.1%} copies"
    )
