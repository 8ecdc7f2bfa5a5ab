"""Documents judged by the rules: one reason for each that goes, lines taken out of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llamakit.corpus.quality.measures import COLUMNS, measure
from llamakit.corpus.quality.phrases import WordList, holds
from llamakit.corpus.quality.rules import AFTER_LINES, RULES
from llamakit.corpus.quality.survey import Findings, Survey
from llamakit.corpus.quality.web_lines import edit_lines, edits

_N_GRAMS = ("_gram", "_grams")


class Judgement:
    """The texts of a shard on their way through the rules.

    `reasons` holds the rule each was dropped under, or None; whoever judged before (languages,
    contamination) has written there. `texts` loses the lines that rules of lines take.
    """

    def __init__(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        languages: Sequence[str],
        reasons: list[str | None],
        findings: Findings,
    ) -> None:
        self.ids = ids
        self.texts = list(texts)
        self.reasons = reasons
        self._english = np.array([language == "en" for language in languages], np.bool_)
        self._findings = findings

    def judge(self, thresholds: Mapping[str, float], words: WordList | None) -> None:
        """Ask every rule, in the order of `thresholds`."""
        early = {name: value for name, value in thresholds.items() if name not in AFTER_LINES}
        late = {name: value for name, value in thresholds.items() if name in AFTER_LINES}
        everyone = np.arange(len(self.texts))
        columns = self._measured(everyone, thresholds if not edits(thresholds) else early)
        columns["lorem_ipsum"] = self._lorem(early)
        columns["bad_words"] = self._counted(words, early)
        self._ask(early, columns, everyone)
        if edits(thresholds):
            everyone = np.array(
                [place for place, reason in enumerate(self.reasons) if reason is None], np.int64
            )
            self._edit(everyone, thresholds)
            columns = self._measured(everyone, late)
        self._ask(late, columns, everyone)

    def _measured(
        self, places: NDArray[np.int64], rules: Mapping[str, float]
    ) -> dict[str, NDArray[np.float64]]:
        needed = {RULES[name].measure for name in rules} & set(COLUMNS)
        if not needed:
            return {}
        table = measure(
            [self.texts[place] for place in places],
            n_grams=any(name.endswith(_N_GRAMS) for name in needed),
        )
        return {name: table[:, index] for index, name in enumerate(COLUMNS)}

    def _lorem(self, rules: Mapping[str, float]) -> NDArray[np.float64]:
        if "c4.lorem_ipsum" not in rules:
            return np.zeros(0)
        return np.array(holds(pl.Series(values=self.texts, dtype=pl.String), "lorem ipsum"), float)

    def _counted(self, words: WordList | None, rules: Mapping[str, float]) -> NDArray[np.float64]:
        if words is None or "c4.bad_words" not in rules:
            return np.zeros(0)
        return np.array(words.count(self.texts), float)

    def _ask(
        self,
        rules: Mapping[str, float],
        columns: Mapping[str, NDArray[np.float64]],
        places: NDArray[np.int64],
    ) -> None:
        """Drop those of `places` that fail; `columns` has a value for each of them."""
        for name, threshold in rules.items():
            rule = RULES[name]
            if rule.bound not in ("min", "max"):
                continue
            values, of = columns[rule.measure], places
            if rule.measure == "stop_words":
                # The stop words are English; of other languages they would say nothing.
                values, of = values[self._english[places]], places[self._english[places]]
            fails = values < threshold if rule.bound == "min" else values > threshold
            survey = self._findings.surveys.setdefault(name, Survey(threshold))
            survey.see(
                values,
                fails,
                [self.ids[place] for place in of],
                [self.texts[place] for place in of],
            )
            for place in of[fails].tolist():
                self.reasons[place] = self.reasons[place] or name

    def _edit(self, places: NDArray[np.int64], rules: Mapping[str, float]) -> None:
        for place in places.tolist():
            text, taken = edit_lines(self.texts[place], rules)
            if text:
                self._findings.lines.update(taken)
                self.texts[place] = text
            else:
                # Nothing is left: the rule that took most is the reason.
                self.reasons[place] = max(taken, key=lambda name: (taken[name], name))
