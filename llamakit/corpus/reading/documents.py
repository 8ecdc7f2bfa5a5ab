"""A row of any text data set becomes a document."""

from __future__ import annotations

import json
import math
from typing import Any

from llamakit.corpus.reading import fields as usual
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.unusable import (
    UnusableRowError,
    as_label,
    as_record,
    as_text,
    pick_with_key,
)


def to_document(value: Any, names: FieldNames) -> dict[str, Any]:
    """The document in a row: `id` and `source` are None when the row has none.

    Fields that documents have no column for are kept in `metadata`, a JSON object as text.

    Raises:
        UnusableRowError: no text, empty text, or a value of a wrong type.
    """
    record = {"text": value} if isinstance(value, str) else as_record(value)
    text_key, found = pick_with_key(record, names.text, usual.TEXT, "text")
    text = as_text(found, "text")
    if not text or text.isspace():
        raise UnusableRowError("empty_text", broken=False)
    metadata = _metadata(record.get("metadata"))
    id_key, id_ = pick_with_key(record, names.id, usual.ID, "id")
    source_key, source = pick_with_key(record, names.source, usual.SOURCE, "source")
    url_key, url = pick_with_key(record, names.url, usual.URL, "url")
    language_key, language = pick_with_key(record, names.language, usual.LANGUAGE, "language")
    used = (text_key, id_key, source_key, url_key, language_key, "metadata")
    extra = {k: v for k, v in record.items() if v is not None and k not in used}
    return {
        "id": as_label(id_, "id"),
        "text": text,
        "source": as_label(source, "source"),
        "url": as_label(url if url is not None else metadata.get("url"), "url"),
        "language": as_label(language, "language"),
        "metadata": metadata_text({**metadata, **extra}) if metadata or extra else "{}",
    }


def metadata_text(metadata: dict[str, Any]) -> str:
    """A JSON object as text, keys sorted so that equal metadata are equal bytes.

    JSON knows no NaN and no infinity: they stand as the texts `NaN`, `Infinity` and `-Infinity`.
    """
    if not metadata:
        return "{}"
    try:
        text = _encode(metadata)
    except ValueError:
        text = _encode(_finite(metadata))
    return as_text(text, "metadata")


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str, allow_nan=False).encode


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _metadata(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {"metadata": value}
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if v is not None}
    return {} if value is None else {"metadata": value}
