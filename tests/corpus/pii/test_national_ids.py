"""Every number's check takes whatever its form lets through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamakit.corpus.pii.national_ids import LETTERED, NUMBERS, IdNumber, _bare


@pytest.mark.parametrize("number", [*NUMBERS, *LETTERED], ids=lambda number: number.country)
def test_a_check_answers_whatever_its_form_lets_through(number: IdNumber) -> None:
    forms = [form for form in (number.sure, number.told) if form is not None]

    @settings(max_examples=40, deadline=None)
    @given(st.one_of([st.from_regex(form) for form in forms]))
    def answers(text: str) -> None:
        for form in forms:
            for match in form.finditer(text):
                assert number.check is None or number.check(_bare(match[0], number.country)) in (
                    True,
                    False,
                )

    answers()
