"""First and family names of many countries, from the lists that Faker ships with."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import import_module

from llamakit.errors import LlamakitError

_LOCALES = (
    "en_US", "en_GB", "en_IN", "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "pt_PT", "nl_NL",
    "sv_SE", "no_NO", "da_DK", "fi_FI", "pl_PL", "cs_CZ", "sk_SK", "hu_HU", "ro_RO", "hr_HR",
    "sl_SI", "et_EE", "lv_LV", "lt_LT", "tr_TR", "id_ID", "vi_VN", "en_NG", "sw",
)  # fmt: skip
# Words that begin sentences or name months, days and places as often as they name people.
_ALSO_WORDS = {
    "york", "times", "my", "ms", "mr", "how", "what", "who", "why",
    "will", "may", "april", "june", "august",
    "summer", "autumn", "dawn", "hope", "faith", "grace", "joy", "rose", "lily", "ivy", "olive",
    "pearl", "ruby", "amber", "crystal", "star", "art", "bill", "bob", "mark", "frank", "grant",
    "chase", "hunter", "mason", "carter", "parker", "cooper", "page", "rich", "rob", "drew",
    "pat", "sue", "gene", "ray", "rusty", "sunny", "sky", "lane", "dale", "glen", "cliff",
    "rocky", "sandy", "penny", "angel", "paris", "london", "florence", "sydney", "austin",
    "dallas", "houston", "jackson", "lincoln", "washington", "georgia", "virginia", "carolina",
    "dakota", "montana", "chelsea", "brooklyn", "savannah", "madison", "jordan", "israel",
    "india", "china", "chad", "america", "asia", "san", "santa", "los", "las", "new", "old",
    "north", "south", "east", "west", "young", "long", "short", "small", "little", "king",
    "queen", "prince", "earl", "duke", "baron", "bishop", "church", "hall", "hill", "wood",
    "woods", "field", "fields", "ford", "bush", "stone", "rivers", "lake", "love", "day",
    "knight", "rice", "price", "best", "good", "goods", "bank", "banks", "street", "park",
    "green", "white", "black", "brown", "gray", "grey", "bell", "cross", "case", "wall", "mills",
    "moon", "pope", "power", "powers", "sharp", "swift", "true", "wise", "strong", "major",
    "marshall", "see", "so", "do", "an", "in", "on", "at", "he", "she", "we", "you", "they", "it",
    "the", "a", "no", "yes", "man", "van", "den", "der", "don", "data", "era", "media", "opera",
    "max",
}  # fmt: skip


@cache
def first_names() -> frozenset[str]:
    """First names in lower case, without those that are words as often."""
    return _names("first_names", "first_names_male", "first_names_female") - _ALSO_WORDS


@cache
def family_names() -> frozenset[str]:
    """Family names in lower case."""
    return _names("last_names", "last_names_male", "last_names_female")


def also_words() -> set[str]:
    """Names that are words or places as often."""
    return _ALSO_WORDS


def _names(*attributes: str) -> frozenset[str]:
    try:
        import_module("faker")
    except ImportError:
        raise LlamakitError(
            "person names are found by lists that are not installed",
            where="pii",
            fix='pip install "llamakit[pii-names]", or leave person out of the kinds.',
        ) from None
    found: set[str] = set()
    for locale in _LOCALES:
        provider = import_module(f"faker.providers.person.{locale}").Provider
        for attribute in attributes:
            found.update(_words(getattr(provider, attribute, ())))
    return frozenset(found)


def _words(names: Iterable[str]) -> Iterable[str]:
    return (name.lower() for name in names if len(name) > 1 and name.isalpha())
