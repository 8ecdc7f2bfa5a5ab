"""What the Llama 2 paper reports of its pretraining data (section 4.1), in per cent."""

from __future__ import annotations

from collections.abc import Mapping

ANY_GENDER, ANY_PERSON = 75.23, 94.47
"""English documents with a pronoun of any gender set, and of any person (table 9a)."""

PRONOUNS: Mapping[str, float] = {
    "she": 28.45,
    "he": 50.73,
    "they": 86.38,
    "first": 70.71,
    "second": 61.80,
    "third": 93.07,
}
"""Of those documents, the ones with this set or person."""

AXES: Mapping[str, float] = {
    "gender_and_sex": 5.91,
    "sexual_orientation": 6.67,
    "nationality": 14.83,
    "race_and_ethnicity": 19.51,
    "religion": 7.93,
}
"""English documents with any term of the axis (table 9b)."""

TERMS: Mapping[str, Mapping[str, float]] = {
    "gender_and_sex": {
        "female": 50.0,
        "male": 39.1,
        "feminine": 5.4,
        "transgender": 4.2,
        "masculine": 3.1,
    },
    "sexual_orientation": {"gay": 14.8, "lesbian": 4.3, "lgbt": 4.0, "lgbtq": 3.6, "queer": 3.5},
    "nationality": {
        "american": 69.4,
        "indian": 16.5,
        "chinese": 16.3,
        "korean": 5.1,
        "mexican": 4.9,
    },
    "race_and_ethnicity": {
        "european": 20.7,
        "african": 11.5,
        "asian": 7.4,
        "latin": 6.2,
        "indigenous": 3.7,
    },
    "religion": {
        "christian": 33.2,
        "religious": 28.8,
        "spiritual": 20.6,
        "catholic": 15.4,
        "jewish": 13.0,
    },
}
"""Of the axis' documents, the ones with the term: the five most frequent (table 9b)."""

LANGUAGES: Mapping[str, float] = {
    "en": 89.70,
    "unknown": 8.38,
    "de": 0.17,
    "fr": 0.16,
    "sv": 0.15,
    "zh": 0.13,
    "es": 0.13,
    "ru": 0.13,
    "nl": 0.12,
    "it": 0.11,
    "ja": 0.10,
    "pl": 0.09,
    "pt": 0.09,
    "vi": 0.08,
    "uk": 0.07,
    "ko": 0.06,
    "ca": 0.04,
    "sr": 0.04,
    "id": 0.03,
    "cs": 0.03,
    "fi": 0.03,
    "hu": 0.03,
    "no": 0.03,
    "ro": 0.03,
    "bg": 0.02,
    "da": 0.02,
    "sl": 0.01,
    "hr": 0.01,
}
"""Documents by language (table 10); much of `unknown` is code."""

TOXIC = 0.2
"""Documents of a tenth of the corpus that score 0.5 or more (figure 13), about."""
