"""Dialogues, a chat model and constraints become ghost attention's training dialogues."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Model
from llamakit.errors import UsageError
from llamakit.stages.fields import Execution, Files, Identity, Input, Inputs
from llamakit.stages.sampled import Sampled
from llamakit.stages.stage import Outcome
from llamakit.wording import counted


@dataclass(frozen=True, kw_only=True)
class Gatt(Sampled):
    """Write dialogues that hold an instruction given once (ghost attention).

    The model answers the user turns of dialogues with a random instruction attached to every turn;
    the result has it on the first turn only, and only the last answer is trained on. Fine-tune on
    it with `sft`. The report shows how often the model itself obeyed, by turn: it is the
    teacher.
    """

    dialogues: Inputs[Dialogues]
    """Dialogues whose user turns are answered; their own answers are not used. They should hold no
    instruction of their own: `ingest --sources` chooses them."""
    model: Input[Model]
    """Chat model that answers."""
    constraints: Files
    """JSONL files of constraints (id, instruction, short, family, maybe check and split), or raw
    artifacts or folders with a constraints.jsonl."""
    min_turns: Identity[Annotated[int, Ge(1)]] = 2
    """Fewest exchanges of a dialogue that is kept."""
    max_turns: Identity[Annotated[int, Ge(1)]] = 8
    """Most user turns taken from a dialogue."""
    max_constraints: Identity[Annotated[int, Ge(1)]] = 2
    """Most constraints combined into one instruction, each of another family."""
    shorten_prob: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.5
    """Probability that the instruction is given in its short form in the result."""
    plain_share: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.0
    """Share of dialogues without any instruction, so that the model does not obey where none is
    given."""
    remind: Identity[Literal["every", "first"]] = "every"
    """User turns that the model reads the instruction on while it answers: every is ghost
    attention; first is its control, in which nothing helps the model to remember."""
    keep: Identity[Literal["none", "last", "all"]] = "none"
    """Filter by the constraints' checks: keep dialogues whatever the answers, whose last answer
    obeys, or whose every answer does."""
    cut: Identity[Literal["end", "every"]] = "end"
    """Make one dialogue of each, or one for each of its turns from min-turns on."""
    temperature: Identity[Annotated[float, Ge(0)]] = 0.6
    """Sampling temperature; 0 takes the likeliest token."""
    top_p: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.9
    """Nucleus sampling: mass of the tokens to choose from."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """Use only the first so many dialogues."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of instructions and sampling."""
    shard_dialogues: Execution[Annotated[int, Ge(1)]] = 64
    """Dialogues answered at once: what a stopped run loses at most."""

    makes: ClassVar = Dialogues
    revision: ClassVar = 3
    panel: ClassVar = "Alignment"

    def run(self, draft: Draft[Dialogues]) -> Outcome:
        from llamakit.alignment import ghost
        from llamakit.alignment.constraints import constraint_files, read_constraints
        from llamakit.alignment.sampling_report import adherence, ghost_page
        from llamakit.alignment.tables import read_rows

        if self.max_turns < self.min_turns:
            raise UsageError(
                f"max_turns = {self.max_turns} is below min_turns = {self.min_turns}", where="gatt"
            )
        files = constraint_files([file.path for file in draft.files(self.constraints)])
        read_constraints(files)  # a broken line is told before anything is sampled
        synthesis = ghost.Synthesis(
            answerer=self.answerer(draft, self.model, self.top_p, self.seed, judges=[]),
            constraints=tuple(files),
            min_turns=self.min_turns,
            max_turns=self.max_turns,
            max_constraints=self.max_constraints,
            shorten_prob=self.shorten_prob,
            plain_share=self.plain_share,
            remind=self.remind,
            keep=self.keep,
            cut=self.cut,
            temperature=self.temperature,
        )
        rows = read_rows([version.path / "data" for version in draft.inputs(self.dialogues)])
        results, counts = self.sample(
            draft,
            rows[: self.limit],
            lambda dialogues, first, answers: ghost.Shard(dialogues, first, answers, synthesis),
            ghost.synthesise_shard,
            self.shard_dialogues,
        )
        with draft.writing("log/report.html") as path:
            path.write_text(ghost_page(results, counts), encoding="utf-8")
        turns = adherence(results, "by_turn")
        metrics = {f"teacher_obeys_turn_{turn}": one.value for turn, one in turns.items()}
        return Outcome(
            counts=counts, metrics=metrics, headline=counted(counts["dialogues"], "dialogue")
        )
