"""Kernels that make products alone."""

from __future__ import annotations

from typing import Any

from llamakit.engine.native import kernel
from llamakit.model.product_kernel import product


def _multiply(
    x_ND: Any, w_ED: Any, first: Any, last: Any, out_NE: Any, at: Any, tokens: Any, add: Any,
    shift: Any,
) -> Any:  # fmt: skip
    product(x_ND, w_ED, first, last, out_NE, at, tokens, add > 0, shift)


_REST = "i64 i64 f32[,] i64 i64 i64 i64"
multiply_bf16 = kernel(f"u16[,] u16[,] {_REST}", "multiply_bf16")(_multiply)
multiply_fp32 = kernel(f"u32[,] u32[,] {_REST}", "multiply_fp32")(_multiply)
