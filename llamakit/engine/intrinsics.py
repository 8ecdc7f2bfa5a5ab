"""What kernels can do beyond plain numba: use arrays by their address, and meet other threads.

The functions here stand for machine code: `native` puts it in their place when it compiles a
module that imports them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from llamakit.engine import vectors

_ONLY_COMPILED = "only kernels call this"
_LINE = 8
"""Numbers in a cache line, which threads must not share to be fast."""
_PATIENCE = 2000


def array_at(address: int, rows: int, columns: int, like: Any) -> Any:
    """The array [rows, columns] at an address, of `like`'s dtype. Nothing checks that it is there
    or how large it is; whoever fills a table of addresses keeps their arrays alive.
    """
    raise RuntimeError(_ONLY_COMPILED)


def is_short(word: Any) -> bool:
    """Whether a word has 16 bits: known when code is compiled."""
    return bool(word.itemsize == 2)


def meet(arrivals: Any, thread: int, threads: int) -> None:
    """Wait until each of so many threads has come here as often as this one; what any of them wrote
    before is then seen by all. `arrivals` is `meeting_place(threads)`.
    """
    raise RuntimeError(_ONLY_COMPILED)


def meeting_place(threads: int) -> Any:
    """What threads that meet share: int64, a cache line a thread."""
    import numpy as np

    return np.zeros(threads * _LINE, dtype=np.int64)


def compiled(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """What numba is to compile in a function's place; that function itself unless it is one of the
    above.
    """
    if function is array_at:
        return _array_at()
    if function is is_short:
        return _is_short()
    if function is meet:
        return _meet(options)
    if getattr(function, "__module__", None) == vectors.__name__:
        made: Callable[..., Any] = vectors.compiled().get(function, function)
        return made
    return function


def _module(name: str) -> Any:
    """A module of numba, half of whose functions have types."""
    return importlib.import_module(name)


def _array_at() -> Callable[..., Any]:
    types, arrays = _module("numba.core.types"), _module("numba.np.arrayobj")

    @_module("numba.extending").intrinsic  # type: ignore[untyped-decorator]
    def made(typing: Any, address: Any, rows: Any, columns: Any, like: Any) -> Any:
        kind = types.Array(like.dtype, 2, "C")

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            item = context.get_value_type(types.intp)(like.dtype.bitwidth // 8)
            array = arrays.make_array(kind)(context, builder)
            arrays.populate_array(
                array,
                data=builder.inttoptr(arguments[0], context.get_data_type(like.dtype).as_pointer()),
                shape=arguments[1:3],
                strides=(builder.mul(arguments[2], item), item),
                itemsize=item,
                meminfo=None,
            )
            return array._getvalue()

        return kind(types.int64, types.int64, types.int64, like), code

    return made  # type: ignore[no-any-return]


def _is_short() -> Callable[..., Any]:
    types = _module("numba.core.types")

    @_module("numba.extending").intrinsic  # type: ignore[untyped-decorator]
    def made(typing: Any, word: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return context.get_constant(types.boolean, word.bitwidth == 16)

        return types.boolean(word), code

    return made  # type: ignore[no-any-return]


def _meet(options: dict[str, Any]) -> Callable[..., Any]:
    numba, cgutils = _module("numba"), _module("numba.core.cgutils")
    types, intrinsic = _module("numba.core.types"), _module("numba.extending").intrinsic

    def place(context: Any, builder: Any, array: Any, numbers: Any, index: Any) -> Any:
        fields = cgutils.create_struct_proxy(array)(context, builder, value=numbers)
        return builder.gep(fields.data, [index])

    @intrinsic  # type: ignore[untyped-decorator]
    def told(typing: Any, numbers: Any, index: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = place(context, builder, signature.args[0], *arguments)
            return builder.load_atomic(where, "acquire", 8)

        return types.int64(numbers, types.int64), code

    @intrinsic  # type: ignore[untyped-decorator]
    def tell(typing: Any, numbers: Any, index: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            where = place(context, builder, signature.args[0], *arguments[:2])
            builder.store_atomic(arguments[2], where, "release", 8)
            return context.get_dummy_value()

        return types.void(numbers, types.int64, types.int64), code

    step_aside = types.ExternalFunction("sched_yield", types.int32())

    @numba.njit(**options)  # type: ignore[untyped-decorator]
    def made(arrivals: Any, thread: int, threads: int) -> None:
        mine = arrivals[thread * _LINE] + 1
        tell(arrivals, thread * _LINE, mine)
        for other in range(threads):
            looked = 0
            while told(arrivals, other * _LINE) < mine:
                looked += 1
                # Whoever is waited for may have no processor.
                if looked > _PATIENCE:
                    step_aside()

    return made  # type: ignore[no-any-return]
