"""Documents lose their exact and near-duplicates."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents
from llamakit.errors import UsageError
from llamakit.stages.fields import Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome


@dataclass(frozen=True, kw_only=True)
class Dedup(Sharded):
    """Remove exact and near-duplicate documents, keeping the first of each cluster.

    Candidates come from MinHash bands over word n-grams, and each is verified by its true Jaccard
    similarity. What is removed goes to `rejected/` with the id it duplicates."""

    documents: Input[Documents]
    """Documents to deduplicate."""
    similarity: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.8
    """Jaccard similarity of word n-grams from which two documents are duplicates; 1 removes exact
    copies only (letter case and blanks aside)."""
    ngram: Identity[Annotated[int, Interval(ge=1, le=32)]] = 5
    """Words in an n-gram."""
    num_perm: Identity[Annotated[int, Interval(ge=16, le=1024)]] = 128
    """MinHash values of a document."""
    bands: Identity[Annotated[int, Ge(1)] | None] = None
    """Bands of MinHash values; by default chosen for the similarity (25 x 5 for 0.8)."""
    rows: Identity[Annotated[int, Ge(1)] | None] = None
    """MinHash values in a band; goes with --bands."""

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

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

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep each cluster's first document, in the order of the input."""
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.duplicates.deduplication import Settings, deduplicate
        from llamakit.corpus.duplicates.signatures import choose_bands

        bands, rows = choose_bands(self.similarity, self.num_perm)
        found = deduplicate(
            plain_parts(draft.input(self.documents), "dedup"),
            draft.path,
            draft.work,
            Settings(
                similarity=self.similarity,
                ngram=self.ngram,
                num_perm=self.num_perm,
                bands=self.bands or bands,
                rows=self.rows or rows,
            ),
            engine=self.runs_on(),
            events=draft.events,
        )
        removed = found.exact + found.near
        share = removed / max(found.documents, 1)
        return Outcome(
            counts={
                "documents": found.documents - removed,
                "rejected": removed,
                "rejected_exact_duplicate": found.exact,
                "rejected_near_duplicate": found.near,
                "clusters": found.clusters,
                "largest_cluster": found.largest,
                "candidate_pairs": found.candidates,
                "verified_pairs": found.verified,
            },
            metrics={"removed_share": share},
            headline=f"{share:.1%} removed",
        )
