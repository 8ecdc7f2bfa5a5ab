"""What a stage's fields are: inputs, identity, execution; read once from its annotations.

documents: Input[Documents]            one required artifact
extra: Input[Documents] | None = None  an optional one
parts: Inputs[Documents]               several
files: Files                           files on disk, or raw artifacts (`ModelFiles`: models too)
similarity: Identity[float] = 0.8      shapes the result: part of the fingerprint
workers: Execution[int] = 2            does not
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import cache
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from llamakit.artifacts.kinds import Kind, Model, Raw
from llamakit.artifacts.store import Version

T = TypeVar("T")
K = TypeVar("K", bound=Kind)

RoleName = Literal["input", "inputs", "files", "identity", "execution"]


@dataclass(frozen=True)
class Role:
    """The mark an annotation carries: what a field is for, and the kinds an input may have."""

    name: RoleName
    kinds: tuple[str, ...] = ()


Identity = Annotated[T, Role("identity")]
Execution = Annotated[T, Role("execution")]
Files = Annotated[tuple[str, ...], Role("files", (Raw.name,))]
ModelFiles = Annotated[tuple[str, ...], Role("files", (Raw.name, Model.name))]

if TYPE_CHECKING:
    Input = str | Version[K]
    Inputs = tuple[str | Version[K], ...]
else:

    class Input:
        """`Input[Documents]`: a reference to one artifact of that kind (or of several kinds)."""

        def __class_getitem__(cls, kinds):
            return Annotated[str, Role("input", _kind_names(kinds))]

    class Inputs:
        """`Inputs[Documents]`: references to several artifacts of that kind."""

        def __class_getitem__(cls, kinds):
            return Annotated[tuple[str, ...], Role("inputs", _kind_names(kinds))]


def _kind_names(kinds: Any) -> tuple[str, ...]:
    options = get_args(kinds) or (kinds,)
    return tuple(kind.name for kind in options)


@dataclass(frozen=True)
class Field:
    """One field of a stage, as the command line, a pipeline file and a test see it."""

    name: str
    """The attribute's name (`as_` where the key would be a keyword of Python)."""
    role: Role
    type: Any
    """The annotation without the role: `float`, `Annotated[int, Ge(1)]`, `str | None`, …"""
    default: Any
    """`MISSING` when the field is required."""

    @property
    def key(self) -> str:
        """The key in a pipeline file; with dashes, the flag."""
        return self.name.rstrip("_")

    @property
    def flag(self) -> str:
        """The flag on the command line."""
        return "--" + self.key.replace("_", "-")

    @property
    def required(self) -> bool:
        """Whether the field must be given."""
        return self.default is MISSING

    @property
    def is_input(self) -> bool:
        """Whether the field names something to read rather than a setting."""
        return self.role.name in ("input", "inputs", "files")

    @property
    def many(self) -> bool:
        """Whether the field takes several values."""
        return self.role.name in ("inputs", "files")


def fields_of(stage: type[Any]) -> dict[str, Field]:
    """A stage's fields by key, in the order of their declaration: its own before those that it
    shares with others.

    Raises:
        TypeError: a field declares no role. Found by the first import in any test.
    """
    key: Any = stage  # mypy does not take a class for hashable
    return _fields_of(key)


def positional_inputs(stage: type[Any]) -> list[str]:
    """Keys of the inputs that words without a flag name: those that must be given, or else the
    first, where one of several is enough."""
    inputs = {key: item for key, item in fields_of(stage).items() if item.is_input}
    return [key for key, item in inputs.items() if item.required] or list(inputs)[:1]


@cache
def _fields_of(stage: Any) -> dict[str, Field]:
    hints = get_type_hints(stage, include_extras=True)
    fields = {}
    bases = [vars(base).get("__annotations__", {}) for base in stage.__mro__[1:]]
    for item in sorted(
        dataclasses.fields(stage), key=lambda item: any(item.name in base for base in bases)
    ):
        role, plain = _split(hints[item.name])
        if role is None:
            raise TypeError(f"{stage.__name__}.{item.name} is neither Identity nor Execution")
        default = item.default
        if item.default_factory is not MISSING:
            default = item.default_factory()
        field = Field(item.name, role, plain, default)
        fields[field.key] = field
    return fields


def _split(hint: Any) -> tuple[Role | None, Any]:
    """Take the role out of an annotation, wherever `X | None` hides it."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        roles = [mark for mark in marks if isinstance(mark, Role)]
        others = tuple(mark for mark in marks if not isinstance(mark, Role))
        nested, plain = _split(inner)
        if others:
            plain = Annotated[(plain, *others)]
        return (roles[0] if roles else nested), plain
    if get_origin(hint) in (Union, types.UnionType):
        found = [_split(option) for option in get_args(hint)]
        roles = [role for role, _ in found if role is not None]
        plain = Union[tuple(option for _, option in found)]  # noqa: UP007 - built at run time
        return (roles[0] if roles else None), plain
    return None, hint


def help_of(stage: type) -> Mapping[str, str]:
    """The fields' documentation by key: the string literal that follows each field.

    Parsed from the source, so only a command that shows it pays for it.
    """
    texts: dict[str, str] = {}
    for owner in reversed(stage.__mro__):
        if dataclasses.is_dataclass(owner):
            texts.update(_attribute_docs(owner))
    return texts


def _attribute_docs(owner: type) -> dict[str, str]:
    source = inspect.getsourcefile(owner)
    if source is None:
        return {}
    tree = ast.parse(Path(source).read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if not (isinstance(node, ast.ClassDef) and node.name == owner.__name__):
            continue
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                text = " ".join(following.value.value.split())
                found[statement.target.id.rstrip("_")] = text
    return found
