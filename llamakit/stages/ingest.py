"""Raw files become documents, dialogues or preferences."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Documents, Kind, Preferences
from llamakit.stages.fields import Files, Identity
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome
from llamakit.wording import counted

if TYPE_CHECKING:
    from llamakit.corpus.reading.fields import FieldNames
    from llamakit.corpus.reading.sources import DataFile


@dataclass(frozen=True, kw_only=True)
class Ingest(Sharded):
    """Read files into documents, dialogues or preferences.

    Reads JSON lines, JSON, Parquet, Arrow, text, WARC and WET (gzip or zstd too), folders of them,
    Hugging Face datasets, and raw artifacts. Fields that exist in the input keep their values; a
    row that cannot be used goes to `rejected/` with its file, line and reason.
    """

    files: Files
    """Files, folders, patterns ('data/**/*.jsonl.gz'), URLs (s3://…), or raw artifacts (NAME, or
    NAME/FILE)."""
    as_: Identity[Literal["documents", "dialogues", "preferences"]]
    """What the rows are."""
    source: Identity[str | None] = None
    """Source of every row; by default the row's own, else its file's name."""
    sources: Identity[list[str]] = field(default_factory=list)
    """Keep rows of these sources only; by default all."""
    share: Identity[Annotated[float, Interval(ge=0, le=1)]] = 1.0
    """Share of these rows kept, drawn by their ids: a smaller share's are among a larger one's."""
    splits: Identity[list[str]] = field(default_factory=list)
    """Splits read of a dataset folder (`all`: every one); by default train, if there is one."""
    safety: Identity[bool | None] = None
    """Tag every dialogue as a safety prompt, or as none; by default its own field tells."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """Rows read from each file; by default all."""
    max_broken: Identity[Annotated[float, Ge(0)]] = 0.01
    """Broken rows allowed: below 1 a share of the rows, from 1 on their number."""
    text_field: Identity[str | None] = None
    """Field of the text (documents)."""
    id_field: Identity[str | None] = None
    """Field of the id."""
    source_field: Identity[str | None] = None
    """Field of the source."""
    url_field: Identity[str | None] = None
    """Field of the web address (documents)."""
    language_field: Identity[str | None] = None
    """Field of the language (documents)."""
    messages_field: Identity[str | None] = None
    """Field of the list of messages (dialogues)."""
    prompt_field: Identity[str | None] = None
    """Field of the prompt or instruction (dialogues, preferences)."""
    response_field: Identity[str | None] = None
    """Field of the answer (dialogues)."""
    chosen_field: Identity[str | None] = None
    """Field of the preferred answer (preferences)."""
    rejected_field: Identity[str | None] = None
    """Field of the other answer (preferences)."""
    grade_field: Identity[str | None] = None
    """Field that says by how much the chosen answer is better (preferences)."""
    safety_field: Identity[str | None] = None
    """Field of the safety label (dialogues, preferences)."""

    makes: ClassVar = (Documents, Dialogues, Preferences)
    revision: ClassVar = 3
    panel: ClassVar = "Corpus"

    def output_kind(self) -> type[Kind]:
        """The kind `--as` names."""
        return {"documents": Documents, "dialogues": Dialogues, "preferences": Preferences}[
            self.as_
        ]

    def run(self, draft: Draft[Any]) -> Outcome:
        """Read the files in the order given, a folder's in the order of their names."""
        from llamakit.corpus.reading.ingestion import ingest_files
        from llamakit.corpus.reading.limits import Limits
        from llamakit.corpus.reading.shards import Reading

        done = ingest_files(
            self._data_files(draft),
            draft.path,
            draft.work,
            Reading(
                kind=self.as_,
                names=self._names(),
                limits=Limits(self.max_broken, self.limit),
                source=self.source,
                only=frozenset(self.sources),
                share=self.share,
                safety=self.safety,
            ),
            engine=self.runs_on(),
            events=draft.events,
        )
        if not done.kept:
            draft.events.warn(f"a share of {self.share:g} of {done.not_drawn} rows is none of them")
        rejected = sum(done.reasons.values())
        if rejected:
            reasons = ", ".join(f"{n} {reason}" for reason, n in done.reasons.most_common())
            draft.events.warn(f"{rejected} rows set aside in rejected/: {reasons}")
        if done.ids_renamed:
            draft.events.note(f"{done.ids_renamed} ids occurred before and got a number (id~2)")
        counts = {"files": done.files, self.as_: done.kept, "ids_renamed": done.ids_renamed}
        counts |= {"other_sources": done.other_sources, "not_drawn": done.not_drawn}
        counts["rejected"] = rejected
        counts |= {f"rejected_{reason}": n for reason, n in sorted(done.reasons.items())}
        return Outcome(counts=counts, headline=counted(done.kept, self.as_.removesuffix("s")))

    def _data_files(self, draft: Draft[Any]) -> "list[DataFile]":
        """The files to read, saying what in their folders is passed over."""
        from llamakit.corpus.reading.sources import find_data_files

        files = []
        for entry in draft.files(self.files):
            path, name = entry.path, entry.name
            if entry.artifact is not None and path == entry.artifact.path:
                path, name = path / f"{self.as_}.jsonl", f"{self.as_}.jsonl"
            found = find_data_files(path, name, self.splits)
            files += found.files
            if found.passed:
                shown = ", ".join(found.passed[:3]) + (", …" if len(found.passed) > 3 else "")
                draft.events.warn(
                    f"{name}: {len(found.passed)} files of other kinds passed over: {shown}"
                )
            if found.splits:
                left = f"; left: {', '.join(found.splits_left)}" if found.splits_left else ""
                draft.events.note(f"{name}: reading {', '.join(found.splits)}{left} (--splits)")
        return files

    def _names(self) -> "FieldNames":
        """The fields that the config names."""
        from llamakit.corpus.reading.fields import FieldNames

        return FieldNames(
            text=self.text_field,
            id=self.id_field,
            source=self.source_field,
            url=self.url_field,
            language=self.language_field,
            messages=self.messages_field,
            prompt=self.prompt_field,
            response=self.response_field,
            chosen=self.chosen_field,
            rejected=self.rejected_field,
            grade=self.grade_field,
            safety=self.safety_field,
        )
