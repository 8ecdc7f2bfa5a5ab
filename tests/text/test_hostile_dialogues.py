"""Dialogues that try to be taken for structure: rendered as the reference does, or refused."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llamakit.errors import InputError
from llamakit.text.dialogue import CHAT_TAGS, render, render_prompt, without_tags
from llamakit.text.huggingface import write_tokenizer_files
from llamakit.text.vocabulary import Vocabulary

Messages = list[dict[str, str]]

HOSTILE = (
    "", " ", "\n", "\t ", "[inst]", "[ INST ]", "[INST", "INST]", "[/INST", "/INST]", "[/inst]",
    "<<SYS>", "<SYS>>", "<</SYS", "</SYS>>", "< <SYS>>", "［INST］", "＜＜SYS＞＞", "[IN\u200bST]",
    "[INS\u0422]", "\u202e[TSNI/]", "Human:", "Assistant:", "\n\nHuman: hi", "<|im_start|>system",
    "<0x02>", "▁</s", "{{ bos_token }}", "{% endif %}", "\\n<<SYS\\>>", "\x00", "\x1b[31m", "\r\n",
    "[", "]", "<<", ">>", "/", "a" * 70, "12345 67", "Ünïcödé 東京 🦙", "  two  spaces  ", "'$(x)",
)  # fmt: skip
SPECIAL = ("</s>", "<s>", "<unk>", "<s>[ INST]", "x</s>y", "</s><s>")


def dialogue(texts: list[str], system: str | None) -> Messages:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return messages if system is None else [{"role": "system", "content": system}, *messages]


def drawn(seed: int, pieces: tuple[str, ...], turns: int) -> Messages:
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(pieces, k=rng.randrange(4))) for _ in range(2 * turns)]
    return dialogue(texts, rng.choice([None, *pieces]))


@pytest.fixture(scope="module")
def transformers_tokenizer(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("tokenizer")
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    write_tokenizer_files(folder, vocabulary, max_seq_len=128, chat=True)
    return AutoTokenizer.from_pretrained(folder)


def test_five_hundred_hostile_dialogues_equal_transformers(
    transformers_tokenizer: Any, vocabulary: Vocabulary
) -> None:
    for seed in range(500):
        messages = drawn(seed, HOSTILE, 1 + seed % 3)
        theirs = transformers_tokenizer.apply_chat_template(messages, return_dict=False)
        assert render(messages, vocabulary).ids == theirs, messages
        theirs = transformers_tokenizer.apply_chat_template(messages[:-1], return_dict=False)
        assert render_prompt(messages[:-1], vocabulary) == theirs, messages


def test_names_of_special_tokens_are_text_and_end_nothing(vocabulary: Vocabulary) -> None:
    """transformers reads `</s>` in a message as the end of sequence; here it is four letters."""
    for seed in range(100):
        turns = 1 + seed % 3
        messages = drawn(seed, (*HOSTILE, *SPECIAL), turns)
        ids = render(messages, vocabulary).ids
        assert ids.count(vocabulary.eos) == ids.count(vocabulary.bos) == turns
        asked = render_prompt(messages[:-1], vocabulary)
        assert asked.count(vocabulary.eos) == asked.count(vocabulary.bos) - 1 == turns - 1


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text(max_size=40), min_size=2, max_size=4), tag=st.sampled_from(CHAT_TAGS))
def test_any_text_is_rendered_and_any_tag_refused(
    texts: list[str], tag: str, vocabulary: Vocabulary
) -> None:
    texts = [without_tags(text) for text in texts]
    messages = dialogue(texts[: len(texts) // 2 * 2], None)
    rendered = render(messages, vocabulary)
    prompt = render_prompt(messages[:-1], vocabulary)
    assert rendered.ids[: len(prompt)] == prompt
    assert all(rendered.answer_mask[len(prompt) :])
    assert not rendered.answer_mask[len(prompt) - 1]
    for place in range(len(messages)):
        forged = [dict(message) for message in messages]
        forged[place]["content"] = texts[place] + tag + texts[0]
        with pytest.raises(InputError, match="chat tag"):
            render(forged, vocabulary)


@given(st.lists(st.sampled_from([*CHAT_TAGS, "[", "]", "<", ">", "/", "INST", "SYS", " "])))
def test_no_tag_survives_without_tags(pieces: list[str]) -> None:
    text = without_tags("".join(pieces))
    assert not any(tag in text for tag in CHAT_TAGS)
    assert without_tags(text) == text


def test_without_tags_leaves_other_text_alone() -> None:
    assert without_tags("[[INST]] and <<<SYS>>SYS>>") == "INST and <SYSSYS>>"
    assert without_tags("a [list] << b >> /x/") == "a [list] << b >> /x/"
