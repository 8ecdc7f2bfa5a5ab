from __future__ import annotations

import pytest

from llamakit.text import proto
from llamakit.text.vocabulary import Vocabulary


def test_settings_and_pieces(vocabulary: Vocabulary) -> None:
    model = vocabulary.model_path.read_bytes()
    parts = proto.settings(model)
    trainer = parts[proto.TRAINER]
    assert isinstance(trainer, bytes)
    assert proto.settings(trainer)[proto.MODEL_KIND] == proto.BPE
    assert sum(field.number == proto.PIECES for field in proto.fields(model)) == len(vocabulary)


def test_a_field_is_taken_out(vocabulary: Vocabulary) -> None:
    model = vocabulary.model_path.read_bytes()
    less = proto.without(model, proto.TRAINER, proto.MODEL_KIND)
    trainer = proto.settings(less)[proto.TRAINER]
    assert isinstance(trainer, bytes)
    assert proto.MODEL_KIND not in proto.settings(trainer)
    assert len(less) == len(model) - 2
    assert proto.without(model, proto.TRAINER, 99) == model
    assert proto.without(model, 99, 1) == model


@pytest.mark.parametrize("broken", [b"\x0a", b"\x0a\x05abc", b"\xff" * 12, b"\x0b"])
def test_no_message(broken: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|no kind"):
        list(proto.fields(broken))
