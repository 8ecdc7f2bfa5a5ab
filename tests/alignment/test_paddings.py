"""A reward is read at a row's last real token, wherever padding stands and whoever is beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from llamakit.alignment.padding import pad_right
from llamakit.alignment.scoring import score, score_rows
from llamakit.model.transformer import RewardModel
from llamakit.model.weights import save_reward_model
from llamakit.text.dialogue import render
from llamakit.text.vocabulary import Vocabulary

DIALOGUES = [
    [("user", "What is 7?"), ("assistant", "Yes, I can.")],
    [("user", "No"), ("assistant", "No, it would hurt."), ("user", "Why?"), ("assistant", "12.")],
    [("system", "Please."), ("user", "Tell me " * 4), ("assistant", "The capital is " * 3)],
    [("user", "a"), ("assistant", "")],
    [("user", "What is 12 and 30?"), ("assistant", "Yes, " * 12)],
]


def messages(turns: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture
def rows(vocabulary: Vocabulary) -> list[list[int]]:
    return [render(messages(turns), vocabulary).ids for turns in DIALOGUES]


@pytest.fixture
def theirs(reward_model: RewardModel, vocabulary: Vocabulary, tmp_path: Path) -> Any:
    from transformers import LlamaForSequenceClassification

    save_reward_model(tmp_path, reward_model, vocabulary, card="-")
    return LlamaForSequenceClassification.from_pretrained(tmp_path).eval()


def padded(
    rows: list[list[int]], sides: list[str], pad: int, extra: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded to a common width, each on its own side, with their attention mask."""
    width = max(map(len, rows)) + extra
    ids, mask = [], []
    for row, side in zip(rows, sides, strict=True):
        empty = width - len(row)
        before = empty if side == "left" else 0 if side == "right" else empty // 2
        ids.append([pad] * before + row + [pad] * (empty - before))
        mask.append([0] * before + [1] * len(row) + [0] * (empty - before))
    return torch.tensor(ids), torch.tensor(mask)


@pytest.mark.parametrize("extra", [0, 1, 17])
@pytest.mark.parametrize("sides", ["right", "left", "both", "mixed"])
def test_transformers_gives_the_same_score_under_every_padding(
    reward_model: RewardModel,
    theirs: Any,
    vocabulary: Vocabulary,
    rows: list[list[int]],
    sides: str,
    extra: int,
) -> None:
    ours = score_rows(reward_model, rows, vocabulary.pad)
    each = ["left", "right", "both", "left", "right"] if sides == "mixed" else [sides] * len(rows)
    ids_BL, mask_BL = padded(rows, each, vocabulary.pad, extra)
    positions_BL = (mask_BL.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        found = theirs(ids_BL, attention_mask=mask_BL, position_ids=positions_BL).logits[:, 0]
    torch.testing.assert_close(ours, found, rtol=0, atol=1e-5)


@pytest.mark.parametrize("group", [[0], [2, 0], [4, 3, 2, 1, 0], [1, 1, 1], [3, 2]])
@pytest.mark.parametrize("width", [0, 40])
@pytest.mark.parametrize("filler", ["pad", "eos", "other"])
def test_a_score_does_not_change_with_its_batch(
    reward_model: RewardModel,
    vocabulary: Vocabulary,
    rows: list[list[int]],
    group: list[int],
    width: int,
    filler: str,
) -> None:
    alone = torch.cat([score_rows(reward_model, [rows[index]], vocabulary.pad) for index in group])
    pad = {"pad": vocabulary.pad, "eos": vocabulary.eos, "other": 300}[filler]
    # A row of `width` more than the longest makes the padding wider; it is taken off again.
    wide = [[5] * (max(map(len, rows)) + width)]
    ids_BL, lengths_B = pad_right([rows[index] for index in group] + wide, pad)
    with torch.no_grad():
        together = reward_model(ids_BL, lengths_B)[:-1]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 30, 100, 10_000])
def test_the_size_of_a_forward_pass_changes_no_score(
    reward_model: RewardModel, vocabulary: Vocabulary, rows: list[list[int]], tokens: int
) -> None:
    many = rows * 3
    wanted = score_rows(reward_model, many, vocabulary.pad)
    found = score_rows(reward_model, many, vocabulary.pad, tokens=tokens)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    by_text = score(reward_model, vocabulary, [messages(turns) for turns in DIALOGUES])
    assert by_text == pytest.approx(wanted[: len(rows)].tolist(), abs=1e-5)
