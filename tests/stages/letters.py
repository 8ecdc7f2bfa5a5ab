"""Two small stages with nothing to learn, to test the contract's machinery on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Raw
from llamakit.stages.fields import Execution, Files, Identity, Input, Inputs
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Letters(Stage):
    """Write a letter some times."""

    letter: Identity[str] = "a"
    """Which letter."""
    times: Identity[Annotated[int, Ge(1)]] = 3
    """How often."""
    shape: Identity[Literal["row", "column"]] = "row"
    """How they stand."""
    weights: Identity[dict[str, float] | None] = None
    """Numbers by name."""
    seed: Identity[int] = 0
    """Seed."""
    workers: Execution[int] = 1
    """Processes."""
    makes: ClassVar[Any] = Raw
    revision: ClassVar[int] = 1
    panel: ClassVar[str] = "Corpus"

    def run(self, draft: Draft[Any]) -> Outcome:
        with draft.events.task("write", total=self.times) as task, draft.writing("a.txt") as path:
            for _ in range(self.times):
                with path.open("a", encoding="utf-8") as file:
                    file.write(self.letter)
                task.advance()
        return Outcome({"letters": self.times}, {"mean": float("nan")}, f"{self.times} letters")


@dataclass(frozen=True, kw_only=True)
class Joined(Stage):
    """Put letters together."""

    first: Input[Raw]
    """One."""
    others: Inputs[Raw] = ()
    """More."""
    files: Files = ()
    """Files."""
    missing: Input[Documents] | None = None
    """Never given."""
    makes: ClassVar[Any] = Raw
    revision: ClassVar[int] = 1
    panel: ClassVar[str] = "Corpus"

    def run(self, draft: Draft[Any]) -> Outcome:
        versions = [draft.input(self.first), *draft.inputs(self.others)]
        text = "".join((version.path / "a.txt").read_text() for version in versions)
        text += "".join(file.path.read_text() for file in draft.files(self.files))
        with draft.writing("a.txt") as path:
            path.write_text(text)
        return Outcome()
