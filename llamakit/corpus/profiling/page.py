"""The profile's page: what a corpus holds, or two side by side, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from llamakit.artifacts.page import Cell, Page, Value
from llamakit.corpus.profiling.contents import add_lengths, add_sites, add_sources, add_toxicity
from llamakit.corpus.profiling.people import add_identity, add_languages, add_pronouns
from llamakit.corpus.profiling.tables import Profiles, per_cent, plain

_SHOWN_CHARACTERS = 280


def report_page(report: Mapping[str, Any], samples: pl.DataFrame) -> Page:
    """Build the page from `report.assemble`'s object and the excerpts (`corpus` and `EXCERPTS`)."""
    profiles: Profiles = report["profiles"]
    settings = report["settings"]
    page = Page("Corpus profile", " → ".join(profiles))
    _headlines(page, profiles)
    if report["differences"]:
        _differences(page, report)
    add_sources(page, profiles)
    add_lengths(page, profiles)
    add_languages(page, profiles)
    add_pronouns(page, profiles)
    add_identity(page, profiles, settings)
    if settings["toxicity"]:
        add_toxicity(page, profiles, settings)
    _copies(page, profiles)
    add_sites(page, profiles, settings)
    _excerpts(page, profiles, samples)
    return page


def _headlines(page: Page, profiles: Profiles) -> None:
    """The last corpus' numbers, with the first one's below where there are two."""
    names = list(profiles)

    def tile(value: Any) -> Cell:
        last = value(profiles[names[-1]])
        if len(names) == 1:
            return Cell(last)
        first = value(profiles[names[0]])
        return Cell(last, "as before" if first == last else f"{names[0]}: {first}")

    tiles = {
        "documents": tile(lambda p: f"{p['reads']:,}"),
        "megabytes": tile(lambda p: f"{p['bytes'] / 1e6:,.1f}"),
        "English": tile(lambda p: _share(p["english"]["share"])),
        "copies of documents": tile(lambda p: _share(p["copies"]["documents"]["share"])),
        "hold personal data": tile(lambda p: _share(p["pii"]["share"])),
    }
    if all("tokens" in p for p in profiles.values()):
        tiles["million tokens"] = tile(lambda p: f"{p['tokens'] / 1e6:,.2f}")
    if all("toxicity" in p for p in profiles.values()):
        tiles["toxic"] = tile(lambda p: _share(p["toxicity"]["share"]))
    page.figures(tiles)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _differences(page: Page, report: Mapping[str, Any]) -> None:
    before, after = report["corpora"]
    page.section(
        "Side by side",
        "The headline measures of both. Within: of the documents with any pronoun of that kind."
        " Documents count as often as they are read.",
    )
    rows: list[list[Value | Cell]] = []
    for row in report["differences"]:
        numbers = [row["before"], row["after"], row["change"]]
        name, is_share, within = row["measure"].partition("_share")
        if is_share:
            label = f"% {plain(name)}{', within' if within else ''}"
            rows.append([label, *map(per_cent, numbers[:2]), per_cent(numbers[2], sign=True)])
        else:
            rows.append([plain(name), *numbers])
    page.table(["measure", before, after, "change"], rows)


def _copies(page: Page, profiles: Profiles) -> None:
    page.section(
        "Copies",
        "Documents equal to an earlier one but for letter case and blanks, and lines of 30"
        " characters and more that stood in the corpus before. Up-sampling is no copy. Near copies"
        " are not counted here: llamakit dedup finds them.",
    )
    rows: list[list[Value | Cell]] = []
    for name, profile in profiles.items():
        for unit, found in profile["copies"].items():
            rows.append(
                [
                    f"{name}: {'whole ' if unit == 'documents' else ''}{unit}",
                    found["items"],
                    found["copies"],
                    per_cent(found["share"]),
                    per_cent(found["character_share"]),
                ]
            )
    page.table(["", "in all", "copies", "% of them", "% of characters"], rows)


def _excerpts(page: Page, profiles: Profiles, samples: pl.DataFrame) -> None:
    page.section("Excerpts", "Documents to look at; more are in samples.parquet.")
    for group in dict.fromkeys(samples["group"].to_list()):
        texts = {}
        for name in profiles:
            rows = samples.filter((pl.col("corpus") == name) & (pl.col("group") == group))
            if len(rows):
                row = rows.row(0, named=True)
                label = f"{name} · {row['source']} · {row['language']} · {row['characters']:,}"
                lines = " / ".join(filter(None, map(str.strip, row["text"].splitlines())))
                texts[f"{label} characters"] = lines[:_SHOWN_CHARACTERS]
        page.samples([(plain(group), texts)])
