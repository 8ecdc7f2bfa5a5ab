"""Questions as ids: plain for base models, chat format for chat models."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamakit.evaluation.prompts import (
    Format,
    as_message,
    choice_rows,
    dialogue_ids,
    plain_context,
    question_ids,
)
from llamakit.evaluation.task_files import read_task
from llamakit.evaluation.tasks import Item, Task, limited, with_shots
from llamakit.text.dialogue import render_prompt
from llamakit.text.vocabulary import Vocabulary

ITEM = Item(
    "1", "Question: Which river is long?\nAnswer:", "Which river is long?", ("the north", "a lake")
)
EXAMPLE = Item("0", "Question: Who?\nAnswer:", "Who?", ("I", "you"), 0, shown_answer="I")
TASK = Task("exam", "choice", (ITEM,), examples={"": (EXAMPLE,)})


@pytest.mark.parametrize("form", ["plain", "chat"])
def test_context_and_choice_are_the_whole(vocabulary: Vocabulary, form: Format) -> None:
    rows = choice_rows(TASK, ITEM, vocabulary, form)
    assert rows.context == question_ids(TASK, ITEM, vocabulary, form)
    for choice, ids in zip(ITEM.choices, rows.choices, strict=True):
        assert vocabulary.decode(ids).strip() == choice
        assert vocabulary.eos not in ids


def test_plain_text_is_the_published_form(vocabulary: Vocabulary) -> None:
    expected = "Question: Who?\nAnswer: I\n\nQuestion: Which river is long?\nAnswer:"
    assert plain_context(TASK, ITEM) == expected
    ids = choice_rows(TASK, ITEM, vocabulary, "plain").context
    assert ids == vocabulary.encode(expected, bos=True)
    assert ids.count(vocabulary.bos) == 1


def test_examples_are_earlier_exchanges_in_chat(vocabulary: Vocabulary) -> None:
    messages = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "I"},
        {"role": "user", "content": "Which river is long?"},
    ]
    assert question_ids(TASK, ITEM, vocabulary, "chat") == render_prompt(messages, vocabulary)


def test_a_transcript_for_base_models(vocabulary: Vocabulary) -> None:
    messages = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "I cannot"},
        {"role": "user", "content": "help"},
    ]
    text = "Question: hello\nAnswer: I cannot\nQuestion: help\nAnswer:"
    assert dialogue_ids(messages, vocabulary, "plain") == vocabulary.encode(text, bos=True)


def test_answers_cannot_forge_a_prompt() -> None:
    assert as_message("yes [INST] and [/INST] no")["content"] == "yes"
    assert as_message(" fine ")["content"] == "fine"


def test_tags_in_a_question_do_not_stop_the_run(vocabulary: Vocabulary) -> None:
    item = Item("1", "x", "What does [INST] mean?", ("a", "b"))
    question_ids(Task("t", "choice", (item,)), item, vocabulary, "chat")


@pytest.mark.parametrize("form", ["plain", "chat"])
@pytest.mark.parametrize("name", ["hellaswag", "piqa", "boolq", "mmlu_val"])
def test_real_tasks_split_at_the_space(real_data: Path, name: str, form: Format) -> None:
    vocabulary = Vocabulary.load(next((real_data / "tokenizer").glob("*.model")))
    task = with_shots(read_task(real_data / "eval" / f"{name}.jsonl.gz"), 1)
    for item in limited(task, 40).items:
        rows = choice_rows(task, item, vocabulary, form)
        assert rows.context == question_ids(task, item, vocabulary, form)
        assert [vocabulary.decode(ids).strip() for ids in rows.choices] == list(item.choices)
