from __future__ import annotations

from llamakit.wording import counted


def test_one_is_singular() -> None:
    assert [counted(n, "dialogue") for n in (0, 1, 1200)] == [
        "0 dialogues",
        "1 dialogue",
        "1,200 dialogues",
    ]
