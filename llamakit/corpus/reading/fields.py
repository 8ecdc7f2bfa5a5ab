"""The names under which data sets keep what a row needs; a named field overrides the usual ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldNames:
    """Fields named by the user; None looks under the usual names."""

    text: str | None = None
    id: str | None = None
    source: str | None = None
    url: str | None = None
    language: str | None = None
    messages: str | None = None
    prompt: str | None = None
    response: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    grade: str | None = None
    safety: str | None = None


TEXT = ("text", "content", "full_text", "raw_content", "body", "document", "article")
ID = ("id", "_id", "doc_id", "uuid")
SOURCE = ("source", "dataset")
URL = ("url", "uri", "WARC-Target-URI", "warc_target_uri")
LANGUAGE = ("language", "lang")
MESSAGES = ("messages", "conversations", "conversation", "dialogue", "dialog")
PROMPT = ("prompt", "instruction", "question", "query")
CONTEXT = ("input", "context")
RESPONSE = ("response", "output", "answer", "completion")
CHOSEN = ("chosen", "preferred")
REJECTED = ("rejected", "dispreferred")
GRADE = ("grade", "degree")
