"""How many broken rows an input may have, and the error when it has more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from llamakit.errors import InputError

_FEWEST_ROWS = 1_000


@dataclass(frozen=True)
class Limits:
    """`max_broken`: below 1 a share of all rows (counted as at least 1,000, so that a small file
    may hold a few), from 1 on a number of rows. `rows_per_file`: the first rows read, or None."""

    max_broken: float
    rows_per_file: int | None = None
    named: ClassVar[int] = 5
    """Broken rows that an error names."""

    def exceeded(self, broken: int, rows: int) -> bool:
        """Whether so many broken rows among `rows` are too many."""
        if self.max_broken >= 1:
            return broken > self.max_broken
        # In small files the share alone would forbid any; but most rows must be good.
        most = max(self.max_broken, 0.5) if self.max_broken > 0 else 0.0
        return broken > self.max_broken * max(rows, _FEWEST_ROWS) or broken > most * rows

    def check_part(self, broken: int, first_broken: Sequence[str]) -> None:
        """Raises InputError when a part of the input alone breaks a limit that is a number."""
        if self.max_broken >= 1 and broken > self.max_broken:
            raise InputError(
                f"more than {self.max_broken:g} rows are broken: {', '.join(first_broken)}, …",
                fix="Repair the input, name its fields (--text-field …), or raise --max-broken.",
            )

    def judge(
        self,
        *,
        kept: int,
        broken: int,
        other_sources: int,
        reasons: Counter[str],
        first_broken: Sequence[str],
    ) -> None:
        """Raises InputError when too many rows of the whole input are broken, or none is good."""
        rows = kept + other_sources + reasons.total()
        repair = "Repair the input, name its fields (--text-field …), or raise --max-broken."
        if reasons["not_utf8"] == broken:
            repair = "Convert it to UTF-8 (`iconv -f latin1 -t utf-8`), or raise --max-broken."
        named = ", ".join(first_broken) + (", …" if broken > self.named else "")
        if rows and self.exceeded(broken, rows):
            raise InputError(f"{broken} of {rows} rows are broken: {named}", fix=repair)
        if kept:
            return
        if not rows:
            raise InputError("the input holds no rows")
        if other_sources == rows:
            raise InputError(f"none of {rows} rows is of the sources asked for (--sources)")
        common = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common(3))
        where = f" ({named})" if named else ""
        raise InputError(
            f"none of {rows} rows can be used: {common}{where}",
            fix="Check --as, and name the fields (--text-field, --prompt-field …).",
        )
