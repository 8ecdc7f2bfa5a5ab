"""The compiled kernel: UTF-8 bytes to words, shingles, MinHash values and similarities.

Everything here works on flat arrays, allocates its scratch once a call, and holds no lock, so
that threads of one process share the work. The modules around it give the arrays their meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llamakit.corpus.duplicates.alphabet import ALONE, CLASS_SHIFT, COMPOSES, LETTER
from llamakit.corpus.duplicates.words import begin, decode, mix64, scan
from llamakit.engine.native import helper, kernel

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

EMPTY = np.uint32(2**32 - 1)
"""Every value of the signature of a document without shingles."""
NO_KEY = np.uint64(2**64 - 1)
"""The band key of a document without shingles; no band brings it together with another."""
_KEY = np.uint64(0x9E3779B97F4A7C15)
WINDOW = 4096
"""Words hashed before their shingles are: they fit the fastest cache together."""


@kernel("u8[] i64[] u32[] bool[] bool[]")
def survey(text: U8, offsets: I64, entries: U32, composes: Bool, by_character: Bool) -> None:
    """For each document whether it may need composing, and whether it is mostly of scripts without
    spaces, so that its shingles are of characters."""
    for document in range(len(offsets) - 1):
        start, stop = offsets[document], offsets[document + 1]
        high = np.uint8(0)
        for place in range(start, stop):
            high |= text[place]
        if high < 128:
            continue
        spaced = unspaced = 0
        place = start
        while place < stop:
            code, place = decode(text, place)
            entry = entries[code]
            kind = entry >> CLASS_SHIFT & 7
            if entry & COMPOSES:
                composes[document] = True
            if kind == LETTER:
                spaced += 1
            elif kind == ALONE:
                unspaced += 1
        by_character[document] = unspaced > spaced


@helper
def _shingle(words: U64, n_words: int, keys: U64, out: U64) -> int:
    """Hash each n-gram of words, n = len(keys), into `out`; returns how many there are. Fewer words
    than n are one shingle, no words none."""
    size = len(keys)
    if n_words == 0:
        return 0
    if n_words < size:
        total = np.uint64(0)
        for k in range(n_words):
            total += words[k] * keys[k]
        out[0] = mix64(total)
        return 1
    count = n_words - size + 1
    for first in range(count):
        total = np.uint64(0)
        for k in range(size):
            total += words[first + k] * keys[k]
        out[first] = mix64(total)
    return count


@helper
def _minima(values: U32, count: int, a: U32, b: U32, out: U32) -> None:
    """Lower `out[k]` to the minimum over `values` of a[k] x + b[k] modulo 2^32.

    Eight values at a time, so that a vector of minima is loaded once for them; the inner loop is
    what the compiler turns into vector instructions.
    """
    n_perm = len(a)
    whole = count - count % 8
    for j in range(0, whole, 8):
        x0, x1, x2, x3 = values[j], values[j + 1], values[j + 2], values[j + 3]
        x4, x5, x6, x7 = values[j + 4], values[j + 5], values[j + 6], values[j + 7]
        for k in range(n_perm):
            p, q = a[k], b[k]
            m0 = np.uint32(p * x0 + q)
            m1 = np.uint32(p * x1 + q)
            m2 = np.uint32(p * x2 + q)
            m3 = np.uint32(p * x3 + q)
            m4 = np.uint32(p * x4 + q)
            m5 = np.uint32(p * x5 + q)
            m6 = np.uint32(p * x6 + q)
            m7 = np.uint32(p * x7 + q)
            m0 = m0 if m0 < m1 else m1
            m2 = m2 if m2 < m3 else m3
            m4 = m4 if m4 < m5 else m5
            m6 = m6 if m6 < m7 else m7
            m0 = m0 if m0 < m2 else m2
            m4 = m4 if m4 < m6 else m6
            m0 = m0 if m0 < m4 else m4
            out[k] = out[k] if out[k] < m0 else m0
    for j in range(whole, count):
        x = values[j]
        for k in range(n_perm):
            value = np.uint32(a[k] * x + b[k])
            out[k] = out[k] if out[k] < value else value


@kernel(
    "u8[] i64[] u64[] u32[] u32[,] bool[] u64[] u32[] u32[] u64[,] u32[,] i64[] "
    "u64[] u64[] u32[] u64[]"
)
def sketch(
    text: U8,
    offsets: I64,
    letters: U64,
    entries: U32,
    expansions: U32,
    by_character: Bool,
    keys: U64,
    a: U32,
    b: U32,
    exact: U64,
    signatures: U32,
    n_shingles: I64,
    words: U64,
    shingles: U64,
    low: U32,
    state: U64,
) -> None:
    """Fill, for each document, exact (2, documents), signatures (documents, num_perm) and the
    number of its shingles, repeated ones counted."""
    size = len(keys)
    for document in range(len(offsets) - 1):
        stop = offsets[document + 1]
        signature = signatures[document]
        for k in range(len(signature)):
            signature[k] = EMPTY
        begin(state, offsets[document])
        n_words = total = 0
        while np.int64(state[0]) < stop:
            n_words = scan(
                text,
                stop,
                letters,
                entries,
                expansions,
                by_character[document],
                state,
                words,
                n_words,
            )
            ended = np.int64(state[0]) >= stop
            if total > 0 and n_words < size:
                break  # nothing but the words that the last window ended with
            count = _shingle(words, n_words, keys, shingles)
            for k in range(count):
                low[k] = _mix32(np.uint32(shingles[k]))
            _minima(low, count, a, b, signature)
            total += count
            if ended:
                break
            # The next window's first n-gram begins with the last words of this one.
            for k in range(size - 1):
                words[k] = words[n_words - size + 1 + k]
            n_words = size - 1
        exact[0, document] = mix64(state[4])
        exact[1, document] = mix64(state[5])
        n_shingles[document] = total


@helper
def _mix32(value: np.uint32) -> np.uint32:
    """The 32-bit MurmurHash3 finaliser, which datasketch puts before its permutations."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@kernel("u32[,] i64[] i64 i64 u64[,]")
def band_keys(signatures: U32, n_shingles: I64, bands: int, rows: int, out: U64) -> None:
    """Fill `out` (bands, documents) with a key of each band: equal values, equal key, and
    2^64 - 1 for a document without shingles."""
    for document in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band)
            for row in range(rows):
                value = np.uint64(signatures[document, band * rows + row])
                key = mix64(key * _KEY + value)
            out[band, document] = key if n_shingles[document] > 0 else NO_KEY


@kernel("u8[] i64[] u64[] u32[] u32[,] bool[] u64[] u64[] i64[] u64[] u64[] u64[] -> i64")
def gather(
    text: U8,
    offsets: I64,
    letters: U64,
    entries: U32,
    expansions: U32,
    by_character: Bool,
    keys: U64,
    out: U64,
    counts: I64,
    words: U64,
    table: U64,
    state: U64,
) -> int:
    """Fill `out` with each document's distinct shingles, in order of their first place, one
    document after another, and `counts` with how many each has; returns how many there are.

    `words` and `out` have room for every word there may be, `table` for twice as many (a power of
    two of them, zeros).
    """
    total = 0
    for document in range(len(offsets) - 1):
        begin(state, offsets[document])
        n_words = scan(
            text,
            offsets[document + 1],
            letters,
            entries,
            expansions,
            by_character[document],
            state,
            words,
            0,
        )
        shingles = out[total:]
        count = _shingle(words, n_words, keys, shingles)
        mask = _mask(table, count)
        distinct = 0
        for k in range(count):
            value = max(shingles[k], np.uint64(1))  # 0 marks a free place
            if _insert(table, mask, value):
                shingles[distinct] = value
                distinct += 1
        for k in range(np.int64(mask) + 1):
            table[k] = 0
        counts[document] = distinct
        total += distinct
    return total


@helper
def _mask(table: U64, count: int) -> np.uint64:
    """The size less one of as much of the table as holds `count` values at half load."""
    size = 16
    while size < 2 * count:
        size *= 2
    return np.uint64(size - 1)


@helper
def _insert(table: U64, mask: np.uint64, value: np.uint64) -> bool:
    """Put a value in the table; whether it was not there."""
    place = value & mask
    while table[place] != 0:
        if table[place] == value:
            return False
        place = (place + np.uint64(1)) & mask
    table[place] = value
    return True


@kernel("u64[] i64[] u64[] i64[] i64[,] u64[] f64[]")
def jaccard(
    ones: U64,
    one_offsets: I64,
    others: U64,
    other_offsets: I64,
    pairs: I64,
    table: U64,
    out: NDArray[np.float64],
) -> None:
    """The Jaccard similarity of each pair (n, 2): a set of `ones` and a set of `others`, distinct
    values each. `table`: zeros, a power of two, at least twice the largest set of `ones`."""
    held = np.int64(-1)
    mask = np.uint64(0)
    for number in range(len(pairs)):
        one, other = pairs[number, 0], pairs[number, 1]
        if one != held:
            if held >= 0:
                for k in range(np.int64(mask) + 1):
                    table[k] = 0
            start, stop = one_offsets[one], one_offsets[one + 1]
            mask = _mask(table, stop - start)
            for k in range(start, stop):
                _insert(table, mask, ones[k])
            held = one
        common = 0
        for k in range(other_offsets[other], other_offsets[other + 1]):
            value = others[k]
            place = value & mask
            while table[place] != 0:
                if table[place] == value:
                    common += 1
                    break
                place = (place + np.uint64(1)) & mask
        both = one_offsets[one + 1] - one_offsets[one]
        both += other_offsets[other + 1] - other_offsets[other] - common
        out[number] = common / both if both > 0 else 0.0


@kernel("i64[,] i64[]")
def union(pairs: I64, parent: I64) -> None:
    """Lead every item to the smallest one it is connected to. `parent`: each item's own number."""
    for number in range(len(pairs)):
        one, other = pairs[number, 0], pairs[number, 1]
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        while parent[other] != other:
            parent[other] = parent[parent[other]]
            other = parent[other]
        parent[max(one, other)] = min(one, other)
    for item in range(len(parent)):
        parent[item] = parent[parent[item]]
