from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llamakit.artifacts.draft import Draft, discard, open_draft
from llamakit.artifacts.kinds import Kind
from llamakit.events import SILENT


def test_a_kill_while_discarding_leaves_nothing_to_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft: Draft[Kind] = Draft(tmp_path / "draft", SILENT)
    assert not open_draft(draft)
    (draft.work / "done.json").write_text("{}", encoding="utf-8")
    (draft.work / "result").write_text("1", encoding="utf-8")

    removing = shutil.rmtree

    def killed(folder: Path, **_: object) -> None:
        for leftover in folder.rglob("result"):
            leftover.unlink()
        if folder == draft.folder:
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        discard(draft)
    monkeypatch.setattr(shutil, "rmtree", removing)
    assert not open_draft(draft)
    assert list(draft.work.iterdir()) == []
    discard(draft)
    assert not draft.folder.exists()
