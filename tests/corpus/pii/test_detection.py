from __future__ import annotations

import gzip
import itertools
import json
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.pii.detection import KINDS, SUSPICIOUS, find_pii, redact

REGIONS = ("US", "GB")

FOUND = [
    ("Write to jane.doe+x@mail.example.com.", "jane.doe+x@mail.example.com", "email"),
    ("<müller@bücher.example>", "müller@bücher.example", "email"),
    ("call (212) 555-0123 now", "(212) 555-0123", "phone"),
    ("212-555-0123", "212-555-0123", "phone"),
    ("+44 20 7946 0018 or later", "+44 20 7946 0018", "phone"),
    ("Tel. 020 7946 0018", "020 7946 0018", "phone"),
    ("+1-202-555-0123x45.", "+1-202-555-0123x45", "phone"),
    ("on 415.555.0198, 2024", "415.555.0198", "phone"),
    ("card 4111 1111 1111 1111.", "4111 1111 1111 1111", "card"),
    ("4111111111111111", "4111111111111111", "card"),
    ("IBAN NL91 ABNA 0417 1643 00 please", "NL91 ABNA 0417 1643 00", "iban"),
    ("to gb82west12345698765432,", "gb82west12345698765432", "iban"),
    ("from 93.184.216.34:80", "93.184.216.34", "ip"),
    ("[2a02:26f0:1700:18a::2add]", "2a02:26f0:1700:18a::2add", "ip"),
    ("SSN 219-09-9998", "219-09-9998", "ssn"),
    ("social security 219 09 9998", "219 09 9998", "ssn"),
    ("NINO AB 12 34 56 C", "AB 12 34 56 C", "national_id"),
    ("DNI 12345678-Z", "12345678-Z", "national_id"),
    ("2 55 08 14 168 025 38", "2 55 08 14 168 025 38", "national_id"),
    ("Steuer-ID: 86 095 742 719", "86 095 742 719", "national_id"),
    ("RSSMRA85T10A562S", "RSSMRA85T10A562S", "national_id"),
    ("BSN 111222333", "111222333", "national_id"),
    ("PESEL 44051401359", "44051401359", "national_id"),
]

DECOYS = [
    "meet us @ noon, @home and user@localhost",
    "icon@2x.png",
    "on 2024-05-17, 17.05.2024 and 5/17/2024",
    "from 1914-1918 to 1939-1945",
    "4111 1111 1111 1112",
    "tracking 9400110200881234567890",
    "NL92 ABNA 0417 1643 00",
    "version 1.2.3.4 and section 4.3.2.1",
    "256.1.1.1 and 1.2.3.4.5 and 127.0.0.1",
    "at 12:30:45 std::vector a::b",
    "000-12-3456 666-12-3456 900-12-3456",
    "111222333 44051401359 86095742719",
    "pi is 3.14159265358979",
    "$1,234,567.89 and 1 234 567 people",
    "ISBN 978-3-16-148410-0",
    "12345678A",
]


@pytest.mark.parametrize(("text", "secret", "kind"), FOUND)
def test_found_where_it_stands(text: str, secret: str, kind: str) -> None:
    spans = find_pii(text, KINDS, REGIONS)
    assert [(text[s.start : s.end], s.kind) for s in spans] == [(secret, kind)]
    assert redact(text, spans) == text.replace(secret, f"<{kind.upper()}>")


@pytest.mark.parametrize("text", DECOYS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert find_pii(text, KINDS, REGIONS) == []


def test_the_prefilter_passes_all_that_is_found() -> None:
    texts = [text for text, _, _ in FOUND]
    assert pl.Series(texts).str.contains(SUSPICIOUS).all()


def test_only_the_kinds_asked_for() -> None:
    text = "a@b.example and 212-555-0123"
    assert [s.kind for s in find_pii(text, ["phone"], REGIONS)] == ["phone"]


@given(st.lists(st.sampled_from([*(secret for _, secret, _ in FOUND), "x", ", ", " ", "12", "+"])))
def test_spans_are_ordered_and_apart(pieces: list[str]) -> None:
    text = "".join(pieces)
    spans = find_pii(text, KINDS, REGIONS)
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
    assert len(redact(text, spans)) == len(text) - sum(s.end - s.start for s in spans) + sum(
        len(s.kind) + 2 for s in spans
    )


@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "a@", "a@a.", "x@y.z ", "1", "1 ", "12-", "(1", "+1 ", "0 ", "1.", ":", "f:", "(",
     "ab12 ", "DE12 ", "212-555-", "+49 30 123456 ", "tel 0", "AB 12 34 56 ", "+a", "4111 ", "-"],
)  # fmt: skip
def test_hostile_text_costs_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    find_pii(text, KINDS, REGIONS)
    pl.Series([text]).str.contains(SUSPICIOUS)
    assert time.process_time() - started < 3


def test_recall_and_precision_on_synthetic_sentences(real_data: Path) -> None:
    names = {
        "CREDIT_CARD": "card",
        "EMAIL_ADDRESS": "email",
        "IBAN_CODE": "iban",
        "IP_ADDRESS": "ip",
        "PHONE_NUMBER": "phone",
        "US_SSN": "ssn",
    }
    regions = ("US", "GB", "DE", "FR", "ES", "IT", "AU", "SE", "FI", "CZ", "HU")
    truth: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with gzip.open(real_data / "pii/presidio_synth_v2.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        expected = [
            (names[s["entity_type"]], s["start_position"], s["end_position"])
            for s in row["spans"]
            if s["entity_type"] in names
        ]
        spans = find_pii(row["full_text"], KINDS, regions)
        for kind, start, end in expected:
            truth[kind] += 1
            hit[kind] += any(s.kind == kind and s.start < end and s.end > start for s in spans)
        for span in spans:
            found[span.kind] += 1
            right[span.kind] += any(
                kind == span.kind and span.start < end and span.end > start
                for kind, start, end in expected
            )
    for kind in truth:
        assert right[kind] >= 0.95 * found[kind], kind
        # Many of the telephone numbers there are of no numbering plan.
        assert hit[kind] >= (0.75 if kind == "phone" else 0.98) * truth[kind], kind
