"""Artifacts for tests: files on disk become an artifact of any kind, as they are."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.frames import DIALOGUES, PREFERENCES, write_rows
from llamakit.artifacts.kinds import (
    KINDS,
    Dialogues,
    Kind,
    Model,
    Preferences,
    Raw,
    RewardModel,
)
from llamakit.artifacts.store import Store
from llamakit.stages.fields import Files, Identity
from llamakit.stages.produce import produce
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Given(Stage):
    """Copies a folder into a version."""

    folder: Files
    kind: Identity[str]

    makes: ClassVar = (Dialogues, Model, Preferences, Raw, RewardModel)
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def output_kind(self) -> type[Kind]:
        return KINDS[self.kind]

    def run(self, draft: Draft[Kind]) -> Outcome:
        shutil.copytree(draft.files(self.folder)[0].path, draft.path, dirs_exist_ok=True)
        return Outcome()


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def keep(store: Store, name: str, kind: str, folder: Path) -> None:
    produce(Given(folder=(str(folder),), kind=kind), store, name=name)


def keep_table(
    store: Store, name: str, kind: str, folder: Path, rows: Sequence[Mapping[str, object]]
) -> None:
    schema = {"dialogues": DIALOGUES, "preferences": PREFERENCES}[kind]
    write_rows(folder / "data", rows, schema)
    keep(store, name, kind, folder)
