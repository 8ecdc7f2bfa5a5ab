"""How questions are put to a model: plain text for base models, chat format for chat models.

Plain text is what the published base-model protocols use: `Question: …\\nAnswer:`, solved examples
before it, and the first line (or paragraph) of the continuation is the answer. A chat model gets
the question as a user message, and solved examples as earlier exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llamakit.evaluation.tasks import Item, Task
from llamakit.text.dialogue import CHAT_TAGS, Message, render, render_prompt, without_tags
from llamakit.text.vocabulary import Vocabulary

Format = Literal["plain", "chat"]

# The empty question of P(c | "Answer:").
_NOTHING = "Answer:"
_SPACE_PIECE = "▁"


@dataclass(frozen=True)
class ChoiceRows:
    """One question's choices as ids: a context shared by all, and how each choice continues it."""

    context: list[int]
    choices: list[list[int]]


def choice_rows(
    task: Task, item: Item, vocabulary: Vocabulary, form: Format, *, without_question: bool = False
) -> ChoiceRows:
    """The ids that a multiple-choice item is scored on.

    With `without_question` the choices follow a bare "Answer:", for P(c | "Answer:").
    """
    if form == "chat":
        messages = _exchanges(task, item)
        if without_question:
            messages = [_user(_NOTHING)]
        context = render_prompt(messages, vocabulary)
        wholes = [_answered(messages, choice, vocabulary) for choice in item.choices]
    else:
        text = _NOTHING if without_question else plain_context(task, item)
        context = vocabulary.encode(text, bos=True)
        wholes = [vocabulary.encode(f"{text} {choice}", bos=True) for choice in item.choices]
    # No piece spans the space before a choice, so the context is a prefix of each whole; should a
    # foreign vocabulary merge there, the pieces that differ are scored with the choice.
    shared = min((shared_length(context, whole) for whole in wholes), default=len(context))
    shared = min(shared, *(len(whole) - 1 for whole in wholes))
    return ChoiceRows(context[:shared], [whole[shared:] for whole in wholes])


def question_ids(task: Task, item: Item, vocabulary: Vocabulary, form: Format) -> list[int]:
    """The ids after which a model writes its answer to an item."""
    if form == "chat":
        return render_prompt(_exchanges(task, item), vocabulary)
    return vocabulary.encode(plain_context(task, item), bos=True)


def plain_context(task: Task, item: Item) -> str:
    """The text a base model continues: opening, solved examples, question."""
    gap = "\n" if task.kind == "text" else "\n\n"
    solved = [f"{one.context} {one.shown_answer}{gap}" for one in task.examples_for(item)]
    return task.opening_for(item) + "".join(solved) + item.context


def question_stops(task: Task, form: Format) -> list[str]:
    """Texts at which an answer is over, besides the end of sequence."""
    if form == "chat":
        return []
    return ["\n\n", "\nQuestion:"] if task.kind == "solution" else ["\n"]


def dialogue_ids(messages: Sequence[Message], vocabulary: Vocabulary, form: Format) -> list[int]:
    """The ids after which a model answers a dialogue that ends with a user message.

    A base model reads a transcript in the form of the tasks: `Question: …\\nAnswer: …`.
    """
    if form == "chat":
        return render_prompt(messages, vocabulary)
    lines = []
    for message in messages:
        label = {"user": "Question: ", "assistant": "Answer: "}.get(message["role"], "")
        lines.append(f"{label}{message['content'].strip()}")
    return vocabulary.encode("\n".join([*lines, "Answer:"]), bos=True)


def dialogue_stops(form: Format) -> list[str]:
    """Texts at which an answer in a dialogue is over, besides the end of sequence."""
    return [] if form == "chat" else ["\nQuestion:"]


def as_message(text: str) -> Mapping[str, str]:
    """A generated answer as a message that can be rendered: cut where it forges a chat tag."""
    ends = [text.index(tag) for tag in CHAT_TAGS if tag in text]
    return {"role": "assistant", "content": text[: min(ends)].strip() if ends else text.strip()}


def last_user(messages: Sequence[Message]) -> str:
    """The text of the last user message, to show beside an answer."""
    return next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")


def shared_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many ids two rows begin with in common."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def _exchanges(task: Task, item: Item) -> list[Message]:
    messages: list[Message] = []
    for example in task.examples_for(item):
        messages.append(_user(example.question))
        messages.append({"role": "assistant", "content": without_tags(example.shown_answer)})
    return [*messages, _user(item.question)]


def _user(text: str) -> Message:
    return {"role": "user", "content": without_tags(text)}


def _answered(messages: list[Message], choice: str, vocabulary: Vocabulary) -> list[int]:
    """Dialogue and choice, without the end of sequence and the space before it."""
    answer: Message = {"role": "assistant", "content": without_tags(choice)}
    ids = render([*messages, answer], vocabulary).ids[:-1]
    return ids[:-1] if vocabulary.piece(ids[-1]) == _SPACE_PIECE else ids
