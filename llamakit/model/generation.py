"""Text from a model, many rows at a time.

Rows of similar length share a batch. Prompts that occur more than once are read once and their
cache is copied. The cache has a fixed place for every token; rows that have ended leave the batch.
Each row draws from its own seed, so its text does not depend on its company (in torch beyond
rounding, where two tokens are within it of each other; see `decoding`).

Shape suffixes as in `transformer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from llamakit.errors import InputError
from llamakit.events import SILENT, Events
from llamakit.model.decoding import Reader, reader_for
from llamakit.model.sampling import Sampling, choose, logprobs_of, uniforms
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

__all__ = ["Generation", "Sampling", "generate"]


@dataclass(frozen=True)
class Generation:
    """What a model wrote after one prompt."""

    ids: list[int]
    """New tokens, with the EOS when one was produced."""
    finished: bool
    """Whether EOS or a stop string ended it, rather than a limit on length."""
    logprobs: list[float]
    """Log-probability of each token in the whole distribution at the sampling temperature (at
    temperature 0: at 1); empty when not asked for."""
    text: str
    """The tokens as text, without EOS and up to the stop string."""


@dataclass
class _Row:
    """A text in the making; `index` is its place among the prompts."""

    index: int
    prompt: tuple[int, ...]
    seed: int
    limit: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str | None = None
    finished: bool = False

    @property
    def ended(self) -> bool:
        return self.finished or len(self.ids) >= self.limit


@torch.no_grad()
def generate(
    model: Transformer,
    vocabulary: Vocabulary,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    seeds: Sequence[int],
    *,
    batch_size: int = 64,
    events: Events = SILENT,
    logprobs: bool = False,
) -> list[Generation]:
    """Continue each prompt.

    A text that fills the model's context ends there, with `finished` false, as does one that
    reaches `max_new_tokens`.

    Args:
        prompts: ids, each with its BOS. Equal prompts (samples of one) are read once.
        seeds: one a prompt; texts of equal prompts differ by their seeds only.
        batch_size: rows computed together; changes speed and memory only.
        logprobs: also return log-probabilities.

    Returns:
        One generation a prompt, in the prompts' order.

    Raises:
        InputError: a prompt is empty or longer than the model's context.
    """
    if len(seeds) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts need as many seeds, got {len(seeds)}")
    was_training = model.training
    model.eval()
    rows = _rows(prompts, seeds, sampling, model.config.max_seq_len)
    # Equal prompts stand side by side; the longest come first, so that memory runs out early.
    queue = sorted(rows, key=lambda row: (-len(row.prompt), row.prompt, row.index))
    with events.task("generate", total=len(rows), unit="texts") as task:
        for start in range(0, len(queue), batch_size):
            batch = queue[start : start + batch_size]
            _Batch(model, vocabulary, batch, sampling, logprobs).run()
            task.advance(len(batch))
    model.train(was_training)
    return [_generation(row, vocabulary) for row in rows]


def _rows(
    prompts: Sequence[Sequence[int]], seeds: Sequence[int], sampling: Sampling, context: int
) -> list[_Row]:
    rows = []
    for index, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
        if not 0 < len(prompt) <= context:
            raise InputError(
                f"a prompt of {len(prompt)} tokens does not fit a context of {context}",
                where=f"prompt {index}",
                fix="Shorten it, or take a model with a larger max_seq_len.",
            )
        limit = min(sampling.max_new_tokens, context - len(prompt))
        rows.append(_Row(index, tuple(prompt), seed, limit))
    return rows


def _generation(row: _Row, vocabulary: Vocabulary) -> Generation:
    text = vocabulary.decode(row.ids) if row.text is None else row.text
    return Generation(row.ids, row.finished, row.logprobs, text)


class _Batch:
    """Rows that are computed together."""

    def __init__(
        self,
        model: Transformer,
        vocabulary: Vocabulary,
        rows: list[_Row],
        sampling: Sampling,
        logprobs: bool,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.rows = [row for row in rows if not row.ended]
        self.sampling = sampling
        self.logprobs = logprobs
        self.device = next(model.parameters()).device
        # A stop string is found in the last tokens: each new one may add as little as one byte.
        self.tail = max((len(stop.encode()) for stop in sampling.stop), default=0) + 1

    def run(self) -> None:
        """Write every row to its end."""
        if not self.rows:
            return
        with closing(reader_for(self.model)) as reader:
            logits_BV = self._start(reader)
            step = 0
            while True:
                tokens_B = self._next_tokens(logits_BV, step)
                alive = [index for index, row in enumerate(self.rows) if not row.ended]
                if not alive:
                    return
                if len(alive) < reader.keep_below * len(self.rows):
                    reader.keep(alive)
                    self._keep(alive)
                    tokens_B = tokens_B[alive]
                logits_BV = reader.step(tokens_B)
                step += 1

    def _start(self, reader: Reader) -> Tensor:
        """Read the different prompts; the logits after each row's."""
        prompts = list(dict.fromkeys(row.prompt for row in self.rows))
        place = {prompt: index for index, prompt in enumerate(prompts)}
        self.seeds_B = np.array([row.seed % 2**64 for row in self.rows], dtype=np.uint64)
        self.seen_BV = self._seen()
        room = max(row.limit for row in self.rows)
        return reader.start(prompts, [place[row.prompt] for row in self.rows], room)

    def _keep(self, alive: list[int]) -> None:
        self.rows = [self.rows[index] for index in alive]
        self.seeds_B = self.seeds_B[alive]
        self.seen_BV = None if self.seen_BV is None else self.seen_BV[alive]

    def _seen(self) -> Tensor | None:
        if self.sampling.repetition_penalty == 1.0:
            return None
        shape = (len(self.rows), self.model.config.vocab_size)
        seen_BV = torch.zeros(shape, dtype=torch.bool)
        for index, row in enumerate(self.rows):
            seen_BV[index, list(set(row.prompt))] = True
        return seen_BV.to(self.device)

    def _next_tokens(self, logits_BV: Tensor, step: int) -> Tensor:
        """Choose a token for each row and write it down where the row has not ended."""
        if not torch.isfinite(logits_BV.amax()):
            raise InputError(
                "the model's logits are not numbers",
                fix="Its training diverged, or its weights were damaged: make it again.",
            )
        uniforms_B = torch.from_numpy(uniforms(self.seeds_B, step))
        tokens_B = choose(logits_BV, self.sampling, uniforms_B.to(self.device), self.seen_BV)
        if self.seen_BV is not None:
            self.seen_BV.scatter_(1, tokens_B[:, None], True)
        tokens = tokens_B.tolist()
        logprobs = None
        if self.logprobs:
            logprobs = logprobs_of(logits_BV, tokens_B, self.sampling.temperature).tolist()
        for index, row in enumerate(self.rows):
            if row.ended:
                continue
            row.ids.append(tokens[index])
            if logprobs is not None:
                row.logprobs.append(logprobs[index])
            if tokens[index] == self.vocabulary.eos:
                row.finished = True
            elif self.sampling.stop:
                self._look_for_stop(row)
        return tokens_B

    def _look_for_stop(self, row: _Row) -> None:
        tail = self.vocabulary.decode(row.ids[-self.tail :])
        if not any(stop in tail for stop in self.sampling.stop):
            return
        text = self.vocabulary.decode(row.ids)
        places = [place for stop in self.sampling.stop if (place := text.find(stop)) >= 0]
        if places:
            row.text = text[: min(places)]
            row.finished = True
