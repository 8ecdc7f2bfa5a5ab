"""Loaders: every token once, a pure function of the step, documents kept apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from llamakit.artifacts.files import atomic_file
from llamakit.errors import InputError
from llamakit.text.tokens import TokenPart, TokenStore, join_parts, write_part
from llamakit.training.batches import Batch, PackedDialogues, PackedDocuments
from llamakit.training.dialogues import DialogueTokens
from llamakit.training.share import Share

LENGTHS = [5, 1, 17, 0, 8, 3, 30, 2]
REPEATS = [1, 3, 1, 1, 0, 2, 1, 1]
SOURCES = ["web", "wiki", "web", "web", "books", "wiki", "news", "web"]


def make_store(folder: Path) -> TokenStore:
    """Documents whose tokens name document and place: 100 * document + place."""
    documents = [
        np.arange(100 * d, 100 * d + n, dtype="<u2").tobytes() for d, n in enumerate(LENGTHS)
    ]
    part = TokenPart(*(folder / name for name in "tlrsnib"))
    names = [f"doc-{d}" for d in range(len(LENGTHS))]
    write_part(part, documents, REPEATS, SOURCES, names, vocab_size=1000)
    join_parts([part], 1000, lambda name: atomic_file(folder / "store" / name))
    return TokenStore.open(folder / "store")


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 11])
def test_tokens_by_source_are_those_that_are_read(tmp_path: Path, steps: int) -> None:
    documents = loader(make_store(tmp_path))
    ids = [i for step in range(steps) for i in flat(documents.batch(step), "ids_BL")]
    seen = Counter(SOURCES[i // 100] for i in ids)
    read = documents.tokens_by_source(steps)
    assert read == dict(seen)
    assert list(read.values()) == sorted(read.values(), reverse=True)


@pytest.fixture
def token_store(tmp_path: Path) -> TokenStore:
    return make_store(tmp_path)


def loader(token_store: TokenStore, **settings: int | bool | Share) -> PackedDocuments:
    values = {"seq_len": 7, "rows": 3, "micro_rows": 2, "seed": 5, **settings}
    return PackedDocuments(token_store, token_store.order, **values)  # type: ignore[arg-type]


def flat(batches: list[Batch], name: str) -> list[int]:
    values: list[int] = torch.cat([getattr(b, name).flatten() for b in batches]).tolist()
    return values


def test_every_token_is_read_as_often_as_the_order_says(token_store: TokenStore) -> None:
    documents = loader(token_store)
    per_epoch = sum(n * r for n, r in zip(LENGTHS, REPEATS, strict=True))
    assert documents.tokens_per_epoch == per_epoch
    epochs = 21  # 3 rows of 7 a step: whole epochs end with a step after 21 of them
    batches = [b for step in range(per_epoch) for b in documents.batch(step)]
    seen = Counter(flat(batches, "ids_BL"))
    asked = Counter(flat(batches, "targets_BL"))
    expected = {
        100 * d + p: r * epochs
        for d, (n, r) in enumerate(zip(LENGTHS, REPEATS, strict=True))
        for p in range(n)
        if r
    }
    assert seen == expected
    assert abs(sum(asked.values()) - sum(expected.values())) == 0
    assert sum((asked - Counter(expected)).values()) <= 1  # the stream is one token ahead


def test_each_epoch_reads_whole_documents_in_another_order(token_store: TokenStore) -> None:
    documents = loader(token_store, rows=1, seq_len=1, micro_rows=1)
    n = documents.tokens_per_epoch
    stream = [flat(documents.batch(step), "ids_BL")[0] for step in range(3 * n)]
    orders = []
    for epoch in range(3):
        tokens = stream[epoch * n : (epoch + 1) * n]
        order = [t // 100 for t in tokens if t % 100 == 0]
        assert tokens == [100 * d + p for d in order for p in range(LENGTHS[d])]
        orders.append(order)
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_targets_follow_their_inputs(token_store: TokenStore) -> None:
    documents = loader(token_store)
    batches = [b for step in range(10) for b in documents.batch(step)]
    assert flat(batches, "targets_BL")[:-1] == flat(batches, "ids_BL")[1:]
    assert all(flat(batches, "mask_BL"))
    assert [len(b.ids_BL) for b in documents.batch(0)] == [2, 1]
    assert sum(b.tokens for b in documents.batch(0)) == 21


def test_a_step_depends_on_the_seed_and_nothing_before(token_store: TokenStore) -> None:
    documents = loader(token_store)
    forwards = [flat(documents.batch(step), "ids_BL") for step in range(30)]
    fresh = loader(token_store)
    assert [flat(fresh.batch(step), "ids_BL") for step in reversed(range(30))] == forwards[::-1]
    assert flat(loader(token_store, seed=6).batch(0), "ids_BL") != forwards[0]


def test_micro_batches_are_only_a_cut(token_store: TokenStore) -> None:
    whole, cut = loader(token_store, micro_rows=3), loader(token_store, micro_rows=1)
    for step in range(12):
        assert flat(whole.batch(step), "ids_BL") == flat(cut.batch(step), "ids_BL")


class Recorded:
    """An array that remembers which of its places were read."""

    def __init__(self, array: NDArray[np.uint16]) -> None:
        self.array = array
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, places: slice) -> NDArray[np.uint16]:
        self.read |= set(range(*places.indices(len(self.array))))
        return self.array[places]


def test_the_documents_of_a_step_are_those_that_are_read(token_store: TokenStore) -> None:
    documents = loader(token_store)
    for step in range(30):
        batches = documents.batch(step)
        tokens = [*flat(batches, "ids_BL"), flat(batches, "targets_BL")[-1]]
        read = list(dict.fromkeys(f"doc-{token // 100}" for token in tokens))
        assert documents.ids(step) == read
        # Whichever process asks: all rows of the step are meant.
        assert loader(token_store, share=Share(1, 2)).ids(step) == read


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize(("rows", "micro_rows"), [(8, 2), (8, 3), (5, 1), (3, 4)])
def test_processes_share_the_rows_of_a_step(
    token_store: TokenStore, rows: int, micro_rows: int, isolated: bool
) -> None:
    settings = {"rows": rows, "micro_rows": micro_rows, "isolate_documents": isolated}
    whole = loader(token_store, **settings)
    for world in (1, 2, 3, 4):
        for step in range(6):
            parts = []
            for rank in range(world):
                recorded = Recorded(token_store.tokens)
                store = replace(token_store, tokens=recorded)  # type: ignore[arg-type]
                documents = loader(store, **settings, share=Share(rank, world))
                parts.append(documents.batch(step))
                held = set(flat(parts[-1], "ids_BL")) | set(flat(parts[-1], "targets_BL"))
                assert {int(token_store.tokens[i]) for i in recorded.read} <= held
            assert len({len(part) for part in parts}) == 1  # as many micro-batches in each
            assert all(len(b.ids_BL) <= micro_rows for part in parts for b in part)
            real = [b for part in parts for b in part if b.tokens]
            for name in ("ids_BL", "targets_BL", "mask_BL"):
                assert flat(real, name) == flat(whole.batch(step), name)
            idle = [b for part in parts for b in part if not b.tokens]
            assert not any(b.mask_BL.any() for b in idle)


def test_processes_share_validation(token_store: TokenStore) -> None:
    def batches(share: Share) -> list[Batch]:
        return list(loader(token_store, shuffle=False, share=share).once(limit=40))

    shared = [b for rank in range(4) for b in batches(Share(rank, 4)) if b.tokens]
    for name in ("ids_BL", "targets_BL", "mask_BL"):
        assert flat(shared, name) == flat(batches(Share(0, 1)), name)


def test_isolated_documents(token_store: TokenStore) -> None:
    joined = loader(token_store)
    for step in range(20):
        for batch, plain in zip(
            loader(token_store, isolate_documents=True).batch(step), joined.batch(step), strict=True
        ):
            assert plain.segments_BL is None
            assert plain.positions_BL is None
            assert batch.segments_BL is not None
            assert batch.positions_BL is not None
            assert torch.equal(batch.ids_BL, plain.ids_BL)
            for row in range(len(batch.ids_BL)):
                check_isolated_row(*(
                    t[row].tolist()
                    for t in (batch.ids_BL, batch.targets_BL, batch.mask_BL,
                              batch.segments_BL, batch.positions_BL)
                ))  # fmt: skip


def check_isolated_row(
    ids: list[int], targets: list[int], mask: list[bool], segments: list[int], positions: list[int]
) -> None:
    position = 0
    for i, (token, target) in enumerate(zip(ids, targets, strict=True)):
        goes_on = target == token + 1
        assert mask[i] == goes_on
        assert positions[i] == position
        position = position + 1 if goes_on else 0
        if i + 1 < len(ids):
            assert (segments[i] == segments[i + 1]) == goes_on


def test_validation_reads_once_in_order(token_store: TokenStore) -> None:
    documents = PackedDocuments(
        token_store, token_store.order, seq_len=7, rows=3, micro_rows=2, seed=0, shuffle=False
    )
    batches = list(documents.once())
    inputs = [100 * d + p for d in token_store.order for p in range(LENGTHS[d])]
    ids, mask = flat(batches, "ids_BL"), flat(batches, "mask_BL")
    targets = flat(batches, "targets_BL")
    assert ids[: len(inputs)] == inputs
    assert [t for t, m in zip(targets, mask, strict=True) if m] == inputs[1:]
    short = list(documents.once(limit=10))
    assert sum(sum(flat([b], "mask_BL")) for b in short) == 9
    assert sum(b.tokens for b in short) == 10


def test_a_store_without_tokens_is_refused(token_store: TokenStore) -> None:
    with pytest.raises(InputError, match="no tokens to train on"):
        PackedDocuments(token_store, token_store.order[:0], seq_len=4, rows=1, micro_rows=1, seed=0)


def dialogue_tokens(lengths: list[int]) -> DialogueTokens:
    """Dialogues of `lengths` inputs (one token more); the second half of each is trained on."""
    ids: list[NDArray[np.int32]] = []
    trained: list[NDArray[np.bool_]] = []
    for index, n in enumerate(lengths):
        ids.append(np.arange(n + 1, dtype=np.int32) + 100 * (index + 1))
        trained.append(np.arange(n + 1) > n // 2)
    offsets = np.cumsum([0, *(n + 1 for n in lengths)]).astype(np.int64)
    return DialogueTokens(
        np.concatenate(ids),
        np.concatenate(trained),
        offsets,
        {},
        [f"d{i}" for i in range(len(lengths))],
    )


@pytest.mark.parametrize("packed", [True, False])
def test_every_dialogue_once_an_epoch(packed: bool) -> None:
    lengths = [3, 9, 4, 12, 1, 7, 16, 5]
    rows = PackedDialogues(
        dialogue_tokens(lengths), seq_len=16, rows=2, micro_rows=1, seed=1, packed=packed
    )
    assert rows.n_rows == (4 if packed else 8)
    for epoch in range(3):
        first = epoch * rows.steps_per_epoch
        batches = [b for s in range(rows.steps_per_epoch) for b in rows.batch(first + s)]
        pairs = {
            (i, t)
            for i, t, m in zip(*(flat(batches, n) for n in ("ids_BL", "targets_BL", "mask_BL")),
                               strict=True)
            if m
        }  # fmt: skip
        assert pairs == {
            (100 * (d + 1) + p, 100 * (d + 1) + p + 1)
            for d, n in enumerate(lengths)
            for p in range(n // 2, n)
        }
        assert sum(b.tokens for b in batches) == sum(lengths)
    assert rows.fill == pytest.approx(sum(lengths) / (16 * rows.n_rows))


def test_the_dialogues_of_a_step_are_those_that_are_read() -> None:
    lengths = [3, 9, 4, 12, 1, 7, 16, 5]
    rows = PackedDialogues(dialogue_tokens(lengths), seq_len=16, rows=2, micro_rows=1, seed=1)
    for step in range(2 * rows.steps_per_epoch):
        read = {i // 100 - 1 for i in flat(rows.batch(step), "ids_BL") if i}
        assert set(rows.ids(step)) == {f"d{index}" for index in read}


def test_rows_are_shuffled_by_epoch_and_seed() -> None:
    tokens = dialogue_tokens([8] * 12)

    def order(seed: int, epoch: int) -> list[int]:
        rows = PackedDialogues(tokens, seq_len=8, rows=5, micro_rows=5, seed=seed)
        steps = range(epoch * rows.steps_per_epoch, (epoch + 1) * rows.steps_per_epoch)
        assert [len(rows.batch(s)[0].ids_BL) for s in steps] == [5, 5, 2]
        return [
            int(b.ids_BL[r, 0]) for s in steps for b in rows.batch(s) for r in range(len(b.ids_BL))
        ]

    assert order(1, 0) == order(1, 0)
    assert sorted(order(1, 0)) == sorted(order(1, 1))
    assert len({tuple(order(s, e)) for s in (1, 2) for e in (0, 1)}) == 4


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_dialogues_of_a_step(world: int) -> None:
    lengths = [3, 9, 4, 12, 1, 7, 16, 5, 8, 8, 2]
    settings = {"seq_len": 16, "rows": 4, "micro_rows": 1, "seed": 1}
    whole = PackedDialogues(dialogue_tokens(lengths), **settings)  # type: ignore[arg-type]
    assert whole.n_rows % 4  # an epoch's last step has fewer rows, maybe less than processes
    for step in range(2 * whole.steps_per_epoch):
        parts = []
        for rank in range(world):
            rows = PackedDialogues(
                dialogue_tokens(lengths),
                **settings,  # type: ignore[arg-type]
                share=Share(rank, world),
            )
            parts.append(rows.batch(step))
        assert len({len(part) for part in parts}) == 1
        for name in ("ids_BL", "targets_BL", "mask_BL"):
            together = [b for part in parts for b in part if b.tokens]
            assert flat(together, name) == flat(whole.batch(step), name)


def test_padding_is_a_segment_of_its_own() -> None:
    rows = PackedDialogues(dialogue_tokens([3, 2, 7]), seq_len=8, rows=2, micro_rows=2, seed=0)
    (batch,) = rows.once()
    assert batch.segments_BL is not None
    assert batch.positions_BL is not None
    assert batch.segments_BL.tolist() == [[0] * 7 + [-1], [0] * 3 + [1] * 2 + [-1] * 3]
    assert batch.positions_BL[1].tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert not batch.mask_BL[batch.segments_BL == -1].any()


def test_lone_dialogues_need_no_segments() -> None:
    rows = PackedDialogues(
        dialogue_tokens([3, 70]), seq_len=200, rows=2, micro_rows=2, seed=0, packed=False
    )
    (batch,) = rows.once()
    assert batch.segments_BL is None
    assert batch.ids_BL.shape == (2, 128)  # as wide as the longest needs, in steps of 64


def test_no_dialogues_are_refused() -> None:
    none = DialogueTokens(
        np.empty(0, np.int32), np.empty(0, np.bool_), np.zeros(1, np.int64), {}, []
    )
    with pytest.raises(InputError, match="no dialogues to train on"):
        PackedDialogues(none, seq_len=8, rows=1, micro_rows=1, seed=0)


def test_moving_to_the_same_device_copies_nothing(token_store: TokenStore) -> None:
    batch = loader(token_store, isolate_documents=True).batch(0)[0]
    assert batch.to("cpu") is batch
    moved = batch.to("meta")
    assert moved.ids_BL.device.type == "meta"
    assert replace(moved, ids_BL=batch.ids_BL).tokens == batch.tokens
