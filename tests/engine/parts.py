"""A documents stage of several parts, for what is told by shards."""

import json
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DOCUMENTS, part_name, write_table
from llamakit.artifacts.kinds import Documents
from llamakit.stages.fields import Files, Identity
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Parts(Stage):
    """The rows of a file of documents, dealt out in turn to several parts."""

    files: Files
    parts: Identity[int] = 6

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def run(self, draft: Draft[Documents]) -> Outcome:
        (source,) = draft.files(self.files)
        rows = []
        for line in source.path.read_text(encoding="utf-8").splitlines():
            row = {"url": None, "language": None, **json.loads(line)}
            row["metadata"] = json.dumps(row.get("metadata", {}))
            rows.append({key: row[key] for key in DOCUMENTS})
        for index in range(self.parts):
            frame = pl.DataFrame(rows[index :: self.parts], schema=dict(DOCUMENTS))
            write_table(draft.path / "data" / part_name(index), frame, DOCUMENTS)
        return Outcome()
