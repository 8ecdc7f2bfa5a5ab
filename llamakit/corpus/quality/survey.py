"""What a person looks at to judge the rules: where values lie, and the cases on either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CASES = 3
"""Documents shown on each side of a threshold."""

EXCERPT = 400
"""Characters shown of each."""

BINS = 40


@dataclass(frozen=True)
class Case:
    """A document close to a threshold."""

    value: float
    id: str
    excerpt: str


@dataclass
class Survey:
    """One rule over all documents. JSON-able by `to_json`, and added up over shards."""

    threshold: float
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    """Documents by value, from 0 to `top(threshold)`."""
    beyond: int = 0
    """Documents of a larger value."""
    failing: int = 0
    """Documents that fail the rule, whether or not another dropped them before."""
    kept: list[Case] = field(default_factory=list)
    dropped: list[Case] = field(default_factory=list)
    """The cases nearest to the threshold that pass and that fail."""

    def see(
        self,
        values: NDArray[np.float64],
        fails: NDArray[np.bool_],
        ids: Sequence[str],
        texts: Sequence[str],
    ) -> None:
        """Count one shard's values and keep its borderline cases."""
        self.failing += int(fails.sum())
        if self.threshold:
            edges = np.linspace(0, top(self.threshold), BINS + 1)
            counts, _ = np.histogram(values, edges)
            self.bins += counts
            self.beyond += int((values > edges[-1]).sum())
        for cases, side in ((self.kept, ~fails & (values > 0)), (self.dropped, fails)):
            places = np.flatnonzero(side)
            distances = np.abs(values[places] - self.threshold)
            nearest = places[np.argsort(distances, kind="stable")[:CASES]]
            cases += [
                Case(float(values[place]), ids[place], texts[place][:EXCERPT]) for place in nearest
            ]
            self._trim(cases)

    def add(self, other: dict[str, Any]) -> None:
        """Add what `to_json` gave for another shard."""
        self.bins += np.array(other["bins"])
        self.beyond += other["beyond"]
        self.failing += other["failing"]
        for cases, more in ((self.kept, other["kept"]), (self.dropped, other["dropped"])):
            cases += [Case(*case) for case in more]
            self._trim(cases)

    def to_json(self) -> dict[str, Any]:
        """The survey as JSON values."""
        return {
            "bins": self.bins.tolist(),
            "beyond": self.beyond,
            "failing": self.failing,
            "kept": [[case.value, case.id, case.excerpt] for case in self.kept],
            "dropped": [[case.value, case.id, case.excerpt] for case in self.dropped],
        }

    def _trim(self, cases: list[Case]) -> None:
        cases.sort(key=lambda case: (abs(case.value - self.threshold), case.id))
        del cases[CASES:]


def top(threshold: float) -> float:
    """Where a rule's histogram ends: three times its threshold, and 1 where that is a share."""
    return max(1.0, threshold) if 1 / 3 <= threshold <= 1 else 3 * threshold


@dataclass
class Findings:
    """What came of a filter run, added up over shards."""

    documents: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    """Lines (or citations) taken out of kept documents, by rule."""
    languages: Counter[str] = field(default_factory=Counter)
    """Of the kept documents."""
    read: Counter[str] = field(default_factory=Counter)
    """Languages of all documents."""
    contaminated: Counter[str] = field(default_factory=Counter)
    """Documents dropped by the task whose items they hold."""
    surveys: dict[str, Survey] = field(default_factory=dict)

    def add(self, result: dict[str, Any]) -> None:
        """Add what `to_json` gave for a shard."""
        self.documents += result["documents"]
        self.kept += result["kept"]
        for name in ("reasons", "lines", "languages", "read", "contaminated"):
            getattr(self, name).update(result[name])
        for rule, survey in result["surveys"].items():
            self.surveys.setdefault(rule, Survey(survey["threshold"])).add(survey)

    def to_json(self) -> dict[str, Any]:
        """The findings as JSON values."""
        return {
            "documents": self.documents,
            "kept": self.kept,
            "reasons": self.reasons,
            "lines": self.lines,
            "languages": self.languages,
            "read": self.read,
            "contaminated": self.contaminated,
            "surveys": {
                rule: {"threshold": survey.threshold, **survey.to_json()}
                for rule, survey in self.surveys.items()
            },
        }
