"""Artifacts for tests: files on disk become an artifact of any kind, as they are."""

import shutil
from dataclasses import dataclass
from typing import ClassVar

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import KINDS, Dialogues, Kind, Model, Preferences, RewardModel
from llamakit.stages.fields import Files, Identity
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Given(Stage):
    """Copies a folder into a version."""

    folder: Files
    kind: Identity[str]

    makes: ClassVar = (Dialogues, Model, Preferences, RewardModel)
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def output_kind(self) -> type[Kind]:
        return KINDS[self.kind]

    def run(self, draft: Draft[Kind]) -> Outcome:
        shutil.copytree(draft.files(self.folder)[0].path, draft.path, dirs_exist_ok=True)
        return Outcome()
