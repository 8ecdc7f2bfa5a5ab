"""Documents lose their exact and near-duplicates."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Kind
from llamakit.artifacts.record import LOG_FOLDER
from llamakit.artifacts.store import Version
from llamakit.errors import UsageError
from llamakit.stages.fields import Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Answer, Outcome

if TYPE_CHECKING:
    from llamakit.corpus.duplicates.passages import Cut


@dataclass(frozen=True, kw_only=True)
class Dedup(Sharded):
    """Remove exact and near-duplicate documents, keeping one of each cluster.

    Candidates come from MinHash bands over n-grams, and each is verified by its true Jaccard
    similarity. What is removed goes to `rejected/` with the id it duplicates."""

    documents: Input[Documents]
    """Documents to deduplicate."""
    similarity: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.8
    """Jaccard similarity of n-grams from which two documents are duplicates; 1 removes exact copies
    only (letter case and blanks aside)."""
    ngram: Identity[Annotated[int, Interval(ge=1, le=32)]] = 5
    """Words in an n-gram; characters in documents of scripts without spaces."""
    keep: Identity[Literal["first", "longest", "source"]] = "first"
    """Which document of a cluster survives; the first decides among equals."""
    sources: Identity[list[str]] = field(default_factory=list)
    """Sources from the best down, for --keep source; others come last."""
    lines: Identity[Annotated[int, Ge(2)] | None] = None
    """Cut out lines that so many of the kept documents hold; by default texts stay as they are."""
    paragraphs: Identity[Annotated[int, Ge(2)] | None] = None
    """The same for paragraphs, which empty lines part."""
    passage: Identity[Annotated[int, Ge(1)]] = 30
    """Characters of the shortest line or paragraph that is cut out."""
    first_passage: Identity[Literal["keep", "cut"]] = "keep"
    """Whether a line or paragraph stays in the first document that holds it."""
    substring: Identity[Annotated[int, Ge(20)] | None] = None
    """Cut out what repeats so many bytes of UTF-8 of the kept documents exactly, but for its first
    occurrence; by default texts stay as they are."""
    num_perm: Identity[Annotated[int, Interval(ge=16, le=1024)]] = 128
    """MinHash values of a document."""
    bands: Identity[Annotated[int, Ge(1)] | None] = None
    """Bands of MinHash values; by default chosen for the similarity (25 x 5 for 0.8)."""
    rows: Identity[Annotated[int, Ge(1)] | None] = None
    """MinHash values in a band; goes with --bands."""
    seed: Identity[Annotated[int, Interval(ge=0, lt=2**32)]] = 1
    """Seed of the permutations, as datasketch draws them."""

    makes: ClassVar = Documents
    revision: ClassVar = 2
    panel: ClassVar = "Corpus"
    explains: ClassVar = "Show the cluster of a document: who was kept, how alike, and a diff."

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.bands is None) != (self.rows is None):
            raise UsageError("bands and rows go together", where="dedup")
        if self.bands and self.rows and self.bands * self.rows > self.num_perm:
            raise UsageError(
                f"{self.bands} bands of {self.rows} need {self.bands * self.rows} values, "
                f"num_perm is {self.num_perm}",
                where="dedup",
            )
        if (self.keep == "source") != bool(self.sources):
            raise UsageError("keep = source and sources go together", where="dedup")

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep one document of each cluster, in the order of the input."""
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.duplicates.boilerplate import cut_boilerplate
        from llamakit.corpus.duplicates.deduplication import Deduplication, lost_sources
        from llamakit.corpus.duplicates.report import report
        from llamakit.corpus.duplicates.settings import Settings
        from llamakit.corpus.duplicates.signatures import choose_bands
        from llamakit.corpus.duplicates.substrings import Substrings

        bands, rows = choose_bands(self.similarity, self.num_perm)
        settings = Settings(
            similarity=self.similarity,
            ngram=self.ngram,
            num_perm=self.num_perm,
            bands=self.bands or bands,
            rows=self.rows or rows,
            seed=self.seed,
            keep=self.keep,
            sources=tuple(self.sources),
        )
        parts = plain_parts(draft.input(self.documents), "dedup")
        task = Deduplication(parts, draft.work, settings, self.runs_on(), draft.events)
        cuts = self._cuts()
        data = draft.path / "data"
        lined = draft.work / "lined" if self.substring else data
        whole = draft.work / "kept" if cuts else lined
        found = task.run(draft.path, whole)
        cut = {}
        if cuts:
            cut = cut_boilerplate(
                whole, draft.path, draft.work, cuts, self.runs_on(), draft.events, lined
            )
        if self.substring:
            work = draft.work / "substrings"
            substrings = Substrings(self.substring, work, self.runs_on(), draft.events)
            cut |= substrings.cut(lined, draft.path)
        for source, kept, removed in lost_sources(found.sources):
            draft.events.warn(f"{source} loses {removed:,} of its {kept + removed:,} documents")
        with draft.writing(f"{LOG_FOLDER}/report.html") as path:
            path.write_text(report(found, parts, self.similarity), encoding="utf-8")
        removed = len(found.verdicts)
        emptied = sum(count for name, count in cut.items() if name.startswith("rejected_"))
        exact = int(found.verdicts["exact"].sum())
        share = removed / max(found.documents, 1)
        return Outcome(
            counts={
                "documents": found.documents - removed - emptied,
                "rejected": removed + emptied,
                "rejected_exact_duplicate": exact,
                "rejected_near_duplicate": removed - exact,
                "clusters": len(found.sizes),
                "largest_cluster": int(found.sizes.max(initial=1)),
                "candidate_pairs": found.candidates,
                "verified_pairs": found.verified,
                "removed_through_a_chain": int(found.verdicts["match"].count()),
                **cut,
            },
            metrics={"removed_share": share},
            headline=f"{share:.1%} removed",
        )

    def _cuts(self) -> "list[Cut]":
        from llamakit.corpus.duplicates.passages import Cut

        first = self.first_passage == "keep"
        cuts = []
        if self.lines is not None:
            cuts.append(Cut("lines", self.lines, self.passage, first))
        if self.paragraphs is not None:
            cuts.append(Cut("paragraphs", self.paragraphs, self.passage, first))
        return cuts

    @classmethod
    def explain(cls, version: Version[Kind], item: str) -> Answer:
        """The cluster of document `item`, similarities pair by pair, and a diff to the kept one."""
        from llamakit.corpus.duplicates.explanation import explain

        found = explain(version.path, item, version.record.config["ngram"])
        kept, *removed = found.members
        lines = [f"{kept['id']} was kept ({kept['source']}, {len(kept['text']):,} characters)"]
        for row in removed:
            through = ""
            if "matched" in row:
                through = f", through {row['matched']} at {row['matched_similarity']:.4f}"
            lines.append(
                f"{row['id']} was removed: {row['reason']}, similarity {row['similarity']:.4f}"
                f"{through} ({row['source']}, {len(row['text']):,} characters)"
            )
        if not removed:
            lines.append("Nothing was removed in its favour.")
        if len(found.matrix) > 2:
            lines.append("Similarities in the order above:")
            lines += ["  " + " ".join(f"{value:.3f}" for value in row) for row in found.matrix]
        if removed:
            lines.append(f"{kept['id']} → {removed[0]['id']}:")
            lines += found.difference or ["  the same words"]
        values = {
            "kept": kept["id"],
            "removed": [
                {k: v for k, v in row.items() if k not in ("text", "metadata")} for row in removed
            ],
            "similarities": found.matrix,
            "difference": found.difference,
        }
        return Answer("\n".join(lines), values)
