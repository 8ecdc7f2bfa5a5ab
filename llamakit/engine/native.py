"""Kernels on flat arrays: machine code kept in plain object files and loaded without numba.

numba compiles, once a machine; llvmlite alone loads what it made, since to import numba and set it
up takes half a second and 100 MB in every process. (numba's own cache does not spare that, and it
is made of pickles.) A module declares

    @helper                              called from compiled functions only, of any module
    def _double(value): ...

    @kernel("u8[] i64[,] i64 -> i64")    called from Python: arrays, row by row, and integers
    def count(text, table, limit): ...

and every argument is checked at the call. ctypes drops the interpreter's lock around it, so
threads of one process share the work. A module that sums floats may name in `FASTMATH` which of
LLVM's liberties its own functions allow, wherever they are used; else sums keep their order.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import numpy as np

from llamakit.artifacts.files import atomic_file
from llamakit.engine import intrinsics, vectors

F = TypeVar("F", bound=Callable[..., Any])

_HELPERS: dict[str, list[Callable[..., Any]]] = {}
_KERNELS: dict[str, list[Kernel]] = {}
_LOADED: dict[str, dict[str, Any]] = {}
_LOCK = threading.Lock()
_DTYPES = {
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
    "i32": np.int32,
    "u64": np.uint64,
    "i64": np.int64,
    "f32": np.float32,
    "f64": np.float64,
    "bool": np.bool_,
}
_FORMAT = 2


@dataclass(frozen=True)
class Kernel:
    """One function to be called from Python, with the types of what it takes and returns."""

    name: str
    function: Callable[..., Any]
    takes: tuple[str, ...]
    returns: str

    def call(self, *arguments: Any) -> Any:
        """Run the machine code."""
        return self.bind(*arguments)()

    def bind(self, *arguments: Any) -> Callable[[], Any]:
        """Check arguments once, for many calls with the same arrays.

        numba's convention is (result, error, fields of arguments ...).
        """
        native = _library(self.function.__module__)[self.name]
        fields: list[Any] = []
        for kind, argument in zip(self.takes, arguments, strict=True):
            fields += _fields(self.name, kind, argument)
        result, error = ctypes.c_int64(), ctypes.c_void_p()
        places = (ctypes.byref(result), ctypes.byref(error))

        def run(_alive: tuple[Any, ...] = arguments) -> Any:
            status = native(*places, *fields)
            if status != 0:
                raise RuntimeError(f"{self.name} failed with status {status}")
            return result.value if self.returns else None

        return run


def helper(function: F) -> F:
    """Declare a function that compiled functions of the same module call."""
    _HELPERS.setdefault(function.__module__, []).append(function)
    return function


def kernel(signature: str, name: str | None = None) -> Callable[[F], F]:
    """Declare a function that Python calls; see the module's beginning for the signature. One
    function makes several kernels by as many signatures and names.
    """

    def declare(function: F) -> F:
        takes, _, returns = signature.partition("->")
        named = name or function.__name__
        made = Kernel(named, function, tuple(takes.split()), returns.strip())
        _KERNELS.setdefault(function.__module__, []).append(made)

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            return made.call(*arguments)

        call.__name__ = named
        return call  # type: ignore[return-value]

    return declare


def bind(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """A kernel with its arguments, to be called again and again: they are checked now, and what
    the arrays hold is read at each call.
    """
    made = {item.name: item for item in _KERNELS[function.__module__]}
    return made[function.__name__].bind(*arguments)


def _fields(name: str, kind: str, argument: Any) -> list[Any]:
    """An argument as numba passes it: an array is (owner, parent, items, bytes an item, data,
    shape ..., strides ...)."""
    if "[" not in kind:
        return [ctypes.c_int64(int(argument))]
    dtype, n_axes = _DTYPES[kind[: kind.index("[")]], kind.count(",") + 1
    if argument.dtype != dtype or argument.ndim != n_axes or not argument.flags.c_contiguous:
        raise TypeError(f"{name} takes {kind}, not {argument.dtype}{list(argument.shape)}")
    head = [None, None, argument.size, argument.itemsize]
    data = ctypes.c_void_p(argument.ctypes.data)
    numbers = [*argument.shape, *argument.strides]
    return [
        *(ctypes.c_void_p() if n is None else ctypes.c_int64(n) for n in head),
        data,
        *map(ctypes.c_int64, numbers),
    ]


def _library(module: str) -> dict[str, Any]:
    """The native functions of a module: loaded, or compiled, kept and loaded."""
    if module not in _LOADED:
        with _LOCK:
            if module not in _LOADED:
                _LOADED[module] = _linked(_objects(sys.modules[module]))
    return _LOADED[module]


Objects = dict[str, tuple[str, bytes]]
"""By function: its symbol, and the object file that holds it."""


def _objects(module: ModuleType) -> Objects:
    name = f"{module.__name__.rpartition('.')[2]}-{_key(module)}.bin"
    folders = _folders(module)
    for folder in folders:
        if (folder / name).is_file() and (found := _read(folder / name)) is not None:
            return found
    objects = _compile(module)
    for folder in folders:
        try:
            _write(folder / name, objects)
        except OSError:
            continue
        break
    return objects


def _folders(module: ModuleType) -> list[Path]:
    """Where machine code is kept: beside the module, else in the user's cache folder."""
    beside = Path(str(module.__file__)).parent / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return [
        beside,
        Path(home) / "llamakit",
        Path(tempfile.gettempdir()) / f"llamakit-{os.getuid()}",
    ]


def _key(module: ModuleType) -> str:
    """A digest of all that machine code depends on: source, compiler, processor."""
    from llvmlite import binding

    digest = hashlib.sha256()
    for source in (*_behind(module), sys.modules[__name__], intrinsics, vectors):
        digest.update(Path(str(source.__file__)).read_bytes())
    # What the module imports are constants: their values are compiled in.
    names = sorted(k for k, v in vars(module).items() if isinstance(v, int | np.integer))
    constants = [[name, int(vars(module)[name])] for name in names]
    versions = [metadata.version("numba"), metadata.version("llvmlite"), sys.version]
    processor = [binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()]
    digest.update(json.dumps([_FORMAT, constants, versions, processor]).encode())
    return digest.hexdigest()[:24]


def _read(path: Path) -> Objects | None:
    """Objects from a file; None where its bytes are not what was written."""
    whole = path.read_bytes()
    digest, head, body = whole[:32], whole[32:].partition(b"\n")[0], whole[32:].partition(b"\n")[2]
    if hashlib.sha256(head + body).digest() != digest:
        return None
    objects: Objects = {}
    for name, symbol, size in json.loads(head):
        objects[name] = (symbol, body[:size])
        body = body[size:]
    return objects


def _write(path: Path, objects: Objects) -> None:
    head = json.dumps([[name, symbol, len(code)] for name, (symbol, code) in objects.items()])
    body = b"".join(code for _, code in objects.values())
    with atomic_file(path) as temporary:
        digest = hashlib.sha256(head.encode() + body).digest()
        temporary.write_bytes(digest + head.encode() + b"\n" + body)


def _compile(module: ModuleType) -> Objects:
    """Compile a module's kernels, each with the helpers it calls."""
    import numba

    # `_nrt=False`: nothing is allocated, so the code needs nothing of numba's at run time.
    options: dict[str, Any] = {"_nrt": False, "error_model": "numpy", "nogil": True}
    names = _names(module, options, {})
    options["fastmath"] = getattr(module, "FASTMATH", False)
    objects: Objects = {}
    for item in _KERNELS[module.__name__]:
        copy = FunctionType(item.function.__code__, names, item.name)
        takes = tuple(_numba_type(numba, kind) for kind in item.takes)
        dispatcher = numba.njit(**options)(copy)
        dispatcher.compile(takes)
        symbol = dispatcher.overloads[takes].fndesc.llvm_func_name
        objects[item.name] = (symbol, _object(dispatcher.inspect_llvm(takes), symbol))
    return objects


def _names(
    module: ModuleType, options: dict[str, Any], made: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """What the code of a module finds under its names: helpers, its own and others', compiled.
    `made` has those of modules done before: what two of them use is compiled once.
    """
    import numba

    if module.__name__ in made:
        return made[module.__name__]
    options = {**options, "fastmath": getattr(module, "FASTMATH", False)}
    names = {name: intrinsics.compiled(value, options) for name, value in vars(module).items()}
    made[module.__name__] = names
    for lender in _lenders(module):
        lent = _names(lender, options, made)
        for name, value in vars(module).items():
            if _is_helper(value) and value.__module__ == lender.__name__:
                names[name] = lent[value.__name__]
    for function in _HELPERS.get(module.__name__, []):
        copy = FunctionType(function.__code__, names, function.__name__)
        # Nobody calls helpers from outside: without the ways in, they compile faster.
        alone = {**options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        names[function.__name__] = numba.njit(**alone)(copy)
    return names


def _lenders(module: ModuleType) -> list[ModuleType]:
    """The modules whose helpers a module uses."""
    names = {value.__module__ for value in vars(module).values() if _is_helper(value)}
    return [sys.modules[name] for name in sorted(names - {module.__name__})]


def _behind(module: ModuleType) -> list[ModuleType]:
    """A module, those whose helpers it uses, those whose helpers these use, and so on."""
    found = [module]
    for one in found:
        found += [lender for lender in _lenders(one) if lender not in found]
    return found


def _is_helper(value: Any) -> bool:
    return isinstance(value, FunctionType) and value in _HELPERS.get(value.__module__, [])


def _object(assembly: str, symbol: str) -> bytes:
    """An object file of one function, without the wrappers for the interpreter beside it, which
    would need numba's own symbols at run time."""
    from llvmlite import binding

    module = binding.parse_assembly(assembly)
    for function in module.functions:
        if not function.is_declaration and function.name != symbol:
            function.linkage = "internal"
    machine = _machine()
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(
        module, binding.create_pass_builder(machine, binding.create_pipeline_tuning_options())
    )
    code: bytes = machine.emit_object(module)
    return code


def _machine() -> Any:
    """This processor, as the compiler's target."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )


def _numba_type(numba: ModuleType, kind: str) -> Any:
    if "[" not in kind:
        return numba.types.int64
    element = numba.from_dtype(np.dtype(_DTYPES[kind[: kind.index("[")]]))
    return numba.types.Array(element, kind.count(",") + 1, "C")


def _linked(objects: Objects) -> dict[str, Any]:
    """The functions in the objects, callable."""
    from llvmlite import binding

    # All that compiled loops call: the compiler makes fills and copies of them, and `meet` yields.
    system = ctypes.CDLL(None)
    for symbol in ("memmove", "memcpy", "memset", "sched_yield"):
        binding.add_symbol(symbol, ctypes.cast(system[symbol], ctypes.c_void_p).value)
    functions: dict[str, Any] = {}
    for name, (symbol, code) in objects.items():
        engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
        engine.finalize_object()
        functions[name] = ctypes.CFUNCTYPE(ctypes.c_int32)(engine.get_function_address(symbol))
        _ENGINES.append(engine)
    return functions


_ENGINES: list[Any] = []
"""Machine code lives as long as its engine."""
