"""Sampled answers as tensors: the one source for PPO, rejection sampling and ghost attention.

Names: `B` answers (k for each prompt, side by side), `L` tokens of a row (prompt, answer, padding
on the right), `T` tokens of the longest answer, `N` real answer tokens of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from llamakit.alignment.padding import pad_right
from llamakit.alignment.served import Server
from llamakit.errors import InputError
from llamakit.events import SILENT, Events
from llamakit.model.generation import Generation, Sampling, generate
from llamakit.model.transformer import Transformer
from llamakit.text.dialogue import check_messages
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.gathering import gathered, share_of, told
from llamakit.training.parallel import ONE_PROCESS, Parallel


@dataclass(frozen=True)
class Rollouts:
    """Prompts with their sampled answers, exactly as sampled: no end of sequence is added."""

    ids_BL: Tensor
    prompt_lengths_B: Tensor
    response_lengths_B: Tensor
    finished_B: Tensor
    """bool: the model itself ended the answer, rather than the length cap."""
    prompt_B: Tensor
    """Index of the prompt that a row answers."""
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def response_mask(self) -> Tensor:
        """Which places [B, T] hold answer tokens, by length."""
        widest = int(self.response_lengths_B.max())
        places_T = torch.arange(widest, device=self.ids_BL.device)
        return places_T[None, :] < self.response_lengths_B[:, None]

    @property
    def predictors(self) -> Tensor:
        """Position [B, T] of the token before each answer token.

        There a model predicts the token, and there the value of the text so far is read. Clamped
        into the row outside the mask.
        """
        places_T = torch.arange(self.response_mask.shape[1], device=self.ids_BL.device)
        last_B = self.prompt_lengths_B + self.response_lengths_B - 1
        return torch.minimum(
            self.prompt_lengths_B[:, None] - 1 + places_T[None, :], last_B[:, None] - 1
        )

    @property
    def responses(self) -> Tensor:
        """Ids [B, T] of the answers; what stands outside the mask means nothing."""
        return self.ids_BL.gather(1, self.predictors + 1)

    def usable(self) -> list[bool]:
        """Which answers can stand in a dialogue: ended by the model, not empty, no chat tag.

        One that the length cap cut off would teach a model to stop in mid-sentence.
        """
        return [
            finished and writable(text)
            for finished, text in zip(self.finished_B.tolist(), self.texts, strict=True)
        ]

    def rows(self) -> list[list[int]]:
        """Prompt and answer of each row, without padding."""
        lengths = (self.prompt_lengths_B + self.response_lengths_B).tolist()
        return [ids[:length] for ids, length in zip(self.ids_BL.tolist(), lengths, strict=True)]

    def take(self, rows: Sequence[int]) -> Rollouts:
        """Some rows, padding cut to the longest of them."""
        picked_B = torch.as_tensor(list(rows), device=self.ids_BL.device)
        taken = {
            field.name: getattr(self, field.name)[picked_B]
            for field in fields(self)
            if isinstance(getattr(self, field.name), Tensor)
        }
        part = replace(self, **taken, texts=tuple(self.texts[row] for row in rows))
        longest = int((part.prompt_lengths_B + part.response_lengths_B).max())
        return replace(part, ids_BL=part.ids_BL[:, :longest])


def seeds_for(key: Sequence[int], k: int) -> list[int]:
    """K seeds (63 bits) for the k samples of one prompt, from any sequence of whole numbers.

    Keyed by what the prompt is and not by where it stands in a batch, so that batches, shards and
    resumption change nothing.
    """
    drawn = np.random.SeedSequence([int(part) for part in key]).generate_state(k, np.uint64)
    return [int(seed) >> 1 for seed in drawn]


def rollout(
    policy: Transformer | Server,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[int]],
    k: int,
    sampling: Sampling,
    *,
    keys: Sequence[Sequence[int]],
    events: Events = SILENT,
    parallel: Parallel = ONE_PROCESS,
) -> Rollouts:
    """Sample k answers for each prompt.

    Args:
        policy: a model, or where it is served.
        prompts: ids, each ending where the answer begins.
        keys: one sequence of whole numbers a prompt; the answers are a function of the prompt, the
            policy, the sampling and the key.
        parallel: the processes that share the prompts. Each is given all of them, and gets all
            answers.
    """
    if len(keys) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many keys, got {len(keys)}")
    repeated = [list(prompt) for prompt in prompts for _ in range(k)]
    mine = share_of(parallel, len(prompts))
    seeds = [seed for row in mine for seed in seeds_for(keys[row], k)]
    asked = repeated[mine.start * k : mine.stop * k]
    if isinstance(policy, Server):
        found = policy.generate(vocabulary, asked, sampling, seeds)
        device = torch.device("cpu")
    else:
        with gathered(policy, merged=True):
            found = generate(policy, vocabulary, asked, sampling, seeds, events=events)
        device = next(policy.parameters()).device
    answers = [Generation(**each) for each in told(parallel, [asdict(a) for a in found])]
    rows = [prompt + list(a.ids) for prompt, a in zip(repeated, answers, strict=True)]
    ids_BL, _ = pad_right(rows, vocabulary.pad, device)
    return Rollouts(
        ids_BL=ids_BL,
        prompt_lengths_B=_whole([len(prompt) for prompt in repeated], device),
        response_lengths_B=_whole([len(answer.ids) for answer in answers], device),
        finished_B=torch.tensor([answer.finished for answer in answers], device=device),
        prompt_B=_whole([index for index in range(len(prompts)) for _ in range(k)], device),
        texts=tuple(answer.text for answer in answers),
    )


def _whole(values: list[int], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.int64, device=device)


def writable(text: str) -> bool:
    """Whether a text can stand in a dialogue: not empty, no chat tag in it."""
    try:
        check_messages([{"role": "user", "content": "-"}, {"role": "assistant", "content": text}])
    except InputError:
        return False
    return bool(text.strip())
