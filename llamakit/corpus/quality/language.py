"""The language of documents: a short look at each, a longer one where that leaves doubt."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from llamakit.corpus.quality.language_model import language_model

UNKNOWN = "unknown"
NO_LANGUAGE = "zxx"

SHORT_LOOK = (900, 3)
LONG_LOOK = (6_000, 5)
"""Characters read at most, and in how many pieces, spread evenly over the text from its beginning
to its end: headers and signatures are often in another language than what they stand around."""

SURE = 0.95
"""Probability from which the short look is enough."""


def identify(text: str, min_confidence: float = 0.5) -> str:
    """The language of one text; see `tell_all`."""
    return identify_all([text], min_confidence)[0]


def identify_all(texts: Sequence[str], min_confidence: float = 0.5) -> list[str]:
    """The language of each text; see `tell_all`."""
    return tell_all(texts, min_confidence)[0]


def tell_all(texts: Sequence[str], min_confidence: float) -> tuple[list[str], list[float]]:
    """The language of each text as an ISO 639-1 code (639-3 where there is none), and the
    probability of what the model took it for (0-1).

    `unknown` when a text has no letter, is in no language (of code, much is), or when the
    probability is below `min_confidence` (Llama 2's table counts below 0.5 so).
    """
    model = language_model()
    languages, sure = model.classify([_sample(text, *SHORT_LOOK) for text in texts])
    doubtful = [
        place
        for place, probability in enumerate(sure.tolist())
        if probability < SURE and len(texts[place]) > SHORT_LOOK[0]
    ]
    if doubtful:
        again, surer = model.classify([_sample(texts[place], *LONG_LOOK) for place in doubtful])
        sure[doubtful] = surer
        for place, language in zip(doubtful, again, strict=True):
            languages[place] = language
    told = [
        UNKNOWN if language in ("", NO_LANGUAGE) or probability < min_confidence else language
        for language, probability in zip(languages, sure.tolist(), strict=True)
    ]
    return told, sure.tolist()


def _sample(text: str, characters: int, pieces: int) -> bytes:
    """At most so many characters in UTF-8, as the model was trained on them: composed (NFC), and
    in lower case where all is upper case. Empty without a letter."""
    if len(text) > characters:
        size = characters // pieces
        step = (len(text) - size) // (pieces - 1)
        text = "\n".join(text[place * step : place * step + size] for place in range(pieces))
    if not any(map(str.isalpha, text)):
        return b""
    if text.isupper():
        text = text.lower()
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
