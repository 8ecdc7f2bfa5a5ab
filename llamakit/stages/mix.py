"""Documents of several sources are mixed: which are read, and how often."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents
from llamakit.errors import InputError, UsageError, nearest
from llamakit.stages.fields import Identity, Inputs
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Mix(Stage):
    """Mix sources by weight, or up-sample some, within a budget and a cap on epochs.

    Copies no text: the mixture names the documents to read and how often. Sources are the
    documents' `source`; sizes are tokens, estimated as characters / 4."""

    documents: Inputs[Documents]
    """Documents to mix, one artifact or several."""
    weights: Identity[dict[str, float]] = field(default_factory=dict)
    """Share of each source in the mixture's tokens, in any scale; others are left out."""
    upsample: Identity[dict[str, float]] = field(default_factory=dict)
    """How often each source is read, instead of weights; sources not named are read once."""
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
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def __post_init__(self) -> None:
        super().__post_init__()
        for one, other in (("weights", "upsample"), ("max_tokens", "max_documents")):
            if getattr(self, one) and getattr(self, other):
                raise UsageError(f"give {one} or {other}, not both", where="mix")
        for key in ("weights", "upsample"):
            values = getattr(self, key)
            for source, value in values.items():
                if not 0 <= value < float("inf"):
                    raise UsageError(
                        f"{key}: {source} = {value}; it must be 0 or more", where="mix"
                    )
            if values and not any(values.values()):
                raise UsageError(f"{key}: all are 0, so nothing would be read", where="mix")

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Plan by source, draw the documents of partial epochs, write the mixture."""
        import numpy as np

        from llamakit.corpus.mixing.plan import plan_by_factor, plan_by_weight, table
        from llamakit.corpus.mixing.writer import take_inventory, write_mixture

        versions = draft.inputs(self.documents)
        inventory = take_inventory(versions, draft.events)
        if not len(inventory.source_of):
            raise InputError("the inputs hold no documents", where="mix")
        self._check_sources(inventory.sources)
        unit = np.ones_like(inventory.tokens) if self.max_documents else inventory.tokens
        sizes = inventory.sizes(unit)
        budget = self.max_documents or self.max_tokens
        if self.weights:
            whole = sum(n for source, n in sizes.items() if self.weights.get(source))
            plans = plan_by_weight(sizes, self.weights, budget or whole, self.max_epochs)
        else:
            plans = plan_by_factor(sizes, self.upsample, budget, self.max_epochs)
        for line in table(
            plans, inventory.documents(), "documents" if self.max_documents else "tokens"
        ):
            draft.events.note(line)
        planned = sum(plan.wanted for plan in plans)
        self._tell(draft, [plan.source for plan in plans if plan.capped], planned, budget)
        mixed = write_mixture(
            draft.path, versions, inventory, plans, unit, self.seed, draft.events.warn
        )
        if not mixed.documents:
            raise InputError(
                "the mixture is empty", where="mix", fix="Raise the budget or the weights."
            )
        counts = {"documents": mixed.documents, "reads": mixed.reads, "tokens": mixed.tokens}
        counts |= {f"reads_{s}": n for s, n in sorted(mixed.reads_by_source.items())}
        return Outcome(
            counts=counts,
            metrics={f"epochs_{plan.source}": plan.epochs for plan in plans},
            headline=f"{mixed.tokens / 1e6:,.2f}M tokens",
        )

    def _check_sources(self, known: list[str]) -> None:
        for key in ("weights", "upsample"):
            for source in getattr(self, key):
                if source not in known:
                    guess = nearest(source, known)
                    hint = f"Did you mean {guess!r}? " if guess else ""
                    raise UsageError(
                        f"{key}: no document is of source {source!r}",
                        where="mix",
                        fix=f"{hint}There are: {', '.join(known[:20])}.",
                    )

    def _tell(
        self, draft: Draft[Documents], capped: list[str], planned: float, budget: int | None
    ) -> None:
        if not capped:
            return
        names = ", ".join(capped)
        draft.events.warn(f"{names}: read {self.max_epochs:g} times, the cap (--max-epochs)")
        if budget and planned < 0.999 * budget:
            draft.events.warn(
                f"every source is capped: the mixture has {planned:,.0f} of {budget:,} asked for"
            )
