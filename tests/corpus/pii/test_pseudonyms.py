from __future__ import annotations

import re

from llamakit.corpus.pii.keys import key_digest
from llamakit.corpus.pii.pseudonyms import bare, masked, writer
from llamakit.corpus.pii.spans import Span, replaced

KEY = b"sixteen bytes or more"


def written(
    text: str, *found: tuple[str, str], document: str = "d", style: str = "pseudonym"
) -> str:
    spans, at = [], 0
    for value, kind in found:
        start = text.index(value, at)
        at = start + len(value)
        spans.append(Span(start, at, kind))
    return replaced(text, spans, writer(style, KEY, document, text))  # type: ignore[arg-type]


def test_the_same_number_in_two_ways_of_writing_is_one() -> None:
    text = "call +1 (212) 555-0123 or 212.555.0123"
    out = written(text, ("+1 (212) 555-0123", "phone"), ("212.555.0123", "phone"))
    one, two = re.findall(r"<PHONE_\w+>", out)
    assert one == two
    assert bare("email", "Jo [at] host [dot] org") == bare("email", "jo@HOST.org")
    assert bare("ip", "2001:DB8:0::1") == bare("ip", "2001:db8::1")
    assert bare("iban", "gb82 west 1234") == bare("iban", "GB82WEST1234")


def test_a_person_stays_the_same_person() -> None:
    text = "Dr. Jane Doe met John Roe. Doe left. Mr. Roe and Jane stayed, Smith came."
    out = written(
        text, *((name, "person") for name in ("Dr. Jane Doe", "John Roe", "Doe", "Mr. Roe")),
        *((name, "person") for name in ("Jane", "Smith")),
    )  # fmt: skip
    doctor, john, doe, roe, jane, smith = re.findall(r"<PERSON_\w+>", out)
    assert doctor == doe == jane
    assert john == roe
    assert len({doctor, john, smith}) == 3


def test_documents_are_not_linked_unless_asked() -> None:
    found = ("a@b.example", "email")
    texts = [written("a@b.example", found, document=name) for name in ("x", "y")]
    assert texts[0] != texts[1]
    linked = [written("a@b.example", found, document=n, style="linked") for n in ("x", "y")]
    assert linked[0] == linked[1]


def test_no_two_values_share_a_pseudonym() -> None:
    # 2,000 values in 65,536 places: about thirty would meet.
    names = [f"user{n}@b.example" for n in range(2_000)]
    out = written(" ".join(names), *((name, "email") for name in names))
    assert len(set(out.split())) == 2_000
    assert written(" ".join(names), *((name, "email") for name in names)) == out


def test_a_mask_keeps_the_shape_alone() -> None:
    assert masked("Jo.9@b-c.org") == "xx.9@x-x.xxx"
    assert len(masked("1" * 500)) == 41


def test_digests_tell_keys_apart() -> None:
    assert key_digest(KEY) == key_digest(KEY)
    assert key_digest(KEY) != key_digest(KEY + b"!")
    assert re.fullmatch("[0-9a-f]{16}", key_digest(KEY))
