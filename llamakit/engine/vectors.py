"""Vectors in kernels: sums of products of bf16 numbers, two at a time in each of 16 lanes.

Compilers make vectors of plain loops over fp32, but not the instruction that multiplies bf16 in
pairs, with twice the speed (AVX512-BF16: Zen 4, Cooper Lake and later). As in `intrinsics`, the
functions here stand for machine code. Where a processor lacks the instruction they work all the
same, slowly: ask `by_pairs` first. Sums of both kinds differ by their rounding.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from typing import Any

_ONLY_COMPILED = "only kernels call this"
_LANES, _WORDS = 16, 32


def by_pairs(array: Any) -> bool:
    """Whether this processor multiplies such an array's numbers in pairs: bf16 as uint16."""
    raise RuntimeError(_ONLY_COMPILED)


def no_sums() -> Any:
    """16 sums of nothing."""
    raise RuntimeError(_ONLY_COMPILED)


def words_at(array: Any, row: int, column: int, end: int) -> Any:
    """32 bf16 numbers of a row from a column on; zeros from column `end` on, which is not read."""
    raise RuntimeError(_ONLY_COMPILED)


def pair_at(array: Any, row: int, column: int) -> Any:
    """Two bf16 numbers side by side, 16 times the same."""
    raise RuntimeError(_ONLY_COMPILED)


def fetch(array: Any, row: int, column: int) -> None:
    """Have what is there brought near, for later; it need not exist."""
    raise RuntimeError(_ONLY_COMPILED)


def add_products(sums: Any, one: Any, other: Any) -> Any:
    """Add the products of 32 numbers with 32 others to 16 sums: two neighbours to each."""
    raise RuntimeError(_ONLY_COMPILED)


def both(one: Any, other: Any) -> Any:
    """16 sums of two numbers."""
    raise RuntimeError(_ONLY_COMPILED)


def totals(a: Any, b: Any, c: Any, d: Any, *more: Any) -> Any:
    """What the 16 sums of each of 16 vectors come to, as one vector. All in the same order."""
    raise RuntimeError(_ONLY_COMPILED)


def put_row(sums: Any, array: Any, row: int, column: int, count: int, add: bool) -> None:
    """Write the first `count` of 16 numbers side by side, or add them to what is there."""
    raise RuntimeError(_ONLY_COMPILED)


def put_square(sums: Any, array: Any, row: int, column: int, count: int, add: bool) -> None:
    """Write 16 numbers as four rows of four, the first `count` of each."""
    raise RuntimeError(_ONLY_COMPILED)


@functools.cache
def processor_has_pairs() -> bool:
    """Whether bf16 is multiplied in pairs here."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    return bool(features.get("avx512bf16") and features.get("avx512bw"))


Code = dict[Callable[..., Any], Any]
"""What numba is to compile in the place of a function."""


@functools.cache
def compiled() -> Code:
    """What numba is to compile in the place of each function here."""
    build = _Build()
    return _asking(build) | _reading(build) | _summing(build) | _writing(build)


class _Build:
    """LLVM's types, numba's names for them, and pieces of code that several functions share."""

    def __init__(self) -> None:
        self.ir = ir = importlib.import_module("llvmlite.ir")
        self.types, self.cgutils = _module("numba.core.types"), _module("numba.core.cgutils")
        self.intrinsic: Any = _module("numba.extending").intrinsic
        self.i16, self.i32, self.f32 = ir.IntType(16), ir.IntType(32), ir.FloatType()
        self.lanes, self.pairs = ir.VectorType(self.f32, _LANES), ir.VectorType(self.i32, _LANES)
        self.numbers = ir.VectorType(self.i16, _WORDS)
        self.sums = _opaque("Sums", self.lanes)
        self.words = _opaque("Words", self.numbers)

    def call(self, builder: Any, name: str, returns: Any, *arguments: Any) -> Any:
        """One of LLVM's own functions."""
        kind = self.ir.FunctionType(returns, [argument.type for argument in arguments])
        function = self.cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, arguments)

    def address(
        self, context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any
    ) -> Any:
        """Where an element of an array is."""
        fields = self.cgutils.create_struct_proxy(kind)(context, builder, value=array)
        width = self.cgutils.unpack_tuple(builder, fields.shape, 2)[1]
        return builder.gep(fields.data, [builder.add(builder.mul(row, width), column)])

    def shuffled(self, builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        """Lanes of two vectors."""
        mask = self.ir.Constant(self.ir.VectorType(self.i32, len(lanes)), list(lanes))
        return builder.shuffle_vector(a, b, mask)

    def everywhere(self, builder: Any, kind: Any, value: Any) -> Any:
        """A vector of one value."""
        undefined = self.ir.Constant(kind, self.ir.Undefined)
        one = builder.insert_element(undefined, value, self.i32(0))
        return self.shuffled(builder, one, one, [0] * kind.count)

    def first(self, builder: Any, count: Any, lanes: int) -> Any:
        """A mask of the first lanes; there may be fewer than `count`."""
        kind = self.ir.VectorType(self.i16 if lanes == _WORDS else self.i32, lanes)
        most = self.ir.Constant(count.type, lanes)
        few = builder.select(builder.icmp_signed("<", count, most), count, most)
        counts = self.everywhere(builder, kind, builder.trunc(few, kind.element))
        return builder.icmp_signed("<", self.ir.Constant(kind, list(range(lanes))), counts)

    def put(self, builder: Any, vector: Any, where: Any, lanes: int, count: Any, add: Any) -> None:
        """Write a vector's first lanes, or add them to what is there."""
        kind, nothing = self.ir.VectorType(self.f32, lanes), self.ir.VoidType()
        where = builder.bitcast(where, kind.as_pointer())
        zeros, suffix = self.ir.Constant(kind, [0.0] * lanes), f"v{lanes}f32.p0"
        mask, align = self.first(builder, count, lanes), self.i32(4)
        old = self.call(builder, f"llvm.masked.load.{suffix}", kind, where, align, mask, zeros)
        sums = builder.fadd(builder.select(add, old, zeros), vector)
        self.call(builder, f"llvm.masked.store.{suffix}", nothing, sums, where, align, mask)


def _asking(b: _Build) -> Code:
    @b.intrinsic  # type: ignore[untyped-decorator]
    def here(typing: Any, array: Any) -> Any:
        found = array.dtype.bitwidth == b.i16.width and processor_has_pairs()

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return context.get_constant(b.types.boolean, found)

        return b.types.boolean(array), code

    return {by_pairs: here}


def _reading(b: _Build) -> Code:
    place = (b.types.intp, b.types.intp)

    @b.intrinsic  # type: ignore[untyped-decorator]
    def row_of(typing: Any, array: Any, row: Any, column: Any, end: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = b.address(context, builder, array, *arguments[:3])
            where = builder.bitcast(where, b.numbers.as_pointer())
            mask = b.first(builder, builder.sub(arguments[3], arguments[2]), _WORDS)
            zeros, align = b.ir.Constant(b.numbers, [0] * _WORDS), b.i32(2)
            name = "llvm.masked.load.v32i16.p0"
            return b.call(builder, name, b.numbers, where, align, mask, zeros)

        return b.words(array, *place, b.types.intp), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def spread(typing: Any, array: Any, row: Any, column: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = b.address(context, builder, array, *arguments)
            pair = builder.load(builder.bitcast(where, b.i32.as_pointer()), align=2)
            return builder.bitcast(b.everywhere(builder, b.pairs, pair), b.numbers)

        return b.words(array, *place), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def bring(typing: Any, array: Any, row: Any, column: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = b.address(context, builder, array, *arguments)
            where = builder.bitcast(where, b.ir.IntType(8).as_pointer())
            read, near, data = b.i32(0), b.i32(3), b.i32(1)
            b.call(builder, "llvm.prefetch.p0", b.ir.VoidType(), where, read, near, data)
            return context.get_dummy_value()

        return b.types.void(array, *place), code

    return {words_at: row_of, pair_at: spread, fetch: bring}


def _summing(b: _Build) -> Code:
    @b.intrinsic  # type: ignore[untyped-decorator]
    def nothing(typing: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return b.ir.Constant(b.lanes, [0.0] * _LANES)

        return b.sums(), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def products(typing: Any, sums: Any, one: Any, other: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            total = arguments[0]
            x, y = (builder.bitcast(argument, b.pairs) for argument in arguments[1:])
            if processor_has_pairs():
                return b.call(builder, "llvm.x86.avx512bf16.dpbf16ps.512", b.lanes, total, x, y)
            up = b.ir.Constant(b.pairs, [16] * _LANES)
            high = b.ir.Constant(b.pairs, [0xFFFF0000] * _LANES)
            for half, by in ((builder.and_, high), (builder.shl, up)):
                wide = [builder.bitcast(half(vector, by), b.lanes) for vector in (x, y)]
                total = b.call(builder, "llvm.fma.v16f32", b.lanes, *wide, total)
            return total

        return b.sums(b.sums, b.words, b.words), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def added(typing: Any, one: Any, other: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.fadd(*arguments)

        return b.sums(b.sums, b.sums), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def over_lanes(typing: Any, *vectors: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = b.cgutils.unpack_tuple(builder, arguments[0], _LANES)
            for left, right in _HALVINGS:
                found = [
                    builder.fadd(b.shuffled(builder, x, y, left), b.shuffled(builder, x, y, right))
                    for x, y in zip(found[::2], found[1::2], strict=True)
                ]
            return found[0]

        return b.sums(b.types.StarArgUniTuple(b.sums, _LANES)), code

    return {no_sums: nothing, add_products: products, both: added, totals: over_lanes}


def _writing(b: _Build) -> Code:
    place = (b.types.intp, b.types.intp)
    how = (b.types.intp, b.types.boolean)

    @b.intrinsic  # type: ignore[untyped-decorator]
    def row_out(
        typing: Any, sums: Any, array: Any, row: Any, column: Any, count: Any, add: Any
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = b.address(context, builder, array, *arguments[1:4])
            b.put(builder, arguments[0], where, _LANES, *arguments[4:])
            return context.get_dummy_value()

        return b.types.void(sums, array, *place, *how), code

    @b.intrinsic  # type: ignore[untyped-decorator]
    def square_out(
        typing: Any, sums: Any, array: Any, row: Any, column: Any, count: Any, add: Any
    ) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector, data, row, column = arguments[:4]
            for group in range(4):
                here = builder.add(row, b.ir.Constant(row.type, group))
                where = b.address(context, builder, array, data, here, column)
                four = b.shuffled(builder, vector, vector, range(4 * group, 4 * group + 4))
                b.put(builder, four, where, 4, *arguments[4:])
            return context.get_dummy_value()

        return b.types.void(sums, array, *place, *how), code

    return {put_row: row_out, put_square: square_out}


def _within(lanes: Sequence[int]) -> list[int]:
    """Lanes of two vectors, the same in each group of four."""
    return [group + lane for group in range(0, _LANES, 4) for lane in lanes]


def _whole(groups: Sequence[int]) -> list[int]:
    """Groups of four lanes of two vectors."""
    return [4 * group + lane for group in groups for lane in range(4)]


_HALVINGS = (
    (_within((0, 16, 1, 17)), _within((2, 18, 3, 19))),
    (_within((0, 1, 16, 17)), _within((2, 3, 18, 19))),
    (_whole((0, 1, 4, 5)), _whole((2, 3, 6, 7))),
    (_whole((0, 2, 4, 6)), _whole((1, 3, 5, 7))),
)
"""Four times, two vectors become one of half as many sums of each; at last each has one lane."""


def _opaque(name: str, value: Any) -> Any:
    """A type of numba's that is one of LLVM's vectors."""
    base: Any = _module("numba.core.types").Type
    models, extending = _module("numba.core.datamodel.models"), _module("numba.extending")
    made = type(name, (base,), {})(name=name)
    extending.register_model(type(made))(
        lambda manager, kind: models.PrimitiveModel(manager, kind, value)
    )
    return made


def _module(name: str) -> Any:
    """A module of numba, half of whose functions have types."""
    return importlib.import_module(name)
