"""Dialogues become a report of what is wrong with them."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Report, Vocabulary
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Identity, Input, Inputs
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Audit(Stage):
    """Report what dialogues hold, and which of them are faulty.

    Roles, empty and cut-off answers, chat tags, copies and near copies, requests answered twice,
    answers that repeat the request or themselves, broken text, refusals, languages and lengths:
    each fault with its share, its share by source, and examples. Nothing is changed: what to leave
    out is yours to decide.
    """

    dialogues: Inputs[Dialogues]
    """Dialogues to look at; those of several artifacts are put together."""
    vocabulary: Input[Vocabulary] | None = None
    """Vocabulary to count tokens with; without one words are counted only."""
    seq_len: Identity[Annotated[int, Ge(2)] | None] = None
    """Tokens of a row, from which a dialogue is too long; needs a vocabulary."""

    makes: ClassVar = Report
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seq_len is not None and self.vocabulary is None:
            raise UsageError("seq_len is in tokens: give a vocabulary", where="audit")

    def run(self, draft: Draft[Report]) -> Outcome:
        """Look at every dialogue, then at all of them together."""
        import json

        import polars as pl

        from llamakit.artifacts.frames import write_table
        from llamakit.corpus.auditing.audit import FLAGGED, Rules, audit, flagged, report
        from llamakit.corpus.auditing.page import audit_page
        from llamakit.evaluation.refusal import is_refusal
        from llamakit.text.vocabulary import Vocabulary as Pieces

        rows = self._rows(draft)
        vocabulary = None
        if self.vocabulary is not None:
            vocabulary = Pieces.load(draft.input(self.vocabulary).path)
        rules = Rules(is_refusal, vocabulary, self.seq_len)
        with draft.events.task("audit", total=len(rows), unit="dialogues") as task:
            found = audit(rows, rules, task.advance)
        numbers = report(found)
        with draft.writing("report.json") as path:
            text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        with draft.writing("report.html") as path:
            title = ", ".join(version.reference for version in draft.inputs(self.dialogues))
            path.write_text(audit_page(title, found, numbers).html(), encoding="utf-8")
        table = pl.DataFrame(list(flagged(found)), schema=dict(FLAGGED))
        write_table(draft.path / "samples.parquet", table, FLAGGED)
        clean = numbers["clean"] / len(rows)
        counts = {name: one["dialogues"] for name, one in numbers["faults"].items()}
        return Outcome(
            counts={"dialogues": len(rows), "clean": numbers["clean"], **counts},
            metrics={"clean_share": clean},
            headline=f"{len(rows):,} dialogues, {clean:.1%} without error or doubt",
        )

    def _rows(self, draft: Draft[Report]) -> list[dict[str, Any]]:
        from llamakit.artifacts.frames import DIALOGUES, read_as

        rows = [
            {**row, "artifact": version.reference}
            for version in draft.inputs(self.dialogues)
            for part in version.parts()
            for row in read_as(DIALOGUES, part).iter_rows(named=True)
        ]
        if not rows:
            raise InputError("there is no dialogue to look at", where="audit")
        return rows
