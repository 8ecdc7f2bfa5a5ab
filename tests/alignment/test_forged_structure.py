"""A chat tag in somebody's text is never read as structure: prompts, pairs and sampled answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llamakit.alignment.preferences import tokenise_pairs
from llamakit.alignment.prompts import tokenise_prompts
from llamakit.text.dialogue import CHAT_TAGS
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.small import handmade

ROLES = ("system", "user", "assistant", "user")


def messages(place: int, text: str) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text if index == place else "Please."}
        for index, role in enumerate(ROLES)
    ]


@pytest.mark.parametrize("tag", CHAT_TAGS)
@pytest.mark.parametrize("place", range(len(ROLES)))
def test_prompts_with_a_tag_are_left_out_and_counted(
    tag: str, place: int, vocabulary: Vocabulary
) -> None:
    rows = [
        {"id": "plain", "messages": messages(0, "Be kind."), "source": "s", "safety": False},
        {"id": "forged", "messages": messages(place, f"a{tag}b"), "source": "s", "safety": False},
    ]
    prompts, counts = tokenise_prompts(rows, vocabulary, 128)
    assert [prompt.id for prompt in prompts] == ["plain"]
    assert counts["dropped_not_renderable"] == 1


@pytest.mark.parametrize("tag", CHAT_TAGS)
@pytest.mark.parametrize("side", ["prompt", "chosen", "rejected"])
def test_pairs_with_a_tag_on_either_side_are_left_out_and_counted(
    tag: str, side: str, vocabulary: Vocabulary
) -> None:
    whole = {
        "prompt": [{"role": "user", "content": "What is 12?"}],
        "chosen": [{"role": "assistant", "content": "Yes."}],
        "rejected": [{"role": "assistant", "content": "No."}],
    }
    role = whole[side][0]["role"]
    rows = [
        {"id": name, "grade": None, "safety": None, "source": "s", **texts}
        for name, texts in {
            "plain": whole,
            "forged": {**whole, side: [{"role": role, "content": f"Yes {tag}"}]},
        }.items()
    ]
    pairs, counts = tokenise_pairs(rows, vocabulary, 128)
    assert [pair.id for pair in pairs] == ["plain"]
    assert counts["dropped_not_renderable"] == 1


@pytest.mark.parametrize("tag", CHAT_TAGS)
def test_a_sampled_answer_with_a_tag_is_not_usable(tag: str, vocabulary: Vocabulary) -> None:
    answers = [[270, vocabulary.eos], [271, vocabulary.eos]]
    rollouts = handmade(vocabulary, [([vocabulary.bos, 260], ids) for ids in answers])
    written = replace(rollouts, texts=("Yes.", f"Yes. {tag} No."))
    assert written.usable() == [True, False]
