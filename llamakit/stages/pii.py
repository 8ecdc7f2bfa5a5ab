"""Documents lose their personal data, and the sites that are full of it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents
from llamakit.errors import UsageError, nearest
from llamakit.stages.fields import Execution, Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome
from llamakit.wording import counted

if TYPE_CHECKING:
    from llamakit.corpus.pii.redaction import Redacted
    from llamakit.corpus.pii.sites import SiteRule

DEFAULT_KINDS = (
    "email",
    "phone",
    "card",
    "iban",
    "ip",
    "ssn",
    "national_id",
    "crypto",
    "credential",
)
KINDS = (*DEFAULT_KINDS, "person", "address")


@dataclass(frozen=True, kw_only=True)
class Pii(Sharded):
    """Replace personal data, and drop the sites that are full of it.

    E-mail addresses, telephone numbers, payment cards, bank accounts, IP addresses, national ids,
    addresses of digital money and credentials, each checked by its form, checksum or numbering
    plan; person names and postal addresses, which are guessed, only when asked for. Where they
    stood is written to `spans/`, to be scored against a truth table; what they were is not kept.
    Only the text is searched: url and metadata stay as they are, and what they hold is in no
    count."""

    documents: Input[Documents]
    """Documents to clean."""
    action: Identity[Literal["replace", "drop"]] = "replace"
    """replace puts something else in the text; drop leaves the whole document out."""
    kinds: Identity[list[str]] = field(default_factory=lambda: list(DEFAULT_KINDS))
    """What to look for; person and address too, which are guessed (person needs the extra
    pii-names)."""
    regions: Identity[list[str]] = field(default_factory=lambda: ["all"])
    """Countries (ISO 3166) whose telephone numbers are read without their +; all for every one."""
    style: Identity[Literal["placeholder", "pseudonym", "linked"]] = "placeholder"
    """placeholder puts <EMAIL>; pseudonym <EMAIL_3f9a>, the same for the same value within a
    document; linked the same in all documents."""
    key_file: Execution[str | None] = None
    """File with the key that pseudonyms are made with (16 bytes or more)."""
    key_env: Execution[str | None] = None
    """Environment variable with the key, instead of a file."""
    key_digest: Identity[str | None] = None
    """Filled in from the key; given beforehand, another key is refused."""
    max_site_density: Identity[Annotated[float, Ge(0)]] = 5.0
    """Finds per 1,000 characters from which a whole site is dropped; 0 keeps all."""
    max_site_share: Identity[Annotated[float, Interval(ge=0, le=1)]] = 0.0
    """Share of pages with finds from which a whole site is dropped; 0 keeps all."""
    min_site_pages: Identity[Annotated[int, Ge(2)]] = 5
    """Pages a site must have to be judged."""
    site_confidence: Identity[Annotated[float, Interval(ge=0.5, lt=1)]] = 0.95
    """How sure it must be that a site passes a threshold: its lower bound is judged."""

    makes: ClassVar = Documents
    revision: ClassVar = 5
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
        if self.regions != ["all"]:
            self._check_regions()
        if self.style == "placeholder":
            for key in ("key_file", "key_env", "key_digest"):
                if getattr(self, key) is not None:
                    flag = key.replace("_", "-")
                    raise UsageError(
                        f"{flag} is of no use with style placeholder",
                        where="pii",
                        fix="Choose style pseudonym or linked.",
                    )
        else:
            self._fill_digest()

    def _check_regions(self) -> None:
        from llamakit.corpus.pii.numbering import known_regions

        known = known_regions()
        for region in self.regions:
            if region not in known:
                raise UsageError(
                    f"there is no region {region!r}",
                    where="pii",
                    fix="Regions are two letters of ISO 3166, as US, GB or DE; or all.",
                )

    def _fill_digest(self) -> None:
        from llamakit.corpus.pii.keys import key_digest, secret_key

        digest = key_digest(secret_key(self.key_file, self.key_env))
        if self.key_digest not in (None, digest):
            raise UsageError(
                f"the key's digest is {digest}, and {self.key_digest} was asked for", where="pii"
            )
        object.__setattr__(self, "key_digest", digest)

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep the order of the documents."""
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.pii.gazetteer import first_names
        from llamakit.corpus.pii.keys import secret_key
        from llamakit.corpus.pii.redaction import remove_pii
        from llamakit.corpus.pii.sites import SiteRule

        if "person" in self.kinds:
            first_names()  # says at once what is to be installed
        rule = SiteRule(
            self.max_site_density, self.max_site_share, self.min_site_pages, self.site_confidence
        )
        plain = self.style == "placeholder"
        found = remove_pii(
            plain_parts(draft.input(self.documents), "pii"),
            draft.path,
            draft.work,
            kinds=self.kinds,
            regions=self.regions,
            action=self.action,
            style=self.style,
            key=b"" if plain else secret_key(self.key_file, self.key_env),
            rule=rule,
            engine=self.runs_on(),
            events=draft.events,
        )
        self._tell(draft, found, rule)
        counts = {
            "documents": found.kept,
            "rejected": found.reasons.total(),
            "spans": found.spans.total(),
            "sites_dropped": len(found.dropped),
        }
        counts |= {f"rejected_{reason}": n for reason, n in sorted(found.reasons.items())}
        counts |= {f"spans_{kind}": n for kind, n in sorted(found.spans.items())}
        return Outcome(
            counts=counts,
            metrics={"rejected_share": found.reasons.total() / max(found.documents, 1)},
            headline=f"{counted(found.spans.total(), 'find')}, "
            f"{counted(len(found.dropped), 'site')} dropped",
        )

    def _tell(self, draft: Draft[Documents], found: "Redacted", rule: "SiteRule") -> None:
        """Write the sites and the page, and name the dropped sites."""
        from llamakit.artifacts.files import atomic_file, write_json
        from llamakit.corpus.pii.report import ranked_sites, report

        def told(name: str) -> dict[str, Any]:
            site = found.sites[name]
            return {
                "pages": site.pages,
                "pages_with_finds": site.hits,
                "characters": site.characters,
                "finds": site.spans,
                "density": site.density,
                "density_low": site.density_low(self.site_confidence),
                "share": site.share,
                "share_low": site.share_low(self.site_confidence),
                "dropped": name in found.dropped,
            }

        ranked = {name: told(name) for name, _ in ranked_sites(found.sites, rule)}
        write_json(draft.path / "sites.json", ranked)
        for name in [name for name, site in ranked.items() if site["dropped"]][:20]:
            site = ranked[name]
            draft.events.note(
                f"site {name} dropped: {site['pages']:,} pages, {site['density']:.1f} finds per "
                f"1,000 characters (at least {site['density_low']:.1f}), {site['share']:.0%} of "
                f"pages (at least {site['share_low']:.0%})"
            )
        draft.log.mkdir(parents=True, exist_ok=True)
        with atomic_file(draft.log / "report.html") as path:
            page = report(found, rule, f"{draft.input(self.documents).reference} -> pii")
            path.write_text(page, encoding="utf-8")
