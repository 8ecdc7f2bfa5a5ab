from __future__ import annotations

import math
from functools import cache

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from llamakit.corpus.quality.language import LONG_LOOK, SHORT_LOOK, identify, identify_all
from llamakit.corpus.quality.language_model import (
    LOG_PRIOR,
    MEMBERS,
    SHARPNESS,
    language_model,
)

TEXTS = {
    "en": "The market opens early, and people come from all the villages around to this place.",
    "de": "Der Markt öffnet früh, und die Leute kommen aus allen Dörfern der Umgebung hierher.",
    "fr": "Le marché ouvre tôt, et les gens viennent de tous les villages des environs.",
    "es": "El mercado abre temprano y la gente viene de todos los pueblos de los alrededores.",
    "pl": "Rynek otwiera się wcześnie, a ludzie przychodzą ze wszystkich okolicznych wsi.",
    "ru": "Рынок открывается рано, и люди приходят сюда из всех окрестных деревень.",
    "uk": "Ринок відкривається рано, і люди приходять сюди з усіх навколишніх сіл.",
    "el": "Η αγορά ανοίγει νωρίς και ο κόσμος έρχεται από όλα τα γύρω χωριά.",
    "ar": "يفتح السوق مبكرا ويأتي الناس من كل القرى المجاورة إلى هذا المكان.",
    "hi": "बाजार जल्दी खुलता है और आसपास के सभी गांवों से लोग यहां आते हैं।",
    "zh": "市场很早就开门了，周围村庄的人都来到这里。",
    "ja": "市場は早く開き、周りの村々から人々がここにやって来ます。",
    "ko": "시장은 일찍 문을 열고 주변 모든 마을에서 사람들이 이곳으로 옵니다.",
}


def test_languages_are_told_and_order_is_kept() -> None:
    assert identify_all(list(TEXTS.values())) == list(TEXTS)
    assert identify_all(list(TEXTS.values())[::-1]) == list(TEXTS)[::-1]
    assert identify_all([]) == []


@pytest.mark.parametrize("text", ["", " \n", "12345 + 678 = ?", "!!!", "\ud800"])
def test_without_a_letter_nothing_is_told(text: str) -> None:
    assert identify(text) == "unknown"


def test_below_the_confidence_asked_for_it_is_unknown() -> None:
    assert identify(TEXTS["de"], 0.5) == "de"
    assert identify(TEXTS["de"], 1.1) == "unknown"


def test_upper_case_and_decomposed_letters_are_read_as_the_model_knows_them() -> None:
    assert identify(TEXTS["de"].upper()) == "de"
    assert identify("Le marche\u0301 ouvre to\u0302t, et tout le monde arrive.") == "fr"


def test_what_stands_around_a_text_does_not_decide() -> None:
    header = "From: someone\nSubject: about the meeting of last week and what we said there\n"
    text = header + (TEXTS["de"] + "\n") * 60
    assert len(text) > LONG_LOOK[0] - SHORT_LOOK[0]
    assert identify(text) == "de"


@pytest.mark.parametrize(
    "text",
    [
        "Who wrote the book of the jungle?",
        "def add(a, b):\n    return a + b",
        "SHR 39 CTS VS 50 CTS. NET 4,123,000 VS 5,200,000. REVS 12.1 MLN VS 11.0 MLN",
        "What's up?",
    ],
)
def test_short_english_is_not_taken_for_a_language_hardly_written(text: str) -> None:
    assert identify(text) == "en"


@cache
def package_s_own() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@pytest.mark.parametrize("language", list(TEXTS))
def test_the_kernel_is_the_package_s_model_with_another_prior(language: str) -> None:
    """Its probabilities are exp(score / √bytes); ours are these scores, sharper, and a prior."""
    text = TEXTS[language]
    theirs = package_s_own().rank(text)
    weights = {
        code: SHARPNESS * math.log(max(share, 1e-30)) + LOG_PRIOR.get(code, 0.0)
        for code, share in theirs
    }
    total = sum(math.exp(weight) for weight in weights.values())
    best = max(weights, key=lambda code: weights[code])
    told, probability = language_model().classify([text.encode()])
    assert told == [MEMBERS.get(best, best)]
    assert probability[0] == pytest.approx(math.exp(weights[best]) / total, abs=0.01)
