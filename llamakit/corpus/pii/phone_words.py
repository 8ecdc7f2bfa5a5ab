"""What the words before a number say of it, in some thirty languages."""

from __future__ import annotations

import re
from functools import cached_property

from llamakit.corpus.pii.context import names_other_number

_NEAR = 48
_WORDS = {
    "tel", "tels", "telefax", "phone", "phones", "telephone", "fon", "fone", "call", "calls",
    "calling", "caller", "mobile", "mobil", "cell", "cellular", "fax", "whatsapp", "dial",
    "dialing", "dialling", "ring", "pager", "handy", "móvil", "movil", "celular", "portable",
    "rufen", "appeler", "appelez", "ligue", "ligar", "liga", "тел", "hotline", "helpline", "sms",
    "voice", "voicemail", "landline", "extension", "switchboard", "signal", "telegram", "gsm",
    "tlf", "puh", "tél", "telp", "telepon", "mobitel", "matkapuhelin", "soita", "τηλ", "моб",
    "cep", "bel", "gọi", "sđt", "hubungi",
}  # fmt: skip
_STEMS = (
    "reach", "contact", "answer", "registered", "text", "messag", "subscri", "telefo", "teléfo",
    "téléph", "teleph", "phonen", "mobiln", "handyn", "rufnum", "llam", "llám", "chiam", "puhelin",
    "telefón", "телефон", "mobiel", "mobilt", "kontakt", "contat", "cellul", "telem", "τηλέφ",
    "τηλεφ", "κινητ", "tālru", "звон", "дзвон", "aray", "zadzwo", "volej", "sunați", "hívja",
    "joignable", "erreichba", "обади",
)  # fmt: skip
# Found anywhere before the number: scripts that join words, or split them at vowel signs.
_SIGNS = (
    "☎", "📞", "📱", "電話", "电话", "手机", "手機", "携帯", "联系", "聯絡", "拨打", "撥打", "致电",
    "전화", "연락처", "휴대폰", "핸드폰", "โทร", "טלפון", "נייד", "هاتف", "جوال", "اتصل", "تلفن",
    "موبایل", "فون", "फ़ोन", "फोन", "मोबाइल", "điện thoại", "di động", "whats app", "whats-app",
)  # fmt: skip
_LABEL = re.compile(
    r"(?<!\w)(?:(?:ph|mob|cel|kom|hp|[tmfhwpo])[.:]{1,2}|(?:my|our|your|her|his) number(?: is)?:?)"
    r"\s{0,2}\Z",
    re.IGNORECASE,
)
# What llamakit writes in the place of a find says nothing of the numbers after it.
_PLACEHOLDER = re.compile(r"<[A-Z_]{2,16}(?:_[0-9a-f]{4,16})?>")
LONGEST_PLACEHOLDER = 36
_ANOTHER = re.compile(
    r"(<PHONE(?:_[0-9a-f]{4,16})?>)?\s{0,3}(?:[/&]|or|and|und|oder|et|ou|y|o|e|или|и|或)\s{0,3}\Z"
)
_WORD = re.compile(r"[^\W\d_]+")


class Before:
    """What the words before a number say of it, found out when first asked."""

    def __init__(self, text: str, begin: int, another: int = 0) -> None:
        self._text, self._begin, self._another = text, begin, another

    @cached_property
    def said(self) -> bool:
        """Whether a word not far before, or a number right before, says that a telephone number
        follows."""
        low = max(0, self._begin - _NEAR - LONGEST_PLACEHOLDER)
        window = self._text[low : self._begin]
        more = _ANOTHER.search(window.lower().replace("<phone", "<PHONE"))
        if more and (more[1] or 0 < self._another == self._begin - len(more[0])):
            return True
        window = _PLACEHOLDER.sub(" ", window)[-_NEAR:].lower()
        words = _WORD.findall(window)
        if words and low and window[0].isalpha():
            del words[0]  # its beginning may be cut off
        if any(word in _WORDS or word.startswith(_STEMS) for word in words):
            return True
        return any(sign in window for sign in _SIGNS) or _LABEL.search(window) is not None

    @cached_property
    def other(self) -> bool:
        """Whether the words right before call it an order, a price, a serial number …"""
        return names_other_number(self._text, self._begin)


SAID = Before("tel ", 4)
