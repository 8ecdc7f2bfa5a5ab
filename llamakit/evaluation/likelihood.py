"""Log-likelihoods of continuations, each context read once.

What all contexts of a group begin with (a few-shot prefix) is read once and kept as keys and
values; what the choices of one question share is read once for all of them; and only the
positions that predict a choice's tokens are projected onto the vocabulary. Which rows are computed
together follows from their lengths alone, so no setting changes a score.

Names: `B` rows, `L` positions of a row, `N` predicting positions, `D` width, `V` vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llamakit.evaluation.prompts import ChoiceRows
from llamakit.model.cache import KVCache
from llamakit.model.transformer import Transformer

_CACHED_TOKENS = 16_384  # positions of keys and values held by one batch
_PROJECTED = 512  # rows of logits at once: with 32,000 pieces, 64 MiB of fp32
_SPREAD = 16  # contexts, and choices, of a batch differ by at most this, or by an eighth


@dataclass(frozen=True)
class _Target:
    """A token to score: which position predicts it, and to which choice it counts."""

    row: int
    position: int
    token: int
    question: int
    choice: int


def fitted(rows: ChoiceRows, window: int) -> tuple[ChoiceRows, bool]:
    """The rows within `window` tokens: the beginning of the context goes, its first token (the
    beginning of sequence) stays. Also whether anything had to go.

    A choice longer than the window loses its beginning.
    """
    longest = max(len(choice) for choice in rows.choices)
    if len(rows.context) + longest <= window:
        return rows, False
    room = max(1, window - longest)
    context = rows.context[:1] + rows.context[len(rows.context) - room + 1 :] * (room > 1)
    choices = [choice[-(window - 1) :] for choice in rows.choices]
    return ChoiceRows(context, choices), True


def choice_logprobs(
    model: Transformer,
    questions: Sequence[ChoiceRows],
    pad: int,
    advance: Callable[[int], None] | None = None,
) -> list[list[float]]:
    """The log-probability (nats) of every choice after its context, as `token_logprobs` sums it."""
    return [
        [sum(choice) for choice in scored]
        for scored in token_logprobs(model, questions, pad, advance)
    ]


@torch.inference_mode()
def token_logprobs(
    model: Transformer,
    questions: Sequence[ChoiceRows],
    pad: int,
    advance: Callable[[int], None] | None = None,
) -> list[list[list[float]]]:
    """The log-probability (nats) of every token of every choice after its context.

    Pass questions together that begin alike; the longest common beginning of all contexts is read
    once. `advance` is told how many questions were just done.
    """
    model.eval()
    found: list[list[list[float]]] = [[[] for _ in question.choices] for question in questions]
    if not questions:
        return found
    contexts = [question.context for question in questions]
    # A context's last token is always read with the choices: it predicts their first one.
    shared = min(_common_length(contexts), min(map(len, contexts)) - 1)
    prefix = _read(model, None, [contexts[0][:shared]])
    for group in _batches(questions, shared):
        members = [questions[index] for index in group]
        cached = min(len(question.context) for question in members) - 1
        cache = prefix
        if cached > shared:
            heads = [question.context[shared:cached] for question in members]
            cache = _read(model, prefix, heads)
        for target, logprob in _score(model, members, cached, cache, pad):
            found[group[target.question]][target.choice].append(logprob)
        if advance is not None:
            advance(len(group))
    return found


def _batches(questions: Sequence[ChoiceRows], shared: int) -> Iterator[list[int]]:
    """Indices of questions to compute together: of like length, within the budget."""

    def sizes(index: int) -> tuple[int, int]:
        question = questions[index]
        return len(question.context) - shared, max(map(len, question.choices))

    batch: list[int] = []
    rows = longest = 0
    for index in sorted(range(len(questions)), key=sizes):
        context, choice = sizes(index)
        if batch:
            first_context, first_choice = sizes(batch[0])
            more = rows + len(questions[index].choices)
            full = more * (shared + max(longest, context + choice)) > _CACHED_TOKENS
            if full or _far(context, first_context) or _far(choice, first_choice):
                yield batch
                batch, rows, longest = [], 0, 0
        batch.append(index)
        rows += len(questions[index].choices)
        longest = max(longest, context + choice)
    if batch:
        yield batch


def _far(length: int, shortest: int) -> bool:
    return abs(length - shortest) > max(_SPREAD, shortest // 8)


def _read(
    model: Transformer, before: KVCache | None, rows: Sequence[Sequence[int]]
) -> KVCache | None:
    """Keys and values of rows of equal length that follow `before`, which may hold one row."""
    length = len(rows[0])
    if length == 0:
        return before
    ids_BL = torch.tensor(list(map(list, rows)), device=_device(model))
    if before is None:
        cache = KVCache.for_model(model, model.config, len(rows), length)
    else:
        same_B = torch.zeros(len(rows), dtype=torch.int64, device=ids_BL.device)
        cache = before.select(same_B, before.length + length)
    model(ids_BL, cache=cache)
    return cache


def _score(
    model: Transformer,
    questions: Sequence[ChoiceRows],
    cached: int,
    cache: KVCache | None,
    pad: int,
) -> Iterator[tuple[_Target, float]]:
    """Every target in order with its log-probability, given keys and values of each context's
    first `cached` ids."""
    rows, owners, targets = _layout(questions, cached)
    device = _device(model)
    width = max(map(len, rows))
    ids_BL = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=device)
    if cache is not None:
        one_row = cache.keys[0].shape[0] == 1
        picked = [0 if one_row else owner for owner in owners]
        cache = cache.select(torch.tensor(picked, device=device), cache.length + width)
    hidden_BLD = model(ids_BL, cache=cache)
    # Choices that differ in their last token only are predicted by the same positions.
    places = sorted({(target.row, target.position) for target in targets})
    rank = {place: number for number, place in enumerate(places)}
    rows_N, positions_N = torch.tensor(places, device=device).T
    logprobs = _target_logprobs(
        model,
        hidden_BLD[rows_N, positions_N],
        [rank[target.row, target.position] for target in targets],
        [target.token for target in targets],
    )
    return zip(targets, logprobs, strict=True)


def _layout(
    questions: Sequence[ChoiceRows], cached: int
) -> tuple[list[list[int]], list[int], list[_Target]]:
    """Rows to read (the rest of a context and a choice), each row's question, and the targets."""
    rows: list[list[int]] = []
    owners: list[int] = []
    targets: list[_Target] = []
    for number, question in enumerate(questions):
        rest = question.context[cached:]
        known: dict[tuple[int, ...], int] = {}
        for index, choice in enumerate(question.choices):
            read = tuple(choice[:-1])
            if read not in known:
                known[read] = len(rows)
                rows.append([*rest, *read])
                owners.append(number)
            first = len(rest) - 1
            targets += [
                _Target(known[read], first + place, token, number, index)
                for place, token in enumerate(choice)
            ]
    return rows, owners, targets


def _target_logprobs(
    model: Transformer, hidden_ND: Tensor, ranks: Sequence[int], tokens: Sequence[int]
) -> list[float]:
    """Log-probability of each target token, given the number of its predicting position."""
    ranks_M = torch.tensor(ranks, device=hidden_ND.device)
    tokens_M = torch.tensor(tokens, device=hidden_ND.device)
    found_M = torch.empty(len(tokens), dtype=torch.float32, device=hidden_ND.device)
    for start in range(0, len(hidden_ND), _PROJECTED):
        logits_NV = model.logits(hidden_ND[start : start + _PROJECTED]).float()
        here_M = (ranks_M >= start) & (ranks_M < start + _PROJECTED)
        local = ranks_M[here_M] - start
        found_M[here_M] = logits_NV[local, tokens_M[here_M]] - logits_NV.logsumexp(dim=-1)[local]
    values: list[float] = found_M.double().tolist()
    return values


def _common_length(rows: Sequence[Sequence[int]]) -> int:
    """How many ids all rows begin with in common."""
    # Of rows in dictionary order, the first and the last differ soonest.
    ordered = sorted(map(list, rows))
    lowest, highest = ordered[0], ordered[-1]
    for index, (first, second) in enumerate(zip(lowest, highest, strict=False)):
        if first != second:
            return index
    return min(len(lowest), len(highest))


def _device(model: Transformer) -> torch.device:
    return next(model.parameters()).device
