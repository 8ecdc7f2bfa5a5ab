"""A text made to be slow costs what its length costs: growth is compared, no time is demanded."""

from __future__ import annotations

import time

import pytest

from llamakit.corpus.pii.detection import find_pii
from llamakit.corpus.pii.numbering import known_regions
from llamakit.corpus.pii.spans import KINDS, STRUCTURED_KINDS, Span, resolved

PIECES = [
    "a", "a.", "a@", "a@a.", "x@y.z ", "@", " at a dot", "[at]", "a [at] b [dot] ", "1", "1 ",
    "12-", "(1", "+1 ", "0 ",
    "1.", ":", "f:", "(", ")", "[[]", "ab12 ", "DE12 ", "DE89 3704 ", "212-555-",
    "+49 30 123456 ", "tel 030 12", "(020) ", "AB 12 34 56 ", "+a", "4111 ", "-", "\u00a01", "eyJ",
    "eyJaaaaaaaaa.", "-eyJhhhhhhhhh.eyJ", "-----BEGIN RSA PRIVATE KEY-----\n", "://a:b@", "://",
    "password=", "password is ", "token token ", "key-0000", "AKIA", "sk-aaaaaaaa", "0x1234567890",
    "bc1q", "3AAA", "RSSMRA85T", "12345678Z ", "1.2.3.4.", "fe80::", "::1 ", "é@é.é", "😀1",
    "Authorization: Bearer ", "0000000000000000000 ", "order 1 ",
]  # fmt: skip
_SMALL, _FACTOR = 12_000, 8


def _seconds(piece: str, size: int) -> float:
    text = piece * (size // len(piece))
    started = time.process_time()
    find_pii(text, STRUCTURED_KINDS, known_regions())
    return time.process_time() - started


@pytest.mark.parametrize("piece", PIECES)
def test_eight_times_the_text_costs_no_more_than_linear_growth_allows(piece: str) -> None:
    small = min(_seconds(piece, _SMALL) for _ in range(2))
    large = _seconds(piece, _SMALL * _FACTOR)
    # Quadratic growth would be 64 times; a short run's noise is taken up by the constant.
    assert large < 3 * _FACTOR * small + 0.25


def test_spans_that_overlap_in_a_long_chain_are_settled_in_linear_time() -> None:
    def seconds(count: int) -> float:
        chain = [Span(2 * n, 2 * n + 3, KINDS[n % 2]) for n in range(count)]
        started = time.process_time()
        assert resolved(chain)
        return time.process_time() - started

    assert seconds(80_000) < 24 * min(seconds(10_000), seconds(10_000)) + 0.25
