"""Documents that are no prose, or in other languages, are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Documents
from llamakit.errors import UsageError
from llamakit.stages.fields import Identity, Input
from llamakit.stages.sharded import Sharded
from llamakit.stages.stage import Outcome

Count = Annotated[int, Ge(0)]
Number = Annotated[float, Ge(0)]
Share = Annotated[float, Interval(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class Filter(Sharded):
    """Keep documents by language, length, symbols and repetition, and say why the others go.

    Each heuristic has its own threshold, filled from --preset: light drops only debris, gopher
    holds the published numbers (Rae et al. 2021, table A1), off keeps all. A threshold of 0
    switches its heuristic off. `language` is written where the input has none."""

    documents: Input[Documents]
    """Documents to filter."""
    preset: Identity[Literal["light", "gopher", "off"]] = "light"
    """Thresholds for the heuristics that are not given."""
    languages: Identity[list[str]] = field(default_factory=list)
    """Languages to keep (ISO 639-1 codes, or unknown); by default all."""
    min_confidence: Identity[Share] = 0.5
    """Probability below which a language counts as unknown."""
    relabel: Identity[bool] = False
    """Identify the language also where the input names one."""
    min_words: Identity[Count | None] = None
    """Fewest words of a document."""
    max_words: Identity[Count | None] = None
    """Most words of a document."""
    min_word_length: Identity[Number | None] = None
    """Smallest mean length of a word, in characters."""
    max_word_length: Identity[Number | None] = None
    """Largest mean length of a word, in characters."""
    max_symbols: Identity[Number | None] = None
    """Most # and ellipses a word."""
    max_bullet_lines: Identity[Share | None] = None
    """Largest share of lines that begin with a bullet."""
    max_ellipsis_lines: Identity[Share | None] = None
    """Largest share of lines that end with an ellipsis."""
    min_alphabetic_words: Identity[Share | None] = None
    """Smallest share of words with a letter."""
    min_stop_words: Identity[Count | None] = None
    """Fewest different stop words (of the, be, to, of, and, that, have, with) in English."""
    max_repeated_lines: Identity[Share | None] = None
    """Largest share of lines that stood there before."""
    max_repeated_line_characters: Identity[Share | None] = None
    """Largest share of characters in lines that stood there before."""
    max_repeated_paragraphs: Identity[Share | None] = None
    """Largest share of paragraphs that stood there before."""
    max_repeated_paragraph_characters: Identity[Share | None] = None
    """Largest share of characters in paragraphs that stood there before."""
    max_top_ngram: Identity[list[float] | None] = None
    """Largest share of characters in the most frequent 2-, 3- and 4-gram of words."""
    max_repeated_ngrams: Identity[list[float] | None] = None
    """Largest share of characters in repeated 5-, 6- … 10-grams of words."""
    banned_phrases: Identity[list[str] | None] = None
    """Phrases that rule a document out, in any letter case."""

    makes: ClassVar = Documents
    revision: ClassVar = 3
    panel: ClassVar = "Corpus"
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "light": {
            "min_words": 5,
            "max_words": 0,
            "min_word_length": 2.0,
            "max_word_length": 20.0,
            "max_symbols": 0.5,
            "max_bullet_lines": 0.0,
            "max_ellipsis_lines": 0.5,
            "min_alphabetic_words": 0.0,  # sums and tables are no debris
            "min_stop_words": 0,
            "max_repeated_lines": 0.5,
            "max_repeated_line_characters": 0.5,
            "max_repeated_paragraphs": 0.5,
            "max_repeated_paragraph_characters": 0.5,
            "max_top_ngram": [0.4, 0.36, 0.32],
            "max_repeated_ngrams": [0.5, 0.48, 0.46, 0.44, 0.42, 0.4],
            "banned_phrases": ["lorem ipsum"],
        },
        "gopher": {
            "min_words": 50,
            "max_words": 100_000,
            "min_word_length": 3.0,
            "max_word_length": 10.0,
            "max_symbols": 0.1,
            "max_bullet_lines": 0.9,
            "max_ellipsis_lines": 0.3,
            "min_alphabetic_words": 0.8,
            "min_stop_words": 2,
            "max_repeated_lines": 0.3,
            "max_repeated_line_characters": 0.2,
            "max_repeated_paragraphs": 0.3,
            "max_repeated_paragraph_characters": 0.2,
            "max_top_ngram": [0.2, 0.18, 0.16],
            "max_repeated_ngrams": [0.15, 0.14, 0.13, 0.12, 0.11, 0.1],
            "banned_phrases": ["lorem ipsum"],
        },
        "off": {
            "min_words": 0,
            "max_words": 0,
            "min_word_length": 0.0,
            "max_word_length": 0.0,
            "max_symbols": 0.0,
            "max_bullet_lines": 0.0,
            "max_ellipsis_lines": 0.0,
            "min_alphabetic_words": 0.0,
            "min_stop_words": 0,
            "max_repeated_lines": 0.0,
            "max_repeated_line_characters": 0.0,
            "max_repeated_paragraphs": 0.0,
            "max_repeated_paragraph_characters": 0.0,
            "max_top_ngram": [],
            "max_repeated_ngrams": [],
            "banned_phrases": [],
        },
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, most in (("max_top_ngram", 3), ("max_repeated_ngrams", 6)):
            shares = getattr(self, key)
            if len(shares) > most or any(not 0 <= share <= 1 for share in shares):
                raise UsageError(f"{key} takes at most {most} shares of 0-1", where="filter")

    def run(self, draft: Draft[Documents]) -> Outcome:
        """Keep the order of the documents."""
        from llamakit.artifacts.mixture import plain_parts
        from llamakit.corpus.quality.filtering import LanguageRule, filter_documents

        found = filter_documents(
            plain_parts(draft.input(self.documents), "filter"),
            draft.path,
            draft.work,
            language=LanguageRule(frozenset(self.languages), self.min_confidence, self.relabel),
            limits=self._thresholds(),
            engine=self.runs_on(),
            events=draft.events,
        )
        rejected = found.reasons.total()
        if not found.kept:
            draft.events.warn("no document is left")
        counts = {"documents": found.kept, "rejected": rejected}
        counts |= {f"rejected_{reason}": n for reason, n in sorted(found.reasons.items())}
        common = dict(found.languages.most_common(20))
        counts |= {f"language_{code}": n for code, n in sorted(common.items())}
        if others := found.languages.total() - sum(common.values()):
            counts["language_others"] = others
        share = rejected / max(found.kept + rejected, 1)
        return Outcome(
            counts=counts, metrics={"rejected_share": share}, headline=f"{share:.1%} dropped"
        )

    def _thresholds(self) -> Any:
        from dataclasses import fields

        from llamakit.corpus.quality.heuristics import Thresholds

        values = {
            item.name: getattr(self, item.name)
            for item in fields(Thresholds)
            if item.name != "banned"
        }
        values["max_top_ngram"] = tuple(values["max_top_ngram"])
        values["max_repeated_ngrams"] = tuple(values["max_repeated_ngrams"])
        banned = tuple(phrase.casefold() for phrase in self.banned_phrases or ())
        return Thresholds(**values, banned=banned)
