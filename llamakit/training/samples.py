"""Texts through training: the same beginnings of held-out documents, continued at every evaluation.

Written to `samples.jsonl`, a row a beginning and evaluation. A few short texts from fixed seeds:
they draw no number of the run's, and leave its weights and its compiled code as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from llamakit.errors import LlamakitError
from llamakit.events import Events
from llamakit.model.generation import generate
from llamakit.model.sampling import Sampling
from llamakit.model.transformer import Transformer
from llamakit.text.tokens import TokenStore
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.metrics import SAMPLES_FILE, MetricsLog
from llamakit.training.watch import Row

_BEGINNINGS = 3
_PROMPT_TOKENS = 16
_NEW_TOKENS = 32
_LOOKED_AT = 10_000
_WAYS = {"greedy": 0.0, "sampled": 0.8}
"""Ways to continue, and their temperatures."""


@dataclass(frozen=True)
class Beginning:
    """The first tokens of a held-out document, and how it goes on."""

    prompt: tuple[int, ...]
    truth: tuple[int, ...]


def beginnings(store: TokenStore, context: int) -> list[Beginning]:
    """Beginnings of held-out documents, of as many sources as there are; none of none."""
    chosen: dict[int, list[Beginning]] = {}
    for document in store.validation[:_LOOKED_AT].tolist():
        ids = store.document(document).tolist()
        length = min(_PROMPT_TOKENS, context // 2, len(ids) // 2)
        if length:
            truth = ids[length : min(context, length + _NEW_TOKENS)]
            found = chosen.setdefault(int(store.source_of[document]), [])
            found.append(Beginning(tuple(ids[:length]), tuple(truth)))
    # The first of each source, then the second of each.
    by_rank = ((rank, one) for found in chosen.values() for rank, one in enumerate(found))
    return [one for _, one in sorted(by_rank, key=lambda pair: pair[0])[:_BEGINNINGS]]


class Samples:
    """Continues the beginnings whenever a row of the log holds an evaluation.

    Args:
        log: folder of `samples.jsonl`.
        vocabulary: of the model.
        chosen: what to continue.
        compiled: whether the model is: it is then left alone, and the plain one writes.
        events: told when a text cannot be written.
    """

    def __init__(
        self,
        log: Path,
        vocabulary: Vocabulary,
        chosen: Sequence[Beginning],
        *,
        compiled: bool,
        events: Events,
    ) -> None:
        self._path = log / SAMPLES_FILE
        self._vocabulary = vocabulary
        self._chosen = chosen
        self._compiled = compiled
        self._events = events
        self._file: MetricsLog | None = None

    def begin(self, rows: Sequence[Row]) -> None:
        """Keep the texts of steps that count, drop later ones."""
        self._file = MetricsLog(self._path, rows[-1]["step"] if rows else 0)

    def see(self, row: Row, model: nn.Module) -> None:
        """Write texts, when the row is of an evaluation."""
        if self._file is None or not self._chosen or "validation_loss" not in row:
            return
        if not isinstance(model, Transformer):
            raise TypeError(f"a {type(model).__name__} writes no text")
        try:
            with _plain(self._compiled):
                texts = {way: self._continued(model, t) for way, t in _WAYS.items()}
        except LlamakitError as error:
            self._events.warn(f"no sample texts at step {row['step']:,}: {error.what}")
            return
        for index, one in enumerate(self._chosen):
            prompt = self._vocabulary.decode(one.prompt)
            told = {way: texts[way][index] for way in _WAYS}
            truth = self._after(one, one.truth)
            self._file.append({"step": row["step"], "prompt": prompt, "truth": truth, **told})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _continued(self, model: Transformer, temperature: float) -> list[str]:
        longest = max(len(one.truth) for one in self._chosen)
        made = generate(
            model,
            self._vocabulary,
            [one.prompt for one in self._chosen],
            Sampling(max_new_tokens=longest, temperature=temperature),
            list(range(len(self._chosen))),
        )
        return [self._after(one, g.ids) for one, g in zip(self._chosen, made, strict=True)]

    def _after(self, one: Beginning, ids: Sequence[int]) -> str:
        """Decoded without its prompt, a continuation would lose the blank it begins with."""
        before = self._vocabulary.decode(one.prompt)
        return self._vocabulary.decode([*one.prompt, *ids])[len(before) :]


@contextmanager
def _plain(compiled: bool) -> Iterator[None]:
    """Run uncompiled inside: texts grow, and every new shape would be compiled."""
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
