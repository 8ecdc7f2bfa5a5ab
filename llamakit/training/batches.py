"""Batches of token rows: documents end to end for pretraining, dialogues packed for fine-tuning.

Every batch is a pure function of the step and the seed: no iterator has a state to be saved, and a
run resumed at any step, or split over any number of processes, reads the same rows.

`B` rows, `L` tokens a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llamakit.errors import InputError
from llamakit.text.tokens import TokenStore
from llamakit.training.dialogues import DialogueTokens
from llamakit.training.micro_batch import MicroBatch
from llamakit.training.packing import pack
from llamakit.training.share import ALONE, Share

# Streams of random numbers under one seed.
_DOCUMENT_ORDER, _ROW_ORDER = 1, 2
# Widths of packed rows are rounded up to this, so that few shapes occur.
_WIDTH_STEP = 64


@dataclass(frozen=True, kw_only=True)
class Batch(MicroBatch):
    """Rows for next-token prediction, all [B, L]."""

    ids_BL: Tensor
    """int64 input tokens."""
    targets_BL: Tensor
    """int64: the token that follows each."""
    mask_BL: Tensor
    """bool: where the target is trained on."""
    segments_BL: Tensor | None
    """int64: attention stays inside runs of one number; None: a row is one text."""
    positions_BL: Tensor | None
    """int64: positions restart with each segment; None: 0, 1, 2, …"""


class PackedDocuments:
    """Documents end to end, cut into rows, epoch after epoch.

    In each epoch the documents of the order are shuffled exactly (one permutation of all) and read
    as one stream that the next epoch continues; row r reads the stream's tokens r*L … r*L + L and
    is asked for the token after each. So every token is an input once for each time its document
    occurs in the order. Only the rows asked for are read from the memory-mapped store.

    Args:
        order: documents in the order to be shuffled; a document that occurs twice is read twice an
            epoch.
        rows: rows a step (`rows * seq_len` tokens).
        micro_rows: rows a micro-batch.
        isolate_documents: attention and loss stay inside a document. The paper does not say; off
            as in most pretraining of its time (for short documents the gain is small, and plain
            causal attention is faster). A token then sees what came before its document in the row.
        shuffle: off reads the order as it is, for validation.
        share: which process this is; it gets its share of every batch's rows, reads no others, and
            where it has fewer than another process, a row without targets.

    Raises:
        InputError: the documents hold no token.
    """

    def __init__(
        self,
        store: TokenStore,
        order: NDArray[np.uint32],
        *,
        seq_len: int,
        rows: int,
        micro_rows: int,
        seed: int,
        isolate_documents: bool = False,
        shuffle: bool = True,
        share: Share = ALONE,
    ) -> None:
        self._store = store
        self._order = order
        self._seq_len = seq_len
        self._rows = rows
        self._micro_rows = micro_rows
        self._seed = seed
        self._isolated = isolate_documents
        self._shuffle = shuffle
        self._share = share
        self._epochs: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        offsets = store.offsets
        self.tokens_per_epoch = int((offsets[order + 1] - offsets[order]).sum())
        """Tokens in one pass over the order."""
        if self.tokens_per_epoch == 0:
            raise InputError("there are no tokens to train on", fix="Tokenize more documents.")

    def batch(self, step: int) -> list[Batch]:
        """The micro-batches of `step`."""
        first = step * self._rows
        return [
            self._read(range(first + rows.start, first + rows.stop))
            for rows in self._share.micro_batches(self._rows, self._micro_rows)
        ]

    def ids(self, step: int) -> list[str]:
        """The documents in the rows of `step`, all processes' rows, in the order they are read."""
        begin = step * self._rows * self._seq_len
        documents = (d for d, _, _ in self._spans(begin, begin + self._rows * self._seq_len + 1))
        return list(dict.fromkeys(self._store.name(document) for document in documents))

    def once(self, limit: int | None = None) -> Iterator[Batch]:
        """The order read once from its beginning, up to `limit` tokens; the last row is padded."""
        stop = self.tokens_per_epoch if limit is None else min(limit, self.tokens_per_epoch)
        n_rows = -(-(stop - 1) // self._seq_len)
        for rows in self._share.micro_batches(n_rows, self._micro_rows):
            yield self._read(rows, stop)

    def tokens_by_source(self, steps: int) -> dict[str, int]:
        """Tokens that `steps` steps read of each source, those of most tokens first: counted along
        the order in which this very run reads its documents."""
        epochs, rest = divmod(steps * self._rows * self._seq_len, self.tokens_per_epoch)
        read = epochs * self._by_source(self._order.astype(np.int64), self.tokens_per_epoch)
        if rest:
            read = read + self._by_source(self._epoch(epochs)[0], rest)
        named = zip(self._store.sources, read.tolist(), strict=True)
        return dict(sorted(((n, r) for n, r in named if r), key=lambda item: (-item[1], item[0])))

    def _by_source(self, documents: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
        """The first `tokens` tokens of documents in reading order, by the place of their source."""
        offsets = self._store.offsets
        lengths = (offsets[documents + 1] - offsets[documents]).astype(np.int64)
        begins = lengths.cumsum() - lengths
        taken = np.clip(tokens - begins, 0, lengths)
        counts = np.zeros(len(self._store.sources), np.int64)
        np.add.at(counts, self._store.source_of[documents], taken)
        return counts

    def _read(self, rows: range, stop: int | None = None) -> Batch:
        """Rows of the endless stream; what lies at token `stop` or later is padding."""
        if not rows:
            return _without_targets(self._seq_len, segmented=self._isolated)
        begin, end = rows.start * self._seq_len, rows.stop * self._seq_len + 1
        stream, texts = self._stream(begin, end if stop is None else min(end, stop))
        known = len(stream)
        padding = (0, end - begin - known)
        stream, texts = np.pad(stream, padding), np.pad(texts, padding, constant_values=-1)
        shape = (len(rows), self._seq_len)
        mask = np.arange(1, len(stream)) < known
        segments = positions = None
        if self._isolated:
            mask &= texts[:-1] == texts[1:]
            segments = texts[:-1].reshape(shape)
            positions = _restarting(segments)
        return Batch(
            ids_BL=torch.from_numpy(stream[:-1].reshape(shape)),
            targets_BL=torch.from_numpy(stream[1:].reshape(shape)),
            mask_BL=torch.from_numpy(mask.reshape(shape)),
            segments_BL=None if segments is None else torch.from_numpy(segments),
            positions_BL=None if positions is None else torch.from_numpy(positions),
            tokens=min(known, len(stream) - 1),
        )

    def _stream(self, begin: int, end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tokens `begin … end - 1` of the endless stream, and which document each belongs to.

        Documents are numbered from the first in this piece.
        """
        spans = list(self._spans(begin, end))
        tokens = np.concatenate([self._store.tokens[a:b] for _, a, b in spans]).astype(np.int64)
        return tokens, np.repeat(np.arange(len(spans)), [b - a for _, a, b in spans])

    def _spans(self, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Tokens `begin … end - 1` of the endless stream as documents and, of each, the first token
        and the one past its last in the store.
        """
        while begin < end:
            epoch, offset = divmod(begin, self.tokens_per_epoch)
            documents, ends = self._epoch(epoch)
            place = int(np.searchsorted(ends, offset, side="right"))
            left = int(ends[place]) - offset
            document = int(documents[place])
            stop = int(self._store.offsets[document + 1])
            take = min(left, end - begin)
            yield document, stop - left, stop - left + take
            begin += take

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The documents of an epoch in reading order, and where each ends in the epoch's stream."""
        if epoch not in self._epochs:
            documents = self._order.astype(np.int64)
            if self._shuffle:
                generator = np.random.default_rng([self._seed, _DOCUMENT_ORDER, epoch])
                documents = generator.permutation(documents)
            offsets = self._store.offsets
            lengths = (offsets[documents + 1] - offsets[documents]).astype(np.int64)
            # A batch touches two epochs at most, but for corpora smaller than a batch.
            while len(self._epochs) >= 2:
                del self._epochs[min(self._epochs)]
            self._epochs[epoch] = (documents, lengths.cumsum())
        return self._epochs[epoch]


class PackedDialogues:
    """Dialogues side by side in rows of at most `seq_len`, none seeing another.

    Rows are filled once by best fit; each epoch shuffles the rows. An epoch's last step may have
    fewer rows. The loss and gradient of a packed row are those of its dialogues alone.

    Args:
        rows: rows a step. The paper's "batch 64" (§3.1) does not say whether packed sequences or
            dialogues are counted; packed sequences are the reading here.
        packed: off gives each dialogue a row of its own.
        share: as for `PackedDocuments`.
    """

    def __init__(
        self,
        dialogues: DialogueTokens,
        *,
        seq_len: int,
        rows: int,
        micro_rows: int,
        seed: int,
        packed: bool = True,
        share: Share = ALONE,
    ) -> None:
        self._dialogues = dialogues
        self._seq_len = seq_len
        self._rows = rows
        self._micro_rows = micro_rows
        self._seed = seed
        self._share = share
        if not len(dialogues):
            raise InputError(
                "there are no dialogues to train on",
                fix="Each must end with an answer that fits into the sequence length.",
            )
        self._lengths = dialogues.lengths()
        alone = [[index] for index in range(len(dialogues))]
        self._packed = pack(self._lengths.tolist(), seq_len) if packed else alone
        self.n_rows = len(self._packed)
        """Rows in an epoch."""
        self.steps_per_epoch = -(-self.n_rows // rows)
        self.fill = int(self._lengths.sum()) / (self.n_rows * seq_len)
        """The share of the rows' places that hold tokens (0-1)."""

    def batch(self, step: int) -> list[Batch]:
        """The micro-batches of `step`."""
        return list(self._cut(self._rows_of(step)))

    def ids(self, step: int) -> list[str]:
        """The dialogues in the rows of `step`, all processes' rows."""
        rows = [self._packed[row] for row in self._rows_of(step)]
        return [self._dialogues.names[dialogue] for row in rows for dialogue in row]

    def once(self) -> Iterator[Batch]:
        """Every row once, in order."""
        return self._cut(np.arange(self.n_rows))

    def _rows_of(self, step: int) -> NDArray[np.int64]:
        epoch, index = divmod(step, self.steps_per_epoch)
        generator = np.random.default_rng([self._seed, _ROW_ORDER, epoch])
        return generator.permutation(self.n_rows)[index * self._rows : (index + 1) * self._rows]

    def _cut(self, rows: NDArray[np.int64]) -> Iterator[Batch]:
        for part in self._share.micro_batches(len(rows), self._micro_rows):
            yield self._fill_rows([self._packed[r] for r in rows[part.start : part.stop]])

    def _fill_rows(self, rows: list[list[int]]) -> Batch:
        if not rows:
            return _without_targets(_WIDTH_STEP, segmented=False)
        used = max(int(self._lengths[row].sum()) for row in rows)
        width = min(self._seq_len, -(-used // _WIDTH_STEP) * _WIDTH_STEP)
        shape = (len(rows), width)
        ids, targets = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        mask = np.zeros(shape, np.bool_)
        # Padding is a segment of its own, so that no token attends to nothing.
        segments = np.full(shape, -1, np.int64)
        tokens = 0
        for index, row in enumerate(rows):
            place = 0
            for segment, dialogue in enumerate(row):
                text, trained = self._dialogues[dialogue]
                span = slice(place, place + len(text) - 1)
                ids[index, span], targets[index, span] = text[:-1], text[1:]
                mask[index, span] = trained[1:]
                segments[index, span] = segment
                place = span.stop
            tokens += place
        # Right padding after a lone text is never seen by causal attention: no segments needed.
        alone = all(len(row) == 1 for row in rows)
        return Batch(
            ids_BL=torch.from_numpy(ids),
            targets_BL=torch.from_numpy(targets),
            mask_BL=torch.from_numpy(mask),
            segments_BL=None if alone else torch.from_numpy(segments),
            positions_BL=None if alone else torch.from_numpy(_restarting(segments)),
            tokens=tokens,
        )


def _without_targets(width: int, *, segmented: bool) -> Batch:
    """One row that adds nothing to a loss: for a process whose share of a batch is smaller."""
    zeros_BL = torch.zeros(1, width, dtype=torch.int64)
    return Batch(
        ids_BL=zeros_BL,
        targets_BL=zeros_BL,
        mask_BL=zeros_BL.bool(),
        segments_BL=zeros_BL if segmented else None,
        positions_BL=None,
        tokens=0,
    )


def _restarting(segments_BL: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions that count from 0 in every run of one segment number."""
    places = np.broadcast_to(np.arange(segments_BL.shape[1]), segments_BL.shape)
    fresh = np.ones(segments_BL.shape, np.bool_)
    fresh[:, 1:] = segments_BL[:, 1:] != segments_BL[:, :-1]
    starts = np.maximum.accumulate(np.where(fresh, places, 0), axis=1)
    return np.ascontiguousarray(places - starts)
