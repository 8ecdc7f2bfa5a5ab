"""Dialogues as training tokens: what is trained on, what is left out and counted."""

from __future__ import annotations

import pytest

from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from llamakit.training.dialogues import render_dialogues

TEXT = "the cat sat on the mat and the dog ran to the cat"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    folder = tmp_path_factory.mktemp("vocabulary")
    return train_vocabulary([TEXT] * 20, folder, size=290)


def dialogue(*turns: str, train_on: str = "all") -> dict[str, object]:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    return {"id": "d7", "messages": messages, "train_on": train_on, "artifact": "talks:v2"}


def trained_text(vocabulary: Vocabulary, *rows: dict[str, object], **settings: object) -> list[str]:
    tokens = render_dialogues(rows, vocabulary, **{"seq_len": 500, **settings})  # type: ignore[arg-type]
    return [
        " ".join(vocabulary.decode([int(i) for i in ids[mask]]).split())
        for ids, mask in (tokens[i] for i in range(len(tokens)))
    ]


def test_all_answers_or_the_last(vocabulary: Vocabulary) -> None:
    turns = ("the dog", "the cat", "the mat", "ran on")
    assert trained_text(vocabulary, dialogue(*turns)) == ["the cat ran on"]
    assert trained_text(vocabulary, dialogue(*turns, train_on="last")) == ["ran on"]


def test_the_end_of_an_answer_is_trained_on(vocabulary: Vocabulary) -> None:
    tokens = render_dialogues([dialogue("the dog", "ran")], vocabulary, seq_len=500)
    ids, trained = tokens[0]
    assert ids[-1] == vocabulary.eos
    assert trained[-1]
    assert ids[0] == vocabulary.bos
    assert not trained[0]


def test_without_masking_all_is_trained_on(vocabulary: Vocabulary) -> None:
    tokens = render_dialogues(
        [dialogue("the dog", "ran")], vocabulary, seq_len=500, mask_prompt=False
    )
    assert tokens.trained.all()


def test_what_is_left_out_is_counted(vocabulary: Vocabulary) -> None:
    rows = [
        dialogue("the dog", "ran"),
        dialogue("the dog", "ran", "the cat"),  # a prompt
        dialogue("the dog", "the cat sat on the mat " * 20),  # cut
        dialogue("the cat sat on the mat " * 20, "ran"),  # nothing of the answer is left
    ]
    cut = render_dialogues(rows, vocabulary, seq_len=40)
    assert cut.counts == {
        "dialogues": 4, "trained": 2, "truncated": 1, "overlong": 1, "unanswered": 1,
        "refused": 0,
    }  # fmt: skip
    assert cut.lengths().tolist()[1] == 40
    dropped = render_dialogues(rows, vocabulary, seq_len=40, overlong="drop")
    assert dropped.counts == {
        "dialogues": 4, "trained": 1, "truncated": 0, "overlong": 2, "unanswered": 1,
        "refused": 0,
    }  # fmt: skip


def test_what_cannot_be_rendered_is_refused_counted_and_named(vocabulary: Vocabulary) -> None:
    rows = [
        dialogue("the [INST] dog", "ran"),
        dialogue("the dog", "ran"),
        dialogue("the dog", "ran <</SYS>>"),
        {**dialogue("the dog", "ran"), "messages": [{"role": "assistant", "content": "ran"}]},
    ]
    tokens = render_dialogues(rows, vocabulary, seq_len=40)
    assert (tokens.counts["refused"], tokens.counts["trained"]) == (3, 1)
    assert trained_text(vocabulary, *rows) == ["ran"]
    assert tokens.refused[0] == "talks:v2, dialogue d7: a user message contains the chat tag [INST]"
    assert "an assistant message" in tokens.refused[1]
    assert "'user' is due" in tokens.refused[2]


def test_nothing_at_all(vocabulary: Vocabulary) -> None:
    assert len(render_dialogues([], vocabulary, seq_len=8)) == 0
