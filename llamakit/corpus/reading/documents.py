"""A row of any text data set becomes a document."""

from __future__ import annotations

import json
from typing import Any

from llamakit.corpus.reading import fields as usual
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.unusable import UnusableRowError, as_label, as_record, as_text, pick


def to_document(value: Any, names: FieldNames) -> dict[str, Any]:
    """The document in a row: `id` and `source` are None when the row has none.

    Fields that documents have no column for are kept in `metadata`, a JSON object as text.

    Raises:
        UnusableRowError: no text, empty text, or a value of a wrong type.
    """
    record = {"text": value} if isinstance(value, str) else as_record(value)
    text = as_text(pick(record, names.text, usual.TEXT, "text"), "text")
    if not text.strip():
        raise UnusableRowError("empty_text", broken=False)
    metadata = _metadata(record.get("metadata"))
    url = pick(record, names.url, usual.URL, "url")
    language = pick(record, names.language, usual.LANGUAGE, "language")
    document = {
        "id": as_label(pick(record, names.id, usual.ID, "id"), "id"),
        "text": text,
        "source": as_label(pick(record, names.source, usual.SOURCE, "source"), "source"),
        "url": as_label(url if url is not None else metadata.get("url"), "url"),
        "language": as_label(language, "language"),
    }
    used = {
        _key(record, names.text, usual.TEXT),
        _key(record, names.id, usual.ID),
        _key(record, names.source, usual.SOURCE),
        _key(record, names.url, usual.URL),
        _key(record, names.language, usual.LANGUAGE),
        "metadata",
    }
    extra = {k: v for k, v in record.items() if k not in used and v is not None}
    document["metadata"] = metadata_text({**metadata, **extra})
    return document


def metadata_text(metadata: dict[str, Any]) -> str:
    """A JSON object as text, keys sorted so that equal metadata are equal bytes."""
    if not metadata:
        return "{}"
    text = json.dumps(metadata, ensure_ascii=False, sort_keys=True, default=str)
    return as_text(text, "metadata")


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {"metadata": value}
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return {} if value is None else {"metadata": value}


def _key(record: dict[str, Any], field: str | None, names: tuple[str, ...]) -> str | None:
    if field is not None:
        return field
    return next((key for key in names if record.get(key) is not None), None)
