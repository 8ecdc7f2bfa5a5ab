from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.cli.talk import _check_text, _precision, _until
from llamakit.errors import InputError, UsageError


def test_a_prompt_in_another_encoding_is_refused() -> None:
    _check_text("café")
    with pytest.raises(InputError, match=r"not UTF-8: caf\\udce9"):
        _check_text(b"caf\xe9".decode(errors="surrogateescape"))


@pytest.mark.parametrize(
    ("stops", "wanted"),
    [(None, "one, two, three"), ([", th", ", t"], "one"), (["x", "thr"], "one, two, ")],
)
def test_a_text_ends_before_the_first_stop_string(stops: list[str] | None, wanted: str) -> None:
    assert _until("one, two, three", stops) == wanted


def test_weights_are_held_as_they_are_stored_unless_told(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    assert _precision(None, tmp_path) == "fp32"  # `load_model` says what is missing
    for text, wanted in (
        ('{"torch_dtype": "bfloat16"}', "bf16"),
        ('{"dtype": "bfloat16"}', "bf16"),
        ('{"torch_dtype": "float16"}', "fp32"),
        ("[]", "fp32"),
        ("{", "fp32"),
    ):
        config.write_text(text)
        assert _precision(None, tmp_path) == wanted
        assert _precision("bf16", tmp_path) == "bf16"
        assert _precision("fp32", tmp_path) == "fp32"
    with pytest.raises(UsageError, match="fp32 or bf16"):
        _precision("int8", tmp_path)
