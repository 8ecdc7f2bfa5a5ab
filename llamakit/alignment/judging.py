"""The page on which people judge pairs: one HTML file that needs no server and sends nothing.

Each pair is graded on the paper's scale, eight steps from one answer to the other (§3.2.1); of
safety prompts both answers are called safe or unsafe. Which models answered is not shown. What was
judged is kept in the browser and saved as lines that `ingest --as preferences` reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llamakit.artifacts.digest import json_digest

_PAGE = Path(__file__).with_name("judging.html")


def judging_page(lines: Sequence[Mapping[str, Any]], is_safety: Sequence[bool]) -> str:
    """The page for lines of `annotation.for_people`.

    Args:
        is_safety: of which prompts the answers' safety is asked for.
    """
    pairs = [
        {"line": line, "safety": safety} for line, safety in zip(lines, is_safety, strict=True)
    ]
    told = json.dumps({"batch": json_digest(pairs)[:16], "pairs": pairs}, ensure_ascii=False)
    # Text of a model may hold `</script>`, or open a comment: then nothing of the page would run.
    return _PAGE.read_text(encoding="utf-8").replace("{{ pairs }}", told.replace("<", "\\u003c"))
