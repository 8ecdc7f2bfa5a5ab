"""Documents of several sources are mixed: which are read, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Vocabulary
from llamakit.errors import InputError, UsageError, nearest
from llamakit.stages.fields import Identity, Input, Inputs
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Answer, Outcome

if TYPE_CHECKING:
    from llamakit.corpus.mixing.inventory import Inventory
    from llamakit.corpus.mixing.mixture import Mixture


@dataclass(frozen=True, kw_only=True)
class Mix(Sharded):
    """Mix sources by weight, factor or temperature, within a budget and a cap on epochs.

    Copies no text: the mixture names the documents to read and how often. Inputs may be mixtures:
    their repeats multiply. Sizes are tokens, estimated as characters / 4 where no vocabulary is
    given. `--dry-run` shows the table of what would be read.
    """

    documents: Inputs[Documents]
    """Documents to mix, one artifact or several."""
    vocabulary: Input[Vocabulary] | None = None
    """Vocabulary to count tokens with, instead of estimating them."""
    by: Identity[Literal["source", "input"]] = "source"
    """What weights, factors and the temperature are of: the documents' `source`, or the inputs, by
    their names."""
    weights: Identity[dict[str, float]] = field(default_factory=dict)
    """Share of each source in the mixture's tokens, in any scale; others are left out."""
    upsample: Identity[dict[str, float]] = field(default_factory=dict)
    """How often each source is read, instead of weights; sources not named are read once."""
    temperature: Identity[Annotated[float, Gt(0)] | None] = None
    """Instead of weights: shares in proportion to size^(1/temperature). 1 leaves the sizes' shares;
    the higher, the more equal the shares."""
    max_tokens: Identity[Annotated[int, Ge(1)] | None] = None
    """Tokens of the mixture; by default as many as the inputs of the sources taken have."""
    max_documents: Identity[Annotated[int, Ge(1)] | None] = None
    """Documents of the mixture, instead of tokens; shares are then of documents."""
    max_epochs: Identity[Annotated[float, Gt(0)]] = 4.0
    """How often a source is read at most; the others share what this leaves. Up to four readings
    are worth about as much as fresh text (Muennighoff et al. 2023)."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Draws the documents of partial epochs."""

    makes: ClassVar = Documents
    revision: ClassVar = 2
    panel: ClassVar = "Corpus"

    def __post_init__(self) -> None:
        super().__post_init__()
        for keys in (("weights", "upsample", "temperature"), ("max_tokens", "max_documents")):
            given = [key for key in keys if getattr(self, key)]
            if len(given) > 1:
                raise UsageError(f"give {' or '.join(given)}, not both", where="mix")
        for key in ("weights", "upsample"):
            values = getattr(self, key)
            for source, value in values.items():
                if not 0 <= value < float("inf"):
                    raise UsageError(
                        f"{key}: {source} = {value}; it must be 0 or more", where="mix"
                    )
            if values and not any(values.values()):
                raise UsageError(f"{key}: all are 0, so nothing would be read", where="mix")

    def names_inputs(self) -> bool:
        """Weights of inputs are by their names."""
        return self.by == "input"

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Measure, plan, draw the documents of partial epochs, write the mixture."""
        from llamakit.corpus.mixing.writer import write_mixture

        inventory, mixture = self._mixture(draft, draft.work / "measured")
        for line in mixture.table():
            draft.events.note(line)
        for line in mixture.warnings():
            draft.events.warn(line)
        write_mixture(draft.path, inventory, mixture.repeats)
        return Outcome(
            counts=mixture.counts(),
            metrics=mixture.metrics(),
            headline=f"{mixture.tokens / 1e6:,.2f}M tokens",
        )

    def forecast(self, draft: Draft[Any]) -> Answer:
        """The table of what would be read, drawn as a run would draw it."""
        # A folder of this machine, which no other sees; the store is not to be written to.
        here = replace(self, engine="local")
        with TemporaryDirectory() as folder:
            _, mixture = here._mixture(draft, Path(folder))
        warnings = mixture.warnings()
        lines = [*mixture.table(), *(f"warning: {line}" for line in warnings)]
        return Answer("\n".join(lines), {**mixture.values(), "warnings": warnings})

    def _mixture(self, draft: Draft[Documents], work: Path) -> "tuple[Inventory, Mixture]":
        from llamakit.corpus.mixing.inventory import take_inventory
        from llamakit.corpus.mixing.mixture import Wishes, mix
        from llamakit.text.vocabulary import MODEL_FILE

        versions = draft.inputs(self.documents)
        model = draft.input(self.vocabulary).path / MODEL_FILE if self.vocabulary else None
        inventory = take_inventory(
            versions, model, work, engine=self.runs_on(), events=draft.events
        )
        if not len(inventory.source_of):
            raise InputError("the inputs hold no documents", where="mix")
        self._check_names(inventory.groups(self.by)[0], inventory.inputs)
        mixture = mix(
            inventory,
            Wishes(
                by=self.by,
                weights=self.weights,
                factors=self.upsample,
                temperature=self.temperature,
                budget=self.max_documents or self.max_tokens,
                of_documents=self.max_documents is not None,
                max_epochs=self.max_epochs,
            ),
            self.seed,
        )
        if not mixture.repeats.any():
            raise InputError(
                "the mixture is empty", where="mix", fix="Raise the budget or the weights."
            )
        return inventory, mixture

    def _check_names(self, known: Sequence[str], inputs: Sequence[str]) -> None:
        if self.by == "input" and (twice := {name for name in inputs if inputs.count(name) > 1}):
            raise UsageError(
                f"two inputs are called {', '.join(sorted(twice))}: names do not tell them apart",
                where="mix",
                fix="Make one of them under another --name, or mix by source.",
            )
        for key in ("weights", "upsample"):
            for name in getattr(self, key):
                if name in known:
                    continue
                guess = nearest(name, list(known))
                hint = f"Did you mean {guess!r}? " if guess else ""
                if self.by == "source" and name in inputs:
                    hint = "It is an input: inputs are weighed with --by input. "
                what = "no input is called" if self.by == "input" else "no document is of source"
                raise UsageError(
                    f"{key}: {what} {name!r}",
                    where="mix",
                    fix=f"{hint}There are: {', '.join(known[:20])}.",
                )
