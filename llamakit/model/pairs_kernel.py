"""Products of bf16 numbers by an instruction that multiplies pairs, for products and attention.

No liberty is taken here: an output's sum is made in one order, whether it is computed beside other
outputs of its token or beside other tokens. N tokens, D numbers of a token, E outputs.
"""

from __future__ import annotations

from typing import Any

from llamakit.engine.native import helper
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

AHEAD = 8192
"""Numbers between those in use and those that are brought near meanwhile: 16 KB. The processor's
own guesses end where a page does, and reading memory is most of the work."""
_NUMBERS = 32
"""In a vector."""
_ROW = 16
"""Outputs of one token that are computed side by side."""
_PAIRS = 8
"""Pairs of positions that are summed side by side."""


@helper
def product_by_pairs(
    x_ND: Any, w_ED: Any, first: Any, last: Any, out_NE: Any, at: Any, tokens: Any, add: Any
) -> Any:
    """Four tokens by four outputs: what is loaded is used four times."""
    width = x_ND.shape[1]
    for e in range(first, last, 4):
        e1, e2, e3 = min(e + 1, last - 1), min(e + 2, last - 1), min(e + 3, last - 1)
        for d in range(AHEAD, AHEAD + 4 * width, _NUMBERS):
            fetch(w_ED, e, d)
        for n in range(0, tokens, 4):
            a00 = a01 = a02 = a03 = a10 = a11 = a12 = a13 = no_sums()
            a20 = a21 = a22 = a23 = a30 = a31 = a32 = a33 = no_sums()
            for d in range(0, width, _NUMBERS):
                w0, w1 = words_at(w_ED, e, d, width), words_at(w_ED, e1, d, width)
                w2, w3 = words_at(w_ED, e2, d, width), words_at(w_ED, e3, d, width)
                x = words_at(x_ND, n, d, width)
                a00, a01 = add_products(a00, x, w0), add_products(a01, x, w1)
                a02, a03 = add_products(a02, x, w2), add_products(a03, x, w3)
                x = words_at(x_ND, n + 1, d, width)
                a10, a11 = add_products(a10, x, w0), add_products(a11, x, w1)
                a12, a13 = add_products(a12, x, w2), add_products(a13, x, w3)
                x = words_at(x_ND, n + 2, d, width)
                a20, a21 = add_products(a20, x, w0), add_products(a21, x, w1)
                a22, a23 = add_products(a22, x, w2), add_products(a23, x, w3)
                x = words_at(x_ND, n + 3, d, width)
                a30, a31 = add_products(a30, x, w0), add_products(a31, x, w1)
                a32, a33 = add_products(a32, x, w2), add_products(a33, x, w3)
            sums = totals(
                a00, a01, a02, a03, a10, a11, a12, a13, a20, a21, a22, a23, a30, a31, a32, a33
            )
            put_square(sums, out_NE, n, at + e, last - e, add)


@helper
def one_by_pairs(
    x_ND: Any, n: Any, begin: Any, w_ED: Any, first: Any, last: Any, width: Any, ahead: Any,
    out_NE: Any, to: Any, at: Any, add: Any,
) -> Any:  # fmt: skip
    """One token by sixteen outputs."""
    for e in range(first, last, _ROW):
        for d in range(ahead, ahead + _ROW * w_ED.shape[1], _NUMBERS):
            fetch(w_ED, e, d)
        most = last - 1 - e
        a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = no_sums()
        a8 = a9 = aa = ab = ac = ad = ae = af = no_sums()
        for d in range(0, width, _NUMBERS):
            x = words_at(x_ND, n, begin + d, begin + width)
            a0 = add_products(a0, x, words_at(w_ED, e, d, width))
            a1 = add_products(a1, x, words_at(w_ED, e + min(1, most), d, width))
            a2 = add_products(a2, x, words_at(w_ED, e + min(2, most), d, width))
            a3 = add_products(a3, x, words_at(w_ED, e + min(3, most), d, width))
            a4 = add_products(a4, x, words_at(w_ED, e + min(4, most), d, width))
            a5 = add_products(a5, x, words_at(w_ED, e + min(5, most), d, width))
            a6 = add_products(a6, x, words_at(w_ED, e + min(6, most), d, width))
            a7 = add_products(a7, x, words_at(w_ED, e + min(7, most), d, width))
            a8 = add_products(a8, x, words_at(w_ED, e + min(8, most), d, width))
            a9 = add_products(a9, x, words_at(w_ED, e + min(9, most), d, width))
            aa = add_products(aa, x, words_at(w_ED, e + min(10, most), d, width))
            ab = add_products(ab, x, words_at(w_ED, e + min(11, most), d, width))
            ac = add_products(ac, x, words_at(w_ED, e + min(12, most), d, width))
            ad = add_products(ad, x, words_at(w_ED, e + min(13, most), d, width))
            ae = add_products(ae, x, words_at(w_ED, e + min(14, most), d, width))
            af = add_products(af, x, words_at(w_ED, e + min(15, most), d, width))
        sums = totals(a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, aa, ab, ac, ad, ae, af)
        put_row(sums, out_NE, to, at + e, last - e, add)


@helper
def mix_by_pairs(
    shares_XT: Any, thread: Any, values_PK: Any, seen: Any, out_NE: Any, n: Any, at: Any, width: Any
) -> Any:
    """Sums of the values by their shares, of 16 numbers of the head at a time."""
    end, pairs = 2 * width, (seen + 1) // 2
    last = pairs - 1
    for k in range(0, width, 16):
        a = b = c = d = e = f = g = h = no_sums()
        for p in range(0, pairs, _PAIRS):
            if k == 0:
                for ahead in range(AHEAD, AHEAD + _PAIRS * end, 32):
                    fetch(values_PK, p, ahead)
            o = 2 * k
            a = add_products(a, pair_at(shares_XT, thread, 2 * p), words_at(values_PK, p, o, end))
            if p + 1 <= last:
                b = add_products(
                    b, pair_at(shares_XT, thread, 2 * p + 2), words_at(values_PK, p + 1, o, end)
                )
            if p + 2 <= last:
                c = add_products(
                    c, pair_at(shares_XT, thread, 2 * p + 4), words_at(values_PK, p + 2, o, end)
                )
            if p + 3 <= last:
                d = add_products(
                    d, pair_at(shares_XT, thread, 2 * p + 6), words_at(values_PK, p + 3, o, end)
                )
            if p + 4 <= last:
                e = add_products(
                    e, pair_at(shares_XT, thread, 2 * p + 8), words_at(values_PK, p + 4, o, end)
                )
            if p + 5 <= last:
                f = add_products(
                    f, pair_at(shares_XT, thread, 2 * p + 10), words_at(values_PK, p + 5, o, end)
                )
            if p + 6 <= last:
                g = add_products(
                    g, pair_at(shares_XT, thread, 2 * p + 12), words_at(values_PK, p + 6, o, end)
                )
            if p + 7 <= last:
                h = add_products(
                    h, pair_at(shares_XT, thread, 2 * p + 14), words_at(values_PK, p + 7, o, end)
                )
        sums = both(both(both(a, b), both(c, d)), both(both(e, f), both(g, h)))
        put_row(sums, out_NE, n, at + k, width - k, False)
