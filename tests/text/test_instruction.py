from __future__ import annotations

from llamakit.text.instruction import attach, detach


def test_attach_puts_the_instruction_on_a_line_before():
    assert attach("Figure: King Otto", "Where is it?") == "Figure: King Otto\nWhere is it?"


def test_detach_undoes_attach():
    assert detach(attach("Be brief.", "Where is it?")) == ("Be brief.", "Where is it?")
    assert detach("Where is it?") == ("", "Where is it?")
