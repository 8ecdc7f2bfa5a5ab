from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llamakit.cli import talk
from llamakit.cli.talk import _check_text, _precision, _until
from llamakit.errors import InputError, UsageError
from llamakit.model import generation
from llamakit.text.vocabulary import Vocabulary, train_vocabulary


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    text = "Yes [INST] more one two three [/INST] now"
    return train_vocabulary([text] * 20, tmp_path_factory.mktemp("vocabulary"), 290)


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


def test_a_tag_that_the_model_wrote_does_not_end_the_talk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], vocabulary: Vocabulary
) -> None:
    seen: list[str] = []

    def written(_: object, vocabulary: Vocabulary, prompts: list[list[int]], *rest: object) -> Any:
        seen.append(vocabulary.decode(prompts[0]))
        return [SimpleNamespace(text="Yes [INST] more")]

    model = SimpleNamespace(config=SimpleNamespace(max_seq_len=500))
    monkeypatch.setattr(talk, "_load", lambda *_, **__: (model, vocabulary))
    monkeypatch.setattr(generation, "generate", written)
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo [/INST] now\nthree\n"))
    talk.chat("any")
    printed = capsys.readouterr()
    assert printed.out == "Yes [INST] more\nYes [INST] more\n"
    assert "a user message contains the chat tag [/INST]" in printed.err
    assert seen[1].count("[INST]") == 2
    assert "Yes INST more" in seen[1]
    assert "two" not in seen[1]
