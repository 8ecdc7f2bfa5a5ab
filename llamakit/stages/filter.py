"""Documents that are no prose, in other languages, or of an evaluation are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents, Vocabulary
from llamakit.errors import UsageError
from llamakit.stages.fields import Files, Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome

Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Filter(Sharded):
    """Keep documents by language and by named rules of quality, and say why the others go.

    The rules are those of Gopher, C4 and FineWeb with their published thresholds; --preset takes
    whole sets of them (light drops only debris, off nothing), --rules adds some, --skip leaves some
    out, --thresholds changes them. `language` is written where the input has none. With --protect
    documents that hold items of an evaluation go too. `log/report.html` shows every rule's
    borderline cases."""

    documents: Input[Documents]
    """Documents to filter."""
    protect: Files = ()
    """Task files (JSONL, also .gz) whose items must not be trained on."""
    vocabulary: Input[Vocabulary] | None = None
    """Vocabulary whose tokens are compared with those of protected items; by default words."""
    bad_words: Files = ()
    """Lists of words, one a line, of which no document may hold one (rule c4.bad_words)."""
    preset: Identity[Literal["light", "gopher", "c4", "fineweb", "off"]] = "light"
    """Rules to begin with; fineweb holds those of all three, as FineWeb was made."""
    rules: Identity[list[str]] = field(default_factory=list)
    """Rules, or families (gopher, gopher.repetition, c4.javascript), besides the preset's."""
    skip: Identity[list[str]] = field(default_factory=list)
    """Rules, or families of them, to leave out."""
    thresholds: Identity[dict[str, float]] = field(default_factory=dict)
    """Other thresholds than those of the preset, by rule: gopher.min_words=20."""
    languages: Identity[list[str]] = field(default_factory=list)
    """Languages to keep (ISO 639-1 codes, or unknown); by default all."""
    min_confidence: Identity[Share] = 0.5
    """Probability below which a language counts as unknown."""
    relabel: Identity[bool] = False
    """Identify the language also where the input names one."""
    protect_share: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.2
    """Share of an item's tokens from which a document that holds them goes."""
    protect_length: Identity[Annotated[int, Ge(2)]] = 10
    """Equal tokens in a row that a match begins with."""
    protect_skips: Identity[Annotated[int, Ge(0)]] = 4
    """Tokens after those that may differ within a match."""

    makes: ClassVar = Documents
    revision: ClassVar = 4
    panel: ClassVar = "Corpus"
    # What each holds is in corpus/quality/rules.py; no field is left for them to fill.
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "light": {},
        "gopher": {},
        "c4": {},
        "fineweb": {},
        "off": {},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        rules = self.chosen_rules()
        if "c4.bad_words" in rules and not self.bad_words:
            raise UsageError(
                "rule c4.bad_words needs a list of words",
                where="filter",
                fix="Name a file of words, one a line: --bad-words FILE",
            )
        if self.vocabulary and not self.protect:
            raise UsageError("a vocabulary serves --protect only", where="filter")

    def chosen_rules(self) -> dict[str, float]:
        """The rules that apply with their thresholds, in the order they are asked."""
        from llamakit.corpus.quality.rules import chosen

        listed = ["c4.bad_words"] if self.bad_words else []
        return chosen(self.preset, [*self.rules, *listed], self.skip, self.thresholds)

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep the order of the documents."""
        from llamakit.artifacts.files import write_json
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.quality.filtering import LanguageRule, filter_documents
        from llamakit.corpus.quality.phrases import read_words
        from llamakit.corpus.quality.report import report

        rules = self.chosen_rules()
        documents = draft.input(self.documents)
        found = filter_documents(
            plain_parts(documents, "filter"),
            draft.path,
            draft.work,
            language=LanguageRule(frozenset(self.languages), self.min_confidence, self.relabel),
            thresholds=rules,
            bad_words=[w for file in draft.files(self.bad_words) for w in read_words(file.path)],
            guard=self._guard(draft),
            engine=self.runs_on(),
            events=draft.events,
        )
        if not found.kept:
            draft.events.warn("no document is left")
        write_json(
            draft.path / "rules.json",
            {
                name: {
                    "threshold": threshold,
                    "dropped": found.reasons[name],
                    "failing": found.surveys[name].failing if name in found.surveys else 0,
                    "lines": found.lines[name],
                }
                for name, threshold in rules.items()
            },
        )
        draft.log.mkdir(parents=True, exist_ok=True)
        page = report(found, rules, self.min_confidence, documents.reference)
        (draft.log / "report.html").write_text(page, encoding="utf-8")
        return self._outcome(found)

    def _guard(self, draft: Draft[Documents]) -> Any:
        """The index of the protected items, written for the workers."""
        if not self.protect:
            return None
        from llamakit.corpus.quality.protection import Guard, Item
        from llamakit.evaluation.task_files import read_task
        from llamakit.text.vocabulary import Vocabulary as Pieces

        items = []
        for file in draft.files(self.protect):
            task = read_task(file.path)
            for broken in task.broken:
                draft.events.warn(f"{broken}; this item is not protected")
            items += [
                Item(task.name, item.id, f"{item.context} {item.shown_answer}")
                for item in task.items
            ]
        model = (
            Pieces.load(draft.input(self.vocabulary).path).model_path if self.vocabulary else None
        )
        guard = Guard(draft.work / "protected", self.protect_share, model)
        total, findable = guard.prepare(items, length=self.protect_length, skips=self.protect_skips)
        if findable < total:
            draft.events.note(
                f"{total - findable:,} of {total:,} protected items are shorter than "
                f"{self.protect_length} tokens, or nothing but template: they cannot be found"
            )
        return guard

    def _outcome(self, found: Any) -> Outcome:
        rejected = found.reasons.total()
        counts = {"documents": found.kept, "rejected": rejected}
        counts |= {f"rejected_{reason}": n for reason, n in sorted(found.reasons.items())}
        counts |= {f"lines_{rule}": n for rule, n in sorted(found.lines.items())}
        counts |= {f"contaminated_{task}": n for task, n in sorted(found.contaminated.items())}
        common = dict(found.languages.most_common(20))
        counts |= {f"language_{code}": n for code, n in sorted(common.items())}
        if others := found.languages.total() - sum(common.values()):
            counts["language_others"] = others
        share = rejected / max(found.documents, 1)
        return Outcome(
            counts=counts, metrics={"rejected_share": share}, headline=f"{share:.1%} dropped"
        )
