"""Person names, guessed: lists of names, titles and phrases that introduce somebody."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llamakit.corpus.pii.gazetteer import also_words, family_names, first_names

CAPITALISED = (
    r"\p{Lu}[\p{L}'’\-]*\.?(?:[ \t]{1,2}(?:(?:van|von|de|der|den|da|di|del|dos|la|le|bin|al"
    r"|el|ten)[ \t]){0,2}"
    r"\p{Lu}[\p{L}'’\-]*\.?){0,5}"
)
"""The trigger: a run of capitalised words (Rust regex)."""

_WORD = re.compile(r"[^\W\d_][\w'’\-]*\.?")
_TITLES = {
    "mr", "mrs", "ms", "miss", "dr", "prof", "sir", "herr", "frau", "mme", "mlle", "sr", "sra",
    "sig", "don", "doña",
}  # fmt: skip
_INTRODUCED = re.compile(
    r"(?:(?:names?(?: is|'s)?|named|call me|i am|i'm|this is|dear|hi|hello|hey|m(?:r|rs|s|iss)|dr"
    r"|regards|sincerely|cheers|thanks|author|signed|attn|says|said|unlike)[,:.]?)\s{1,3}\Z",
    re.IGNORECASE,
)
_MOST_WORDS = 4


def find_people(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The names in a run of capitalised words."""
    first, family, ambiguous = first_names(), family_names(), also_words()
    words = [match.span() for match in _WORD.finditer(text, start, end)]
    names = [text[a:b].rstrip(".").lower() for a, b in words]
    at = 0
    while at < len(words):
        name = _owner(names[at])
        titled = name in _TITLES
        begin = at + titled
        if begin >= len(words):
            return
        before = words[begin][0]
        introduced = titled or bool(_INTRODUCED.search(text, max(0, before - 24), before))
        known = name in first or (name in family and name not in ambiguous)
        if not (introduced or known) or _owner(names[begin]) in _NO_NAMES:
            at += 1
            continue
        last = begin
        while last + 1 < len(words) and last - begin + 1 < _MOST_WORDS:
            following = _owner(names[last + 1])
            listed = following in first or following in family
            if not (len(following) == 1 or listed or _may_be_family(text, *words[last + 1])):
                break
            last += 1
        if last > begin or introduced or name in first:
            finish = words[last][1]
            if text[finish - 1] == "." and finish - words[last][0] > 2:
                finish -= 1
            piece = text[before:finish]
            yield before, before + len(re.sub(r"['’]s\Z", "", piece))
        at = last + 1


def _owner(word: str) -> str:
    return word.removesuffix("'s").removesuffix("’s")


def _may_be_family(text: str, start: int, end: int) -> bool:
    """Whether a word after a first name may be a family name that no list has."""
    return text[start].isupper() and end - start > 3 and text[end - 1].isalpha()


_NO_NAMES = {
    "the", "a", "an", "i", "it", "we", "you", "he", "she", "they", "my", "your", "his", "her",
    "our", "this", "that", "what", "who", "how", "when", "where", "why", "is", "are", "was",
    "were", "not", "no", "yes", "if", "in", "on", "at", "of", "for", "from", "to", "and", "or",
    "but", "so", "as", "by", "with", "there", "here",
}  # fmt: skip
