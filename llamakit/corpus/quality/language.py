"""Language identification with py3langid, whose model comes with the package."""

from __future__ import annotations

from functools import cache
from typing import Any

UNKNOWN = "unknown"

_CHARACTERS = 4_000


def identify(text: str, min_confidence: float) -> str:
    """The language of the text's beginning as an ISO 639-1 code.

    `unknown` when nothing can be told or the probability is below `min_confidence` (Llama 2's
    table counts below 0.5 so; much of it is code).
    """
    sample = text[:_CHARACTERS]
    if not any(c.isalpha() for c in sample):
        return UNKNOWN
    language, probability = _identifier().classify(sample)
    return str(language) if probability >= min_confidence else UNKNOWN


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
