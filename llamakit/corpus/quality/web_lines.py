"""C4's rules that take lines, or parts of lines, out of a text (Raffel et al. 2020, §2.2)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

_CITATION = re.compile(r"\[\d{0,9}\]|\[edit\]|\[citation needed\]")
_ENDS = (".", "!", "?", '"', "'", "”", "’", "。", "！", "？", "।", "؟", "۔", "。」")
_ELLIPSIS = ("...", "…")
_POLICY = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)


def edit_lines(text: str, rules: Mapping[str, float]) -> tuple[str, Counter[str]]:
    """The text without the lines that fail a rule, and how many each took.

    A text that no rule touches comes back as it is; one that loses a line also loses empty lines
    and the space around the others.

    Args:
        text: any text.
        rules: thresholds by name; those of lines are used, others passed over.
    """
    found: Counter[str] = Counter()
    kept = []
    terminal = "c4.terminal_punctuation" in rules
    least = int(rules.get("c4.min_words_per_line", 0))
    longest = int(rules.get("c4.max_word_length", 0))
    # Most texts name neither, and then no line of theirs has to be searched.
    lowered = text.lower()
    scripts = "c4.javascript" in rules and "javascript" in lowered
    policies = [phrase for phrase in _POLICY if phrase in lowered] if "c4.policy" in rules else []
    cited = "c4.citations" in rules and "[" in text
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            continue
        if longest and len(line) > longest and len(max(line.split(), key=len)) > longest:
            found["c4.max_word_length"] += 1
            continue
        if cited:
            line, times = _CITATION.subn("", line)
            found["c4.citations"] += times
        if terminal and (not line.endswith(_ENDS) or line.endswith(_ELLIPSIS)):
            found["c4.terminal_punctuation"] += 1
        # Words are counted as they stood, citations too: a line of three words stays one.
        elif least and len(raw.split(None, least)) < least:
            found["c4.min_words_per_line"] += 1
        elif scripts and "javascript" in line.lower():
            found["c4.javascript"] += 1
        elif policies and any(phrase in line.lower() for phrase in policies):
            found["c4.policy"] += 1
        else:
            kept.append(line)
    return ("\n".join(kept) if found.total() else text), +found


def edits(rules: Mapping[str, float]) -> bool:
    """Whether any of the rules is one of lines."""
    return any(
        name in rules
        for name in (
            "c4.citations",
            "c4.max_word_length",
            "c4.terminal_punctuation",
            "c4.min_words_per_line",
            "c4.javascript",
            "c4.policy",
        )
    )
