"""What can be wrong with one dialogue, told from its messages alone.

Three weights: an *error* keeps a dialogue out of training, a *doubt* is likely a mistake and worth
a look, a *remark* is only to be known of. Whether a dialogue is good, no rule tells: read some.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamakit.corpus.duplicates.shingles import normalise
from llamakit.errors import InputError
from llamakit.text.dialogue import CHAT_TAGS, Message, check_messages

Weight = Literal["error", "doubt", "remark"]


@dataclass(frozen=True)
class Kind:
    """A fault that can be found."""

    weight: Weight
    meaning: str


KINDS: Mapping[str, Kind] = {
    "roles": Kind("error", "roles do not alternate user, assistant, after at most one system"),
    "chat_tags": Kind("error", f"a message holds {', '.join(CHAT_TAGS)}"),
    "no_answer": Kind("error", "it ends with a user message: a prompt, nothing to train on"),
    "empty_answer": Kind("doubt", "an answer without a letter, digit or sign"),
    "empty_request": Kind("doubt", "a user message without any"),
    "copy": Kind("doubt", "equal to an earlier dialogue but for letter case and blanks"),
    "near_copy": Kind("doubt", "of the same word 5-grams as an earlier one, Jaccard 0.8 and more"),
    "same_request": Kind("doubt", "an earlier dialogue asks the same and is answered otherwise"),
    "repeats_request": Kind("doubt", "an answer begins with the request, four words and more"),
    "loops": Kind(
        "doubt", "of an answer of 40 words and more over .3 is in word 5-grams that stood before"
    ),
    "cut_off": Kind("doubt", "the last answer ends within a sentence, or within a block of code"),
    "template_left": Kind("doubt", "marks of some other chat format, or names of special tokens"),
    "broken_text": Kind("doubt", "replacement or control characters, or UTF-8 read as Latin-1"),
    "too_long": Kind("doubt", "longer than a row: sft cuts or drops it"),
    "same_answer": Kind("remark", "the answer, five words and more, is an earlier one's too"),
    "other_language": Kind("remark", "a request and its answer are in different languages"),
    "short_answer": Kind("remark", "an answer of one or two words"),
    "refusal": Kind("remark", "an answer refuses"),
    "speaks_of_itself": Kind("remark", "an answer speaks of itself as a model or an AI"),
}
"""Every fault by name, in the order of the report."""

_SAID = re.compile(r"\w|[^\w\s]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")
# UTF-8's two and three bytes read as Latin-1 or Windows-1252: Ã© for é, â€™ for ’.
_MOJIBAKE = re.compile("[ÃÂ][\x80-\xbf\u20ac\u2122©®°±-´¶·»]|â[€\x80][\x80-\xbf™œ\u201c\u201d˜¦“”]")
_TEMPLATE = re.compile(
    r"<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|system|user|assistant)\|>"
    r"|</?s>|^#{2,3} ?(?:Instruction|Response|Human|Assistant):"
    r"|^(?:Human|Assistant|USER|ASSISTANT): ",
    re.MULTILINE,
)
_ITSELF = re.compile(
    r"\b(?:as|i am|i'm) an? (?:\w+ )?(?:ai|artificial intelligence|language model)"
)
# A hashtag, a name or an address may stand last.
_OPEN_END = re.compile(r"(?:^|\s)(?![#@]|\w+://|www\.)\S*[\w,;(\[{–-]$")
_FEWEST_WORDS, _FEWEST_LAST = 20, 8
_SHORT = 2
_REQUEST_WORDS = 4


def structure(messages: Sequence[Message]) -> Iterator[str]:
    """Faults for which a dialogue cannot be trained on."""
    tagged = any(tag in message["content"] for message in messages for tag in CHAT_TAGS)
    if tagged:
        yield "chat_tags"
    try:
        check_messages([{**message, "content": "-"} for message in messages])
    except InputError:
        yield "roles"
        return
    if messages[-1]["role"] != "assistant":
        yield "no_answer"


def contents(messages: Sequence[Message]) -> Iterator[str]:
    """Faults of the texts, each told once however many messages have it."""
    found: dict[str, None] = {}
    for place, message in enumerate(messages):
        text = message["content"]
        if message["role"] == "user" and not _SAID.search(text):
            found["empty_request"] = None
        if _CONTROL.search(text) or _MOJIBAKE.search(text):
            found["broken_text"] = None
        if _TEMPLATE.search(text):
            found["template_left"] = None
        if message["role"] == "assistant":
            asked = messages[place - 1]["content"] if place else ""
            found |= dict.fromkeys(_answer(text, asked))
    if messages and messages[-1]["role"] == "assistant" and _cut_off(messages[-1]["content"]):
        found["cut_off"] = None
    yield from found


def _answer(text: str, asked: str) -> Iterator[str]:
    words = text.split()
    if not _SAID.search(text):
        yield "empty_answer"
    elif len(words) <= _SHORT:
        yield "short_answer"
    request = normalise(asked)
    if len(request.split()) >= _REQUEST_WORDS and normalise(text).startswith(request):
        yield "repeats_request"
    if _ITSELF.search(text.lower()):
        yield "speaks_of_itself"


def _cut_off(text: str) -> bool:
    """A long answer whose last line is prose without an end, or an open block of code."""
    if text.count("```") % 2:
        return True
    words = text.split()
    last = text.strip().splitlines()[-1] if words else ""
    return (
        len(words) >= _FEWEST_WORDS
        and "```" not in text
        and len(last.split()) >= _FEWEST_LAST
        and _OPEN_END.search(last.strip()) is not None
    )
