"""Naive Bayes over byte n-grams: the model of py3langid, walked by a compiled kernel.

The model is an automaton whose states emit n-grams, and a table of log-probabilities, n-gram by
language. It comes with the py3langid package, whose own walk is in Python. How likely a language is
before anything is read is ours (`LOG_PRIOR`): the model's own prior is nearly even, which makes
Pidgin and Latin of short English texts, of code and of tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llamakit.engine.native import helper, kernel

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
F32 = NDArray[np.float32]

# Languages of the paper's table 10 (those it found in more than 0.005% of the documents), and some
# more that much is written in; English leads them there by a factor of 500 (6 nats).
_WRITTEN_MUCH = (
    "ar bg bn bs ca cs da de el es fa fi fr he hi hr hu id it ja ko ne nl no pl pt ro ru sl sr sv "
    "ta th tr uk ur vi zh"
)
# Written little, and easily found in texts of a larger neighbour.
_WRITTEN_LITTLE = (
    "ace an bcl crh ext fo fuv gcf gcr gom grc guw hbo kab la lij ltg ms nn pcm sdh se uzs vec vo"
)
LOG_PRIOR = {
    "en": 5.0,
    **dict.fromkeys(_WRITTEN_MUCH.split(), 1.0),
    **dict.fromkeys(_WRITTEN_LITTLE.split(), -2.0),
}
"""Log-odds of a language before anything is read; 0 for those not named."""

SHARPNESS = 2.0
"""Evidence in nats for each square root of a byte and unit of the model's log-probability. The
n-grams of a text overlap, so their sum would be too sure; py3langid's own value, 1, is too unsure:
of ten sets of short English texts it told .94 right, but only .80 with a probability of 0.5."""

MEMBERS = {"yue": "zh", "wuu": "zh", "ary": "ar", "arz": "ar"}
"""Varieties told under the code that ISO 639 has for all of a language."""


@dataclass(frozen=True)
class LanguageModel:
    """The model's arrays. S states, N n-grams, L languages."""

    codes: tuple[str, ...]
    """ISO 639 codes of the L columns; `zxx` is text in no language."""
    leader: I64
    """(L,): the column under which a language is told; several columns may share one."""
    moves: I32
    """Next state at [row + byte]; states with equal moves share a row of 256."""
    states: I32
    """(S, 2): where a state's row begins in `moves`, and the n-gram it emits or -1."""
    table: F32
    """(N, L): log-probability of each n-gram in each language."""
    bias: F32
    """(L,): the model's own prior, which counts as one n-gram more."""
    prior: F32
    """(L,): `LOG_PRIOR`."""

    def classify(self, samples: Sequence[bytes]) -> tuple[list[str], F32]:
        """The most probable language of each UTF-8 sample and its probability (0-1); a sample that
        holds no n-gram of the model has the language "" and the probability 0."""
        ends = np.cumsum([len(sample) for sample in samples], dtype=np.int64)
        best = np.empty(len(samples), np.int64)
        probability = np.empty(len(samples), np.float32)
        _classify(
            np.frombuffer(b"".join(samples), np.uint8),
            ends,
            self.moves,
            self.states,
            self.table,
            self.bias,
            self.prior,
            self.leader,
            np.zeros(len(self.table), np.int32),
            np.empty(len(self.table), np.int32),
            np.empty(len(self.bias), np.float32),
            best,
            probability,
        )
        return [self.codes[place] if place >= 0 else "" for place in best.tolist()], probability


@cache
def language_model() -> LanguageModel:
    """Read the model from the installed package; about a second, once a process."""
    import py3langid
    from py3langid.modelio import load_model

    path = Path(py3langid.__file__).parent / "data" / "model.npz.xz"
    table, bias, codes, moves, rows, emitted = load_model(path)
    states = np.empty((len(rows), 2), np.int32)
    states[:, 0] = np.asarray(rows, np.int32) * 256
    states[:, 1] = emitted
    return LanguageModel(
        codes=tuple(codes),
        leader=np.array([codes.index(MEMBERS.get(code, code)) for code in codes], np.int64),
        moves=np.asarray(moves, np.int32),
        states=states,
        table=np.ascontiguousarray(table, np.float32),
        bias=np.ascontiguousarray(bias, np.float32),
        prior=np.array([LOG_PRIOR.get(code, 0.0) for code in codes], np.float32),
    )


@kernel("u8[] i64[] i32[] i32[,] f32[,] f32[] f32[] i64[] i32[] i32[] f32[] i64[] f32[]")
def _classify(
    data: U8,
    ends: I64,
    moves: I32,
    states: I32,
    table: F32,
    bias: F32,
    prior: F32,
    leader: I64,
    counts: I32,
    seen: I32,
    score: F32,
    best: I64,
    probability: F32,
) -> None:
    """`counts` (N,), all 0, `seen` (N,) and `score` (L,) are scratch."""
    n_languages = len(bias)
    start = 0
    for index in range(len(ends)):
        end = ends[index]
        n_seen = 0
        state = 0
        for place in range(start, end):
            state = moves[states[state, 0] + data[place]]
            gram = states[state, 1]
            if gram >= 0:
                if counts[gram] == 0:
                    seen[n_seen] = gram
                    n_seen += 1
                counts[gram] += 1
        for column in range(n_languages):
            score[column] = bias[column]
        for place in range(n_seen):
            gram = seen[place]
            weight = np.float32(math.log1p(counts[gram]))
            counts[gram] = 0
            for column in range(n_languages):
                score[column] += weight * table[gram, column]
        if n_seen == 0:
            best[index] = -1
            probability[index] = 0.0
        else:
            scale = np.float32(SHARPNESS / math.sqrt(end - start))
            for column in range(n_languages):
                score[column] = score[column] * scale + prior[column]
            _tell(score, leader, index, best, probability)
        start = end


@helper
def _tell(score: F32, leader: I64, index: int, best: I64, probability: F32) -> None:
    """Logits to the best language and its probability; columns of one language are added up."""
    top = score[0]
    for column in range(1, len(score)):
        top = max(top, score[column])
    total = np.float32(0.0)
    for column in range(len(score)):
        score[column] = math.exp(score[column] - top)
        total += score[column]
    for column in range(len(score)):
        if leader[column] != column:
            score[leader[column]] += score[column]
            score[column] = 0.0
    found = 0
    for column in range(1, len(score)):
        if score[column] > score[found]:
            found = column
    best[index] = found
    probability[index] = score[found] / total
