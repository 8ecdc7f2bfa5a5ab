r"""Dialogues as token ids, in Llama 2's chat format.

    <bos>[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user1} [/INST] {answer1} <eos>
    <bos>[INST] {user2} [/INST] {answer2} <eos>             (all in one line)

Each exchange is encoded on its own, with the vocabulary's dummy space, BOS and EOS; the tags are
ordinary text. Source: `meta-llama/llama`, `llama/generation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from llamakit.errors import InputError
from llamakit.text.vocabulary import Vocabulary

Message: TypeAlias = Mapping[str, str]
"""`{"role": "system" | "user" | "assistant", "content": text}`."""

CHAT_TAGS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
"""What structures a prompt and therefore may not stand in a message."""


def without_tags(text: str) -> str:
    """`text` with every chat tag reduced to the word in it: `[INST]` becomes `INST`.

    For text that is only quoted, such as an exam's question; a dialogue that holds a tag is refused
    instead. Looked through until none is left, since taking one away can leave another
    (`[[INST]]`).
    """
    while any(tag in text for tag in CHAT_TAGS):
        for tag in CHAT_TAGS:
            text = text.replace(tag, tag.strip("<>[]/"))
    return text


@dataclass(frozen=True)
class Rendered:
    """A dialogue as ids, with one entry a token in each list."""

    ids: list[int]
    answer_mask: list[bool]
    """Tokens that the assistant writes: its answers, each with the EOS that ends it."""
    turn: list[int]
    """Index of the exchange (a user message and its answer) that a token is in."""


def check_messages(messages: Sequence[Message], where: str | None = None) -> None:
    """Check that a dialogue can be rendered.

    Raises:
        InputError: no messages; roles do not alternate user, assistant, … after an optional system
            message; or a content holds one of `CHAT_TAGS`, which could forge a prompt.
    """
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if not turns:
        raise InputError("a dialogue has no user message", where=where)
    for index, message in enumerate(turns):
        expected = ("user", "assistant")[index % 2]
        if message["role"] != expected:
            raise InputError(
                f"message {index + 1} (system message not counted) is from {message['role']!r}"
                f" where {expected!r} is due",
                where=where,
                fix="Roles must alternate user, assistant, after at most one system message.",
            )
    for message in messages:
        for tag in CHAT_TAGS:
            if tag in message["content"]:
                article = "an" if message["role"] == "assistant" else "a"
                raise InputError(
                    f"{article} {message['role']} message contains the chat tag {tag}",
                    where=where,
                    fix="Remove or rewrite the tag: it would be read as structure.",
                )


def render(messages: Sequence[Message], vocabulary: Vocabulary) -> Rendered:
    """A dialogue that ends with an assistant message, as ids.

    Raises:
        InputError: see `check_messages`; or the last message is the user's.
    """
    check_messages(messages)
    if messages[-1]["role"] != "assistant":
        raise InputError(
            "the dialogue ends with a user message, so it has no answer to train on or to score"
        )
    rendered = Rendered([], [], [])
    for turn, (question, answer) in enumerate(_exchanges(messages)):
        assert answer is not None
        _append_exchange(rendered, turn, question, answer, vocabulary)
    return rendered


def render_prompt(messages: Sequence[Message], vocabulary: Vocabulary) -> list[int]:
    """A dialogue that ends with a user message, as the ids after which the answer begins.

    Raises:
        InputError: see `check_messages`; or the last message is the assistant's.
    """
    check_messages(messages)
    if messages[-1]["role"] != "user":
        raise InputError("a prompt must end with a user message")
    rendered = Rendered([], [], [])
    for turn, (question, answer) in enumerate(_exchanges(messages)):
        if answer is None:
            return rendered.ids + vocabulary.encode(question, bos=True)
        _append_exchange(rendered, turn, question, answer, vocabulary)
    raise AssertionError("unreachable: the last message is the user's")


def chat_template() -> str:
    """The format as a Jinja template, for `tokenizer_config.json`; same ids as `render_prompt`."""
    return (
        "{% if messages[0]['role'] == 'system' %}"
        "{% set turns = messages[1:] %}"
        "{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
        "{% else %}{% set turns = messages %}{% set system = '' %}{% endif %}"
        "{% for message in turns %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}"
        "{% endif %}"
        "{% set content = system + message['content'] if loop.index0 == 0"
        " else message['content'] %}"
        "{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}"
        "{% endfor %}"
    )


def _exchanges(messages: Sequence[Message]) -> list[tuple[str, str | None]]:
    """Pairs of question text (with its tags) and answer text; the last answer may be missing."""
    turns = list(messages)
    system = ""
    if turns[0]["role"] == "system":
        system = f"<<SYS>>\n{turns.pop(0)['content']}\n<</SYS>>\n\n"
    pairs: list[tuple[str, str | None]] = []
    for index in range(0, len(turns), 2):
        content = (system if index == 0 else "") + turns[index]["content"]
        answer = turns[index + 1]["content"].strip() if index + 1 < len(turns) else None
        pairs.append((f"[INST] {content.strip()} [/INST]", answer))
    return pairs


def _append_exchange(
    rendered: Rendered, turn: int, question: str, answer: str, vocabulary: Vocabulary
) -> None:
    ids = vocabulary.encode(f"{question} {answer} ", bos=True, eos=True)
    # No piece continues from a letter into a space, so the question's ids begin the whole's.
    asked = len(vocabulary.encode(question, bos=True))
    rendered.ids.extend(ids)
    rendered.answer_mask.extend([False] * asked + [True] * (len(ids) - asked))
    rendered.turn.extend([turn] * len(ids))
