"""Documents lose their personal data, and the sites that are full of it."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents
from llamakit.errors import UsageError, nearest
from llamakit.stages.fields import Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome

KINDS = ("email", "phone", "card", "iban", "ip", "ssn", "national_id")


@dataclass(frozen=True, kw_only=True)
class Pii(Sharded):
    """Replace personal data, and drop the sites that are full of it.

    E-mail addresses, telephone numbers, payment cards, bank accounts, IP addresses and national
    ids, each checked by its checksum or numbering plan. Where they stood is written to `spans/`,
    to be scored against a truth table; what they were is not kept. Only the text is searched: url
    and metadata stay as they are, and what they hold is in no count."""

    documents: Input[Documents]
    """Documents to clean."""
    action: Identity[Literal["replace", "drop"]] = "replace"
    """replace puts <EMAIL>, <PHONE> … in the text; drop leaves the whole document out."""
    kinds: Identity[list[str]] = field(default_factory=lambda: list(KINDS))
    """What to look for."""
    regions: Identity[list[str]] = field(default_factory=lambda: ["US", "GB"])
    """Countries (ISO 3166) whose telephone numbers are read without their +."""
    max_site_density: Identity[Annotated[float, Ge(0)]] = 5.0
    """Finds per 1,000 characters from which a whole site is dropped; 0 keeps all."""
    max_site_share: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.0
    """Share of pages with finds from which a whole site is dropped; 0 keeps all."""
    min_site_pages: Identity[Annotated[int, Ge(1)]] = 5
    """Pages a site must have to be judged."""

    makes: ClassVar = Documents
    revision: ClassVar = 1
    panel: ClassVar = "Corpus"

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in self.kinds:
            if kind not in KINDS:
                guess = nearest(kind, list(KINDS))
                hint = f"Did you mean {guess!r}? " if guess else ""
                raise UsageError(
                    f"there is no kind {kind!r} of personal data",
                    where="pii",
                    fix=f"{hint}There are: {', '.join(KINDS)}.",
                )

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep the order of the documents."""
        from llamakit.artifacts.files import write_json
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.pii.redaction import remove_pii
        from llamakit.corpus.pii.sites import SiteRule

        found = remove_pii(
            plain_parts(draft.input(self.documents), "pii"),
            draft.path,
            draft.work,
            kinds=self.kinds,
            regions=self.regions,
            action=self.action,
            rule=SiteRule(self.max_site_density, self.max_site_share, self.min_site_pages),
            engine=self.runs_on(),
            events=draft.events,
        )
        sites = {
            name: {**site.to_json(), "density": site.density, "share": site.share}
            for name, site in found.sites.items()
        }
        write_json(draft.path / "dropped_sites.json", sites)
        for name, site in list(found.sites.items())[:20]:
            draft.events.note(
                f"site {name} dropped: {site.pages:,} pages, {site.density:.1f} finds per 1,000 "
                f"characters, {site.share:.0%} of pages"
            )
        counts = {
            "documents": found.kept,
            "rejected": found.reasons.total(),
            "spans": found.spans.total(),
            "sites_dropped": len(found.sites),
        }
        counts |= {f"rejected_{reason}": n for reason, n in sorted(found.reasons.items())}
        counts |= {f"spans_{kind}": n for kind, n in sorted(found.spans.items())}
        return Outcome(
            counts=counts,
            metrics={"rejected_share": found.reasons.total() / max(found.documents, 1)},
            headline=f"{found.spans.total():,} finds, {len(found.sites):,} sites dropped",
        )
