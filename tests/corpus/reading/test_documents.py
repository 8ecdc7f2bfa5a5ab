from __future__ import annotations

import json

import pytest

from llamakit.corpus.reading.documents import to_document
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.unusable import UnusableRowError


def test_what_is_there_is_kept() -> None:
    row = {
        "id": 7,
        "text": "a\r\nb",
        "source": "s",
        "url": "http://x.example/1",
        "lang": "de",
        "metadata": {"z": 1, "n": None},
        "title": "T",
    }
    assert to_document(row, FieldNames()) == {
        "id": "7",
        "text": "a\r\nb",
        "source": "s",
        "url": "http://x.example/1",
        "language": "de",
        "metadata": '{"title": "T", "z": 1}',
    }


def test_named_fields_come_first() -> None:
    row = {"text": "no", "body": "yes", "key": "k"}
    document = to_document(row, FieldNames(text="body", id="key"))
    assert (document["id"], document["text"]) == ("k", "yes")
    assert json.loads(document["metadata"]) == {"text": "no"}


def test_metadata_as_text() -> None:
    assert (
        to_document({"text": "a", "metadata": '{"b": 1}'}, FieldNames())["metadata"] == '{"b": 1}'
    )
    assert to_document({"text": "a"}, FieldNames())["metadata"] == "{}"
    document = to_document({"text": "a", "metadata": {"url": "u"}}, FieldNames())
    assert document["url"] == "u"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "no_text"),
        ({"text": " \n"}, "empty_text"),
        ({"text": 3}, "text_not_text"),
        ({"text": "\ud800"}, "half_a_character"),
        ({"text": "a", "title": "\ud800"}, "half_a_character"),
        (3, "not_an_object"),
        ({"text": "a", "id": {"x": 1}}, "id_not_text"),
    ],
)
def test_what_cannot_be_used_says_why(row: object, reason: str) -> None:
    with pytest.raises(UnusableRowError) as caught:
        to_document(row, FieldNames())
    assert caught.value.reason == reason
