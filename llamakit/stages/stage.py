"""The contract every stage keeps: a typed config, a fingerprint, and one `run`.

A stage is one frozen dataclass. Its fields are the command's flags, the pipeline file's keys and
the Python API at once; constructing one validates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Kind
from llamakit.artifacts.store import Version
from llamakit.errors import UsageError, nearest
from llamakit.stages.fields import Field, fields_of
from llamakit.stages.validation import validated


@dataclass(frozen=True)
class Outcome:
    """What a run tells of itself, for the record: counts, metrics, one line for a table, and what
    it used of the machine, which may differ from run to run."""

    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    headline: str = ""
    usage: dict[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a stage says without making anything: lines for a person, values for a program."""

    text: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Base of all stages. Subclasses add fields, the class variables below, and `run`."""

    makes: ClassVar[type[Kind] | tuple[type[Kind], ...]]
    """The kind of artifact it writes; several when the config decides (see `output_kind`)."""
    revision: ClassVar[int]
    """Raised whenever the bytes the stage writes for the same config and inputs change."""
    panel: ClassVar[str]
    """The help panel the command stands in."""
    sections: ClassVar[Mapping[str, str]] = {}
    """Headings for the help of a stage with many settings, each by the key it stands before."""
    explains: ClassVar[str] = ""
    """What `--explain` answers, for its help; empty where there is nothing to ask."""
    many_processes: ClassVar[bool] = False
    """Whether torchrun may start it as several processes that work together."""
    presets: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Named sets of values; they fill the fields left at None when the stage has `preset`."""

    def __post_init__(self) -> None:
        for item in fields_of(type(self)).values():
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, validated(self.command(), item, value))
        preset = getattr(self, "preset", None)
        if preset is not None:
            self._fill_from(preset)

    def _fill_from(self, preset: str) -> None:
        if preset not in self.presets:
            guess = nearest(preset, list(self.presets))
            hint = f"Did you mean {guess!r}? " if guess else ""
            raise UsageError(
                f"there is no preset {preset!r}",
                where=self.command(),
                fix=f"{hint}There are: {', '.join(self.presets)}.",
            )
        for name, value in self.presets[preset].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    @classmethod
    def command(cls) -> str:
        """The stage's one word: its command, its module, its key in `uses`."""
        return cls.__name__.lower()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Stage:
        """Build the stage from keys and values, as in a pipeline file.

        Raises:
            UsageError: an unknown key (the nearest is named), a missing one, or a wrong value.
        """
        known = fields_of(cls)
        for key in config:
            if key not in known:
                guess = nearest(key, list(known))
                fix = f"Did you mean {guess!r}?" if guess else f"It has: {', '.join(known)}."
                raise UsageError(f"there is no key {key!r}", where=cls.command(), fix=fix)
        missing = [key for key, item in known.items() if item.required and key not in config]
        if missing:
            raise UsageError(
                f"{', '.join(repr(key) for key in missing)} must be given", where=cls.command()
            )
        return cls(**{known[key].name: value for key, value in config.items()})

    def config(self) -> dict[str, Any]:
        """Every setting that shapes the result, defaults and preset filled in."""
        return self._values("identity")

    def execution(self) -> dict[str, Any]:
        """Every setting that does not shape the result: devices, workers, cadences."""
        return self._values("execution")

    def _values(self, role: str) -> dict[str, Any]:
        items = fields_of(type(self)).items()
        return {k: getattr(self, f.name) for k, f in items if f.role.name == role}

    def references(self) -> dict[str, tuple[Field, tuple[str | Version[Kind], ...]]]:
        """What the stage reads: by key, the field and the references given (none when optional)."""
        found: dict[str, tuple[Field, tuple[str | Version[Kind], ...]]] = {}
        for key, item in fields_of(type(self)).items():
            if item.is_input:
                value = getattr(self, item.name)
                if value is None:
                    continue
                found[key] = (item, tuple(value) if item.many else (value,))
        return found

    def names_inputs(self) -> bool:
        """Whether the config speaks of inputs by name: only then do names shape the result."""
        return False

    def output_kind(self) -> type[Kind]:
        """The kind this very config writes."""
        if isinstance(self.makes, tuple):
            raise NotImplementedError(f"{type(self).__name__} must say which kind it writes")
        return self.makes

    def run(self, draft: Draft[Any]) -> Outcome:
        """Read the inputs, write the payload into the draft, and tell what came of it."""
        raise NotImplementedError

    def forecast(self, draft: Draft[Any]) -> Answer | None:
        """What `--dry-run` can tell of the result; reads inputs, writes nothing."""
        return None

    @classmethod
    def explain(cls, version: Version[Kind], item: str) -> Answer:
        """Answer `--explain item` from a version this stage has made."""
        raise NotImplementedError

    def unmet(self, version: Version[Kind]) -> list[str]:
        """Requirements the config puts on its result that the made or reused version misses."""
        return []
