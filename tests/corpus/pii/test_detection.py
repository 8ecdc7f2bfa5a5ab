from __future__ import annotations

import gzip
import itertools
import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamakit.corpus.pii.detection import find_all, find_pii
from llamakit.corpus.pii.numbering import known_regions
from llamakit.corpus.pii.spans import STRUCTURED_KINDS as KINDS
from llamakit.corpus.pii.spans import placeholder, replaced

REGIONS = known_regions()

FOUND = [
    ("write to mary.o'neil@example.org now", "mary.o'neil@example.org", "email"),
    ("mail='bob@example.org' and no more", "bob@example.org", "email"),
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
    # Whoever is older than a hundred has a plus.
    ("personnummer 880320+0016", "880320+0016", "national_id"),
    ("hetu 131052+308T.", "131052+308T", "national_id"),
    (
        "mail jane [at] host [dot] example [dot] com",
        "jane [at] host [dot] example [dot] com",
        "email",
    ),
    ("jane at host dot com, please", "jane at host dot com", "email"),
    ("<a href=mailto:jo@x.org>", "jo@x.org", "email"),
    ("tel 030 901820", "030 901820", "phone"),
    ("Rufen Sie 089/1234567 an", "089/1234567", "phone"),
    ("appelez le 01 42 68 53 00", "01 42 68 53 00", "phone"),
    ("they were not answering at 60-56-85-91", "60-56-85-91", "phone"),
    ("21 253 109 8211-Office", "21 253 109 8211", "phone"),
    ("001-345-899-3560x4587", "001-345-899-3560x4587", "phone"),
    ("+46 (0)8 928 571 38", "+46 (0)8 928 571 38", "phone"),
    ("on 2024-05-17 212-555-0123", "212-555-0123", "phone"),
    ("3782 822463 10005 exp 12/26", "3782 822463 10005", "card"),
    ("4111 1111 1111 1111 12/26 123", "4111 1111 1111 1111", "card"),
    ("debit 4222222222222", "4222222222222", "card"),
    ("fe80::1ff:fe23:4567:890a%eth0", "fe80::1ff:fe23:4567:890a%eth0", "ip"),
    ("::ffff:93.184.216.34", "::ffff:93.184.216.34", "ip"),
    ("2606:4700::1111", "2606:4700::1111", "ip"),
    ("from 93.184.216.0/24", "93.184.216.0", "ip"),
    ("131052-308T", "131052-308T", "national_id"),
    ("CPF 390.533.447-05", "390.533.447-05", "national_id"),
    ("aadhaar 2341 2341 2346", "2341 2341 2346", "national_id"),
    ("ABCPE1234F", "ABCPE1234F", "national_id"),
    ("身份证 11010519491231002X", "11010519491231002X", "national_id"),
    ("NHS number: 943 476 5919", "943 476 5919", "national_id"),
    ("social insurance number 046 454 286", "046 454 286", "national_id"),
    ("ITIN 912-70-1234", "912-70-1234", "national_id"),
    ("85.07.30-033.28", "85.07.30-033.28", "national_id"),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "crypto"),
    (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "crypto",
    ),
    (
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "crypto",
    ),
    ("rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "crypto"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE", "credential"),
    ("ghp_" + "a1B2c3D4e5F6" * 3, "ghp_" + "a1B2c3D4e5F6" * 3, "credential"),
    ("https://joe:s3cr3t@db.example/x", "joe:s3cr3t", "credential"),
    ("password = 'hunter22!'", "hunter22!", "credential"),
    ('"api_key": "9f8e7d6c5b4a"', "9f8e7d6c5b4a", "credential"),
    ("db_password: Tr0ub4dor&3", "Tr0ub4dor&3", "credential"),
    ("my password is Tr0ub4dor.", "Tr0ub4dor", "credential"),
    ("Authorization: Bearer abc123def456", "abc123def456", "credential"),
    ("Talk (703-719-6406, Ann)", "703-719-6406", "phone"),
    ("or (+48 698 728 536)", "+48 698 728 536", "phone"),
    ("電話番号は080-4913-0642です", "080-4913-0642", "phone"),
    ("טלפון: 02-9514-255", "02-9514-255", "phone"),
    ("फ़ोन: 09715174700", "09715174700", "phone"),
    ("Τηλ. 6931 105346", "6931 105346", "phone"),
    ("Mob.: 04263633446", "04263633446", "phone"),
    ("My number: 606 751 990", "606 751 990", "phone"),
    ("in the file 0043526179653014", "0043526179653014", "phone"),
    ("henkilötunnus 120225A605A", "120225A605A", "national_id"),
    ("personas kods 080216-23458", "080216-23458", "national_id"),
    ("személyi szám: 27801166537", "27801166537", "national_id"),
    ("주민번호 790425-2170860", "790425-2170860", "national_id"),
    ("身份證 B283934047", "B283934047", "national_id"),
    ("IR060334725938496135384629", "IR060334725938496135384629", "iban"),
    ("HF_TOKEN=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",
     "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", "credential"),
    ("https://hooks.slack.com/services/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",
     "hooks.slack.com/services/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", "credential"),
    ("Mobiel: 05/ 052 00 02", "05/ 052 00 02", "phone"),
    ("Passwort: eKhDzw1yM", "eKhDzw1yM", "credential"),
    ("mot de passe\u00a0: UW8SXZvSV", "UW8SXZvSV", "credential"),
]  # fmt: skip

# Told by their groups alone: only where no other figures stand near.
BY_GROUPS = [
    ("She left 35 70 86 92 on the pad", "35 70 86 92", "phone"),
    ("Smith\t943 57 87 20\tParis", "943 57 87 20", "phone"),
    ("Jane Doe, 606-084-293, Springfield", "606-084-293", "phone"),
    ("(158 2617 5513)", "158 2617 5513", "phone"),
    ("- 300 3815688", "300 3815688", "phone"),
    ("note 861 448 5234 ext. 3114", "861 448 5234 ext. 3114", "phone"),
]

DECOYS = [
    "606 084 293 people and 69 406 617 more",
    "12 35 70 86 92 and\n20 35 70 86 92 21",
    "row 7: 35 70 86 92",
    "35 70 86 92\n35 70 86 93\n35 70 86 94",
    "1-800-388-PLUS",
    "order 943 57 87 20",
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
    "order number 0123 456 7890 and invoice 212-555-0123",
    "ISBN (hardcover) 0-8018-2494-1",
    "lat 52.520008, 13.404954 and 40.7128 -74.0060",
    "epoch 1716000000 and 1716000000123",
    "00:1b:44:11:3a:b7 and 00:11:22:33:44:55:66:77",
    "Cambridge, MA 02139-4307",
    "password: required, token: str, secret = None",
    "password = getpass.getpass()",
    "postgres://user:password@host/db",
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "at the house dot on the map",
    "git@github.com:o/r.git",
    "ISO 646 (1967)",
    "9.0.0 - 2023-09-26",
    "Windows 10.0.19041.1 and Chrome/91.0.44.12",
    "In article <1993Apr5.02@host.example>",
    "RFC sections 3.4.9.7 and 4.1, rv:1.9.1.20",
    "like Gecko) CriOS/60.0.819.0 Mobile/27X774 and Safari/6534.23.6",
    "ISBN: 0-8306-8360-7 0-8306-3360-X and 0-01-955672-1",
    "example.com/x/status/590114523570771307",
    "chr20:53897277-25420044",
    "(dabc952f-0591-4402-4217-a92e775d2e13)",
    "usuario=^USER^&contraseña=^PASS^",
]


@pytest.mark.parametrize(("text", "secret", "kind"), [*FOUND, *BY_GROUPS])
def test_found_where_it_stands(text: str, secret: str, kind: str) -> None:
    spans = find_pii(text, KINDS, REGIONS)
    assert [(text[s.start : s.end], s.kind) for s in spans] == [(secret, kind)]
    assert replaced(text, spans, placeholder) == text.replace(secret, f"<{kind.upper()}>")


@pytest.mark.parametrize("text", DECOYS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert find_pii(text, KINDS, REGIONS) == []


def test_a_number_after_a_number() -> None:
    text = "Durham, NC (919) 660-5111 or 660-5100 and 660-5101, not 660-5102"
    spans = find_pii(text, KINDS, REGIONS)
    numbers = ["(919) 660-5111", "660-5100", "660-5101"]
    assert [text[s.start : s.end] for s in spans] == numbers
    others = find_pii("it was (1) or 660-5100", KINDS, REGIONS)
    assert others == []


@pytest.mark.parametrize(
    "text",
    [
        "(919) 660-5111 or 660-5100 and 660-5101",
        "Kan,gagne  0.042  555 0100  212-555-0123  0.095  0.095 0.095",
        "Message-Id: <9304201120.AA03219@host.example>, 30 901820",
        "fax 212-555-0123 12 345 67 89 10 2000 3000",
        "key 12345678 name 7654321, call 020 7946 0018, then 7654321 pieces of 1234567",
        "35 70 86 92, mail a@b.example or 35 70 86 92",
        "35 70 86 92 or 93.184.216.34",
        *(text for text, _, _ in [*FOUND, *BY_GROUPS]),
        *DECOYS,
    ],
)
def test_cleaned_text_is_clean(text: str) -> None:
    """What stands in a find's place neither makes nor hides another find."""
    cleaned = replaced(text, find_pii(text, KINDS, REGIONS), placeholder)
    assert find_pii(cleaned, KINDS, REGIONS) == []


def test_texts_are_told_apart() -> None:
    texts = [text for text, _, _ in FOUND]
    alone = {i: find_pii(text, KINDS, REGIONS) for i, text in enumerate(texts)}
    found = find_all(pl.Series(texts), KINDS, REGIONS)
    assert found == {i: spans for i, spans in alone.items() if spans}


@pytest.mark.parametrize(("text", "secret", "kind"), FOUND)
def test_nothing_depends_on_where_in_a_long_text_it_stands(
    text: str, secret: str, kind: str
) -> None:
    # The same digits in other company come first: a hit must be told from what only contains it.
    filler = f"x{secret}x 1{secret} é😀 "
    spans = find_pii(f"{filler}\n\n{text}\n\n{text}", [kind], REGIONS)
    assert [s.start for s in spans[-2:]] == [
        len(filler) + 2 + text.index(secret),
        len(filler) + 4 + len(text) + text.index(secret),
    ]


def test_only_the_kinds_asked_for() -> None:
    text = "a@b.example and 212-555-0123"
    assert [s.kind for s in find_pii(text, ["phone"], REGIONS)] == ["phone"]


@given(st.lists(st.sampled_from([*(secret for _, secret, _ in FOUND), "x", ", ", " ", "12", "+"])))
def test_spans_are_ordered_and_apart(pieces: list[str]) -> None:
    text = "".join(pieces)
    spans = find_pii(text, KINDS, REGIONS)
    assert all(one.end <= other.start for one, other in itertools.pairwise(spans))
    assert len(replaced(text, spans, placeholder)) == len(text) - sum(
        s.end - s.start for s in spans
    ) + sum(len(s.kind) + 2 for s in spans)


def test_recall_and_precision_on_synthetic_sentences(real_data: Path) -> None:
    names = {
        "CREDIT_CARD": "card",
        "EMAIL_ADDRESS": "email",
        "IBAN_CODE": "iban",
        "IP_ADDRESS": "ip",
        "PHONE_NUMBER": "phone",
        "US_SSN": "ssn",
    }
    truth: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    found: Counter[str] = Counter()
    right: Counter[str] = Counter()
    with gzip.open(real_data / "pii/presidio_synth_v2.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    found_in = find_all(pl.Series([row["full_text"] for row in rows]), KINDS, REGIONS)
    for index, row in enumerate(rows):
        expected = [
            (names[s["entity_type"]], s["start_position"], s["end_position"])
            for s in row["spans"]
            if s["entity_type"] in names
        ]
        spans = found_in.get(index, [])
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
        assert right[kind] >= 0.97 * found[kind], kind
        assert hit[kind] >= 0.95 * truth[kind], kind
