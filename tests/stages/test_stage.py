from __future__ import annotations

import dataclasses

import pytest
from letters import Joined, Letters

from llamakit.errors import UsageError
from llamakit.stages.fields import fields_of, help_of
from llamakit.stages.registry import RECIPE, load_stage
from llamakit.stages.stage import Stage


@pytest.mark.parametrize("command", RECIPE)
def test_every_field_has_a_role_and_a_help_text(command: str) -> None:
    stage = load_stage(command)
    texts = help_of(stage)
    for key in fields_of(stage):
        assert texts.get(key, "").endswith("."), f"{command}.{key} wants a documented sentence"


@pytest.mark.parametrize("command", RECIPE)
def test_every_stage_says_what_it_is(command: str) -> None:
    stage = load_stage(command)
    assert stage.__doc__
    assert stage.command() == command
    assert stage.panel in {"Corpus", "Tokenizer", "Training", "Alignment", "Evaluation"}
    assert stage.revision >= 1
    assert len(fields_of(stage)) <= 40


def test_fields_know_their_roles() -> None:
    fields = fields_of(Joined)
    assert fields["first"].required
    assert fields["first"].role.kinds == ("raw",)
    assert fields["others"].many
    assert not fields["others"].required
    assert fields["missing"].role.kinds == ("documents",)
    assert fields_of(Letters)["workers"].role.name == "execution"


def test_a_field_without_role_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Bare(Stage):
        """No role."""

        size: int = 1

    with pytest.raises(TypeError, match=r"Bare\.size"):
        fields_of(Bare)


def test_wrong_values_name_the_key() -> None:
    with pytest.raises(UsageError, match=r"times = 0: input should be greater"):
        Letters(times=0)
    with pytest.raises(UsageError, match="letter = 7"):
        Letters(letter=7)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="shape"):
        Letters(shape="circle")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="times = True"):
        Letters(times=True)
    with pytest.raises(UsageError, match=r"times = 9223372036854775808: .* less than 2\^63"):
        Letters(times=2**63)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_must_be_finite(value: float) -> None:
    with pytest.raises(UsageError, match=r"weights.*finite"):
        Letters(weights={"x": value})
    with pytest.raises(UsageError, match=r"max_broken = .*finite"):
        load_stage("ingest").from_config({"files": ["x"], "as": "documents", "max_broken": value})


@pytest.mark.parametrize("command", RECIPE)
def test_a_negative_seed_is_refused(command: str) -> None:
    stage = load_stage(command)
    given = {key: "x" for key, item in fields_of(stage).items() if item.required and item.is_input}
    if "seed" not in fields_of(stage):
        pytest.skip("it draws nothing")
    with pytest.raises(UsageError, match="seed = -1"):
        stage.from_config({**given, "seed": -1})


def test_a_whole_float_counts_as_a_number() -> None:
    assert Letters(times=4e0).times == 4  # type: ignore[arg-type]


def test_a_text_must_be_one_that_a_file_can_hold() -> None:
    with pytest.raises(UsageError, match=r"letter = '\\udcff': input should be UTF-8"):
        Letters(letter="\udcff")
    with pytest.raises(UsageError, match=r"weights.*UTF-8"):
        Letters(weights={"\udcff": 1.0})


def test_unknown_and_missing_keys_teach() -> None:
    with pytest.raises(UsageError, match="Did you mean 'letter'"):
        Letters.from_config({"leter": "b"})
    with pytest.raises(UsageError, match="'first' must be given"):
        Joined.from_config({})


def test_unknown_stage_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'dedup'"):
        load_stage("dedupe")


def test_help_is_the_text_below_a_field() -> None:
    assert help_of(Letters)["times"] == "How often."
