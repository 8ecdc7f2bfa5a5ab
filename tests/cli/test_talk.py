from __future__ import annotations

import pytest

from llamakit.cli.talk import _check_text
from llamakit.errors import InputError


def test_a_prompt_in_another_encoding_is_refused() -> None:
    _check_text("café")
    with pytest.raises(InputError, match=r"not UTF-8: caf\\udce9"):
        _check_text(b"caf\xe9".decode(errors="surrogateescape"))
