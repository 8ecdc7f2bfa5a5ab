"""A row of any instruction or chat data set becomes a dialogue."""

from __future__ import annotations

from typing import Any

from llamakit.corpus.reading import fields as usual
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.messages import (
    Message,
    assistant,
    check_turns,
    is_tagged,
    parse_messages,
    parse_tagged,
    user,
)
from llamakit.corpus.reading.unusable import (
    UnusableRowError,
    as_label,
    as_record,
    as_text,
    pick,
    pick_first,
)


def to_dialogue(value: Any, names: FieldNames) -> dict[str, Any]:
    """The dialogue in a row; `id` and `source` are None when the row has none.

    Understood: `messages` (role/content), `conversations` (from/value), instruction + input +
    output with an optional `history` of pairs, prompt + response, question + answer, and a prompt
    alone, which ends with the user's message.

    Raises:
        UnusableRowError: no messages, roles not in turn, an empty message, a chat tag inside.
    """
    record = as_record(value)
    messages = _messages(record, names)
    system = record.get("system")
    if isinstance(system, str) and system.strip() and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": as_text(system, "content")}, *messages]
    check_turns(messages)
    train_on = record.get("train_on")
    if train_on not in (None, "all", "last"):
        raise UnusableRowError("unknown_train_on")
    return {
        "id": as_label(pick(record, names.id, usual.ID, "id"), "id"),
        "messages": messages,
        "train_on": train_on or "all",
        "source": as_label(pick(record, names.source, usual.SOURCE, "source"), "source"),
        "safety": _safety(pick(record, names.safety, ("safety",), "safety")),
    }


def _messages(record: dict[str, Any], names: FieldNames) -> list[Message]:
    listed = pick(record, names.messages, usual.MESSAGES, "messages")
    if is_tagged(listed):
        return parse_tagged(listed)
    if listed is not None:
        return parse_messages(listed)
    prompt = pick(record, names.prompt, usual.PROMPT, "prompt")
    if isinstance(prompt, list):
        messages = parse_messages(prompt)
    else:
        messages = [*_history(record.get("history")), user(_request(prompt, record))]
    response = pick(record, names.response, usual.RESPONSE, "response")
    if isinstance(response, list) and response and isinstance(response[0], dict):
        return messages + parse_messages(response)
    return messages if response is None else [*messages, assistant(as_text(response, "response"))]


def _request(prompt: Any, record: dict[str, Any]) -> str:
    """The instruction, with the material it speaks of below it."""
    request = as_text(prompt, "prompt")
    context = pick_first(record, *usual.CONTEXT)
    if isinstance(context, str) and context.strip():
        return f"{request}\n\n{as_text(context, 'context')}"
    return request


def _history(value: Any) -> list[Message]:
    """Earlier turns as (request, answer) pairs."""
    messages: list[Message] = []
    for pair in value or []:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise UnusableRowError("history_not_pairs")
        messages += [user(as_text(pair[0], "history")), assistant(as_text(pair[1], "history"))]
    return messages


def _safety(value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "safety": True, "false": False, "0": False, "": False}
    if str(value).lower() in known:
        return known[str(value).lower()]
    raise UnusableRowError("unknown_safety")
