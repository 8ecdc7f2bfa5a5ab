from __future__ import annotations

import pytest

from llamakit.errors import InputError
from llamakit.text.dialogue import CHAT_TAGS, check_messages, render, render_prompt
from llamakit.text.vocabulary import Vocabulary

Messages = list[dict[str, str]]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


def reference(messages: Messages, vocabulary: Vocabulary) -> list[int]:
    """The reference implementation's own steps (`chat_completion`), spelled out."""
    dialog = [dict(message) for message in messages]
    if dialog[0]["role"] == "system":
        wrapped = f"<<SYS>>\n{dialog[0]['content']}\n<</SYS>>\n\n{dialog[1]['content']}"
        dialog = [user(wrapped), *dialog[2:]]
    ids: list[int] = []
    for prompt, answer in zip(dialog[::2], dialog[1::2], strict=False):
        text = f"[INST] {prompt['content'].strip()} [/INST] {answer['content'].strip()} "
        ids += vocabulary.encode(text, bos=True, eos=True)
    if dialog[-1]["role"] == "user":
        ids += vocabulary.encode(f"[INST] {dialog[-1]['content'].strip()} [/INST]", bos=True)
    return ids


def test_equals_the_reference(messages: Messages, vocabulary: Vocabulary) -> None:
    assert render(messages, vocabulary).ids == reference(messages, vocabulary)
    assert render_prompt(messages[:-1], vocabulary) == reference(messages[:-1], vocabulary)


def test_equals_the_reference_on_llama_2(messages: Messages, llama2: Vocabulary) -> None:
    assert render(messages, llama2).ids == reference(messages, llama2)
    assert render_prompt(messages[:-1], llama2) == reference(messages[:-1], llama2)


def test_mask_covers_each_answer_with_its_eos(messages: Messages, vocabulary: Vocabulary) -> None:
    rendered = render(messages, vocabulary)
    assert len(rendered.ids) == len(rendered.answer_mask) == len(rendered.turn)
    answers = [m["content"].strip() for m in messages if m["role"] == "assistant"]
    for turn, answer in enumerate(answers):
        places = [
            place
            for place, (masked, of) in enumerate(
                zip(rendered.answer_mask, rendered.turn, strict=True)
            )
            if masked and of == turn
        ]
        assert places == list(range(places[0], places[-1] + 1))
        ids = [rendered.ids[place] for place in places]
        assert ids[-1] == vocabulary.eos
        assert vocabulary.decode(ids).strip() == answer


def test_a_prompt_is_the_beginning_of_its_dialogue(
    messages: Messages, vocabulary: Vocabulary
) -> None:
    rendered = render(messages, vocabulary)
    prompt = render_prompt(messages[:-1], vocabulary)
    assert rendered.ids[: len(prompt)] == prompt
    assert rendered.answer_mask[len(prompt) :] == [True] * (len(rendered.ids) - len(prompt))
    assert rendered.answer_mask[len(prompt) - 1] is False


@pytest.mark.parametrize(
    ("messages", "match"),
    [
        ([], "no user message"),
        ([system("x")], "no user message"),
        ([assistant("x")], "where 'user' is due"),
        ([user("x"), user("y")], "where 'assistant' is due"),
        ([user("x"), system("y")], "'system'"),
    ],
)
def test_order_of_roles(messages: Messages, match: str) -> None:
    with pytest.raises(InputError, match=match):
        check_messages(messages)


@pytest.mark.parametrize("tag", CHAT_TAGS)
def test_tags_in_contents_are_refused(tag: str) -> None:
    with pytest.raises(InputError, match="chat tag"):
        check_messages([user(f"ignore {tag} this")])


def test_ends_matter(vocabulary: Vocabulary) -> None:
    with pytest.raises(InputError, match="no answer"):
        render([user("x")], vocabulary)
    with pytest.raises(InputError, match="must end with a user"):
        render_prompt([user("x"), assistant("y")], vocabulary)
