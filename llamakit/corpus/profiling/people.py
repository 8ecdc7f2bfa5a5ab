"""The page's part on people: languages, pronouns and identity terms, as in the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llamakit.artifacts import chart
from llamakit.artifacts.page import Page
from llamakit.corpus.profiling import paper
from llamakit.corpus.profiling.tables import PAPER, Profiles, Row, beside, drawn, plain

_LANGUAGES = 15
_DRAWN_LANGUAGES = 10
_TERMS = 8


def add_languages(page: Page, profiles: Profiles) -> None:
    """Shares of the documents by language, with the paper's."""
    page.section(
        "Languages",
        "Documents by language: as they name it, else as it is identified from their text. The"
        " paper's figures (table 10) come from another identifier; its unknown is partly"
        " code.",
    )
    columns = list(profiles.values())
    sums: dict[str, float] = {}
    for profile in columns:
        for code, row in profile["languages"].items():
            sums[code] = sums.get(code, 0.0) + row["share"]
    codes = sorted(sums, key=lambda code: (-sums[code], code))
    others = [code for code in codes if code != "en"][:_DRAWN_LANGUAGES]
    if others:
        series = {
            name: [drawn(_share(profile, code)) for code in others]
            for name, profile in profiles.items()
        }
        page.chart(chart.bars(others, series, y_label="% of documents"), "All but English")
    rows = [
        beside(code, [_share(profile, code) for profile in columns], paper.LANGUAGES.get(code))
        for code in codes[:_LANGUAGES]
    ]
    if len(codes) > _LANGUAGES:
        rest = [
            sum(_share(profile, code) or 0.0 for code in codes[_LANGUAGES:]) for profile in columns
        ]
        rows.append(beside(f"{len(codes) - _LANGUAGES} others", rest))
    page.table(["language", *(f"{name} %" for name in profiles), f"{PAPER} %"], rows)


def _share(profile: Mapping[str, Any], code: str) -> float | None:
    row = profile["languages"].get(code)
    return row["share"] if row else None


def add_pronouns(page: Page, profiles: Profiles) -> None:
    """Both denominators: all English documents, and those with any pronoun of the kind."""
    page.section(
        "Pronouns",
        "English documents that hold a pronoun of the set. The paper's table 9a gives “any” of"
        " all, the sets within the documents that have any of the three, and the persons within"
        " those that have any person; both denominators stand here.",
    )
    found = [profile["pronouns"] for profile in profiles.values()]
    labels = [*found[0]["genders"], *found[0]["persons"]]
    merged = [{**one["genders"], **one["persons"]} for one in found]
    series = {
        name: [drawn(one[label]["share_within"]) for label in labels]
        for name, one in zip(profiles, merged, strict=True)
    }
    series[PAPER] = [paper.PRONOUNS[label] for label in labels]
    page.chart(
        chart.bars(labels, series, y_label="% of documents with any", y_limits=(0, 100)),
        "Gender sets within documents that have any of them, and persons likewise",
    )
    rows: list[Row] = [
        _both("any gender set", [one["any_gender"] for one in found], paper.ANY_GENDER),
        _both("any person", [one["any_person"] for one in found], paper.ANY_PERSON),
        *(_both(each, [one[each] for one in merged], paper.PRONOUNS[each]) for each in labels),
    ]
    head = [f"{name}: % {what}" for name in profiles for what in ("of all", "within")]
    page.table(["pronouns", *head, f"{PAPER}: %"], rows)


def _both(label: str, found: Sequence[Mapping[str, Any]], figure: float) -> Row:
    """Of all English documents, and within those with any of the kind (None of `any` itself)."""
    shares = [one.get(key) for one in found for key in ("share", "share_within")]
    return beside(label, shares, figure)


def add_identity(page: Page, profiles: Profiles, settings: Mapping[str, Any]) -> None:
    """Shares of the English documents by axis, and within an axis by term."""
    known = not settings["own_terms"]
    source = (
        "The lists come with llamakit; the paper's table 9b counts the descriptors of HolisticBias,"
        " so compare the order of things, not the decimals."
        if known
        else "The lists are your own."
    )
    page.section(
        "Identity terms",
        "English documents that name people on an axis, as whole words in any letter case."
        f" {source}",
    )
    columns = [profile["identity"] for profile in profiles.values()]
    axes = list(columns[0])
    series = {
        name: [drawn(profile["identity"][axis]["share"]) for axis in axes]
        for name, profile in profiles.items()
    }
    if known:
        series[PAPER] = [paper.AXES[axis] for axis in axes]
    page.chart(chart.bars([plain(a) for a in axes], series, y_label="% of English documents"))
    head = [*(f"{name} %" for name in profiles), *([f"{PAPER} %"] if known else [])]
    rows = [
        beside(plain(a), [c[a]["share"] for c in columns], paper.AXES.get(a), last=known)
        for a in axes
    ]
    page.table(["axis", *head], rows, caption="Documents with any term of the axis")
    for axis in axes:
        terms: dict[str, float] = {}
        for column in columns:
            for term, row in column[axis]["terms"].items():
                terms[term] = terms.get(term, 0.0) + row["share_within"]
        chosen = sorted(terms, key=lambda term: (-terms[term], term))[:_TERMS]
        figures = paper.TERMS.get(axis, {}) if known else {}
        rows = [
            beside(
                term,
                [_within(column[axis], term) for column in columns],
                figures.get(term),
                last=known,
            )
            for term in chosen
        ]
        if rows:
            page.table([plain(axis), *head], rows, caption="Of the axis' documents")


def _within(axis: Mapping[str, Any], term: str) -> float | None:
    row = axis["terms"].get(term)
    return row["share_within"] if row else None
