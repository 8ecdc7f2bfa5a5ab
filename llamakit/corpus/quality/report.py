"""The page of a filter run: what each rule did, and the documents on either side of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llamakit.artifacts.page import Cell, Page
from llamakit.corpus.quality.histogram import histogram
from llamakit.corpus.quality.rules import AFTER_LINES, RULES
from llamakit.corpus.quality.survey import BINS, Case, Findings, Survey, top

_LANGUAGES = 24


def report(
    found: Findings, rules: Mapping[str, float], min_confidence: float, documents: str
) -> str:
    """The whole page as HTML.

    Args:
        found: what `filter_documents` gave.
        rules: the rules that applied, with their thresholds.
        min_confidence: the probability below which a language was called unknown.
        documents: what was filtered, for the title.
    """
    dropped = found.documents - found.kept
    page = Page("Filter", documents)
    page.figures(
        {
            "documents": found.documents,
            "kept": found.kept,
            "dropped": Cell(dropped, note=f"{dropped / max(found.documents, 1):.1%}"),
            "lines taken out": found.lines.total(),
        }
    )
    _reasons(page, found, rules)
    _languages(page, found, min_confidence)
    _rules(page, found, rules)
    return page.html()


def _reasons(page: Page, found: Findings, rules: Mapping[str, float]) -> None:
    page.section(
        "Rules",
        "A document is dropped under the first rule that it fails, in this order; “failing” counts "
        "all that fail a rule, whichever dropped them. Rules of C4 that take lines out count "
        "lines. Those marked * see the text after that, and only of documents that are still there."
        if any(RULES[name].bound in ("line", "edit") for name in rules)
        else "A document is dropped under the first rule that it fails, in this order; “failing” "
        "counts all that fail a rule, whichever dropped them.",
    )
    rows: list[list[str | int | float | Cell | None]] = []
    for name in ("language", "contaminated"):
        if found.reasons[name]:
            rows.append([name, None, None, None, found.reasons[name]])
    edited = any(RULES[name].bound in ("line", "edit") for name in rules)
    for name, threshold in rules.items():
        rule = RULES[name]
        starred = f"{name} *" if edited and name in AFTER_LINES else name
        if rule.bound in ("line", "edit"):
            taken = Cell(found.lines[name], note="lines" if rule.bound == "line" else "places")
            asked = threshold if rule.adjustable else None
            rows.append([starred, asked, rule.about, taken, found.reasons[name]])
        else:
            sign = "at least" if rule.bound == "min" else "at most"
            failing = found.surveys[name].failing if name in found.surveys else 0
            asked_as = Cell(threshold, note=sign)
            rows.append([starred, asked_as, rule.about, failing, found.reasons[name]])
    page.table(["rule", "threshold", "looks at", "failing", "dropped"], rows)
    if found.contaminated:
        page.section("Contamination", "Documents dropped by the task whose items they hold.")
        page.table(["task", "documents"], [list(pair) for pair in found.contaminated.most_common()])


def _languages(page: Page, found: Findings, min_confidence: float) -> None:
    page.section("Languages", "Of all documents, and of those that were kept.")
    common = [code for code, _ in found.read.most_common(_LANGUAGES)]
    total = max(found.documents, 1)
    page.table(
        ["language", "documents", "share", "kept"],
        [
            [code, found.read[code], f"{found.read[code] / total:.2%}", found.languages[code]]
            for code in common
        ],
        caption=f"The {len(common)} most frequent of {len(found.read)}.",
    )
    survey = found.surveys.get("language")
    if survey and (survey.bins.any() or survey.beyond):
        _histogram(page, survey, "probability of the language, of documents identified here")
        _cases(page, survey, f"{min_confidence:g}", "unknown", "told")


def _rules(page: Page, found: Findings, rules: Mapping[str, float]) -> None:
    for name in rules:
        survey = found.surveys.get(name)
        if survey is None or not (survey.kept or survey.dropped):
            continue
        rule = RULES[name]
        page.section(name, f"{rule.about[:1].upper()}{rule.about[1:]}. {survey.failing:,} fail.")
        if survey.threshold:
            _histogram(page, survey, rule.about)
        _cases(page, survey, f"{survey.threshold:g}", "fails", "passes")


def _histogram(page: Page, survey: Survey, label: str) -> None:
    total = max(int(survey.bins.sum()) + survey.beyond, 1)
    shares = survey.bins / total
    end = top(survey.threshold)
    highest = float(shares.max())
    # One value that nearly all documents have, often 0, would hide how the others lie.
    rest = float(np.sort(shares)[-2])
    limit = min(highest, 3 * rest) if rest else highest
    caption = f"Share of documents by value. {survey.beyond / total:.1%} lie beyond the right edge."
    if limit < highest:
        first = int(shares.argmax()) * end / BINS
        caption += f" The bin from {first:g} goes up to {highest:.1%}."
    drawn = histogram(
        shares.tolist(),
        end=end,
        threshold=survey.threshold,
        highest=limit or 1.0,
        label=label,
    )
    page.chart(drawn, caption)


def _cases(page: Page, survey: Survey, threshold: str, failing: str, passing: str) -> None:
    """The borderline documents in pairs, those nearest to the threshold first."""
    rows = []
    for place in range(max(len(survey.dropped), len(survey.kept))):
        texts = {}
        for cases, side in ((survey.dropped, failing), (survey.kept, passing)):
            if place < len(cases):
                texts[_heading(cases[place], side)] = cases[place].excerpt
        rows.append((f"Nearest to {threshold}" if place == 0 else "Next", texts))
    if rows:
        page.samples(rows)


def _heading(case: Case, side: str) -> str:
    return f"{side} with {case.value:.4g}: {case.id}"
