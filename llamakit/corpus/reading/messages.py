"""Messages in the shapes data sets give them: `role`/`content`, `from`/`value`, tagged text."""

from __future__ import annotations

import re
from typing import Any

from llamakit.corpus.reading.unusable import UnusableRowError, as_record, as_text, pick_first
from llamakit.text.dialogue import CHAT_TAGS

Message = dict[str, str]

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    # A tool's answer stands where the user's would, its call where the assistant's would: the chat
    # format knows no third speaker, and turns still alternate.
    "function_call": "assistant",
    "tool_call": "assistant",
    "observation": "user",
    "function_response": "user",
    "tool_response": "user",
    "tool": "user",
}

_TAGGED = re.compile(r"(?:\A|\n\n)(Human|Assistant):")


def parse_messages(value: Any) -> list[Message]:
    """A list of messages under our role names. Raises UnusableRowError when it is no such list."""
    if not isinstance(value, list) or not value:
        raise UnusableRowError("no_messages")
    return [_message(as_record(item)) for item in value]


def _message(item: dict[str, Any]) -> Message:
    role = pick_first(item, "role", "from", "speaker")
    known = ROLES.get(role.strip().lower()) if isinstance(role, str) else None
    if known is None:
        raise UnusableRowError("unknown_role")
    content = pick_first(item, "content", "value", "text")
    if isinstance(content, list):
        # Content in parts: text parts are joined; images have no place in a text model.
        parts = [as_record(part) for part in content]
        if any(part.get("type", "text") != "text" for part in parts):
            raise UnusableRowError("content_not_text")
        content = "".join(as_text(part.get("text"), "content") for part in parts)
    return {"role": known, "content": as_text(content, "content")}


def parse_tagged(text: str) -> list[Message]:
    r"""Split a dialogue written as `\n\nHuman: …\n\nAssistant: …` (Anthropic's hh-rlhf)."""
    pieces = _TAGGED.split(text)
    if pieces[0].strip() or len(pieces) < 3:
        raise UnusableRowError("no_messages")
    speakers = zip(pieces[1::2], pieces[2::2], strict=True)
    return [
        {"role": "user" if tag == "Human" else "assistant", "content": content.strip()}
        for tag, content in speakers
    ]


def is_tagged(value: Any) -> bool:
    """Whether the value is a dialogue written with `Human:` and `Assistant:`."""
    return isinstance(value, str) and _TAGGED.match(value) is not None


def user(content: str) -> Message:
    """A user message."""
    return {"role": "user", "content": content}


def assistant(content: str) -> Message:
    """An assistant message."""
    return {"role": "assistant", "content": content}


def check_turns(messages: list[Message]) -> None:
    """An optional system message, then user and assistant in turn, nothing empty, no chat tags.

    Raises:
        UnusableRowError: with the rule that is broken.
    """
    if messages[0]["role"] == "system":
        messages = messages[1:]
    if not messages:
        raise UnusableRowError("no_messages")
    for index, message in enumerate(messages):
        expected = "user" if index % 2 == 0 else "assistant"
        if message["role"] != expected:
            raise UnusableRowError("roles_do_not_alternate")
    check_contents(messages)


def check_contents(messages: list[Message]) -> None:
    """No message is empty or holds one of the chat format's tags."""
    for message in messages:
        if not message["content"].strip():
            raise UnusableRowError("empty_message", broken=False)
        if any(tag in message["content"] for tag in CHAT_TAGS):
            raise UnusableRowError("chat_tag_in_message")
