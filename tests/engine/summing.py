"""Kernels that use vectors."""

from __future__ import annotations

from typing import Any

from llamakit.engine.native import kernel
from llamakit.engine.vectors import (
    add_products,
    both,
    fetch,
    no_sums,
    pair_at,
    put_row,
    put_square,
    totals,
    words_at,
)


@kernel("u16[,] i64 f32[,]")
def dots(rows: Any, width: Any, out: Any) -> Any:
    """Each of 16 rows by the first one: side by side, and as a square."""
    a = b = c = d = e = f = g = h = i = j = k = m = n = o = p = q = no_sums()
    for at in range(0, width, 32):
        fetch(rows, 0, at + 32)
        x = words_at(rows, 0, at, width)
        a = add_products(a, x, words_at(rows, 0, at, width))
        b = add_products(b, x, words_at(rows, 1, at, width))
        c = add_products(c, x, words_at(rows, 2, at, width))
        d = add_products(d, x, words_at(rows, 3, at, width))
        e = add_products(e, x, words_at(rows, 4, at, width))
        f = add_products(f, x, words_at(rows, 5, at, width))
        g = add_products(g, x, words_at(rows, 6, at, width))
        h = add_products(h, x, words_at(rows, 7, at, width))
        i = add_products(i, x, words_at(rows, 8, at, width))
        j = add_products(j, x, words_at(rows, 9, at, width))
        k = add_products(k, x, words_at(rows, 10, at, width))
        m = add_products(m, x, words_at(rows, 11, at, width))
        n = add_products(n, x, words_at(rows, 12, at, width))
        o = add_products(o, x, words_at(rows, 13, at, width))
        p = add_products(p, x, words_at(rows, 14, at, width))
        q = add_products(q, x, words_at(rows, 15, at, width))
    sums = totals(a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q)
    put_row(sums, out, 0, 2, 16, False)
    put_square(sums, out, 1, 3, 4, False)


@kernel("u16[,] u16[,] f32[,]")
def mixes(shares: Any, table: Any, out: Any) -> Any:
    """16 numbers of three rows of pairs, by three pairs of shares."""
    first = add_products(no_sums(), pair_at(shares, 0, 0), words_at(table, 0, 0, 32))
    second = add_products(no_sums(), pair_at(shares, 0, 2), words_at(table, 1, 0, 32))
    second = add_products(second, pair_at(shares, 0, 4), words_at(table, 2, 0, 32))
    put_row(both(first, second), out, 0, 0, 16, False)
