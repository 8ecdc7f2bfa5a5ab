"""Tasks from plain JSONL files.

A file's shape is seen from the keys of its lines; its task is named by the file's stem. Nothing is
downloaded and no task is built in.

| keys of a line | asked as | measured by |
|---|---|---|
| query, choices, gold | the query as it stands | log-likelihood of each choice |
| question, choices, gold | `Question: …\\nAnswer:` | log-likelihood of each choice |
| question, options, label | `Question: …\\nAnswer:` | log-likelihood of each option |
| question, A, B, C, D, answer | question and lettered choices | log-likelihood of each letter |
| question, answer with `#### n` | `Question: …\\nAnswer:` | number after `####`, else the last |
| question, answer (a number) | `Question: …\\nAnswer:` | the last number of the first line |
| question, answer or golden_answers (texts) | `Answer these questions:\\nQ: …\\nA:` | exact match |
| input, target | `Q: …\\nA:` | exact match |
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, TypeVar

from llamakit.errors import InputError
from llamakit.evaluation.exact_match import number_in
from llamakit.evaluation.tasks import (
    Item,
    Kind,
    Normalization,
    Task,
    family,
    limited,
    with_shots,
)

T = TypeVar("T")

LETTERS = ("A", "B", "C", "D")
_OPTION_LETTER = re.compile(r"^\([A-Z]\)\s*(?=\S)")
# Brown et al. (2020) and the Llama papers: these two are scored as P(c|context) / P(c|"Answer:").
_UNCONDITIONAL = ("boolq", "openbookqa", "obqa")


@dataclass(frozen=True)
class _Shape:
    """How lines with certain keys become items."""

    keys: frozenset[str]
    kind: Kind
    described: str


_SHAPES = (
    _Shape(frozenset({"query", "choices", "gold"}), "choice", "query, choices, gold"),
    _Shape(frozenset({"question", "choices", "gold"}), "choice", "question, choices, gold"),
    _Shape(frozenset({"question", "options", "label"}), "choice", "question, options, label"),
    _Shape(frozenset({"question", *LETTERS, "answer"}), "choice", "question, A, B, C, D, answer"),
    _Shape(frozenset({"question", "golden_answers"}), "text", "question, golden_answers"),
    _Shape(
        frozenset({"question", "answer"}),
        "text",
        "question, answer (a text, a list of texts, a number, or a solution ending in `#### n`)",
    ),
    _Shape(frozenset({"input", "target"}), "text", "input, target"),
)


def gather(
    files: Sequence[Path], examples: Sequence[Path], shots: int, limit: int | None
) -> list[Task]:
    """Read task files, give each its examples (of the same `family`), and limit what is scored.

    Raises:
        InputError: two files make tasks of one name, or an examples file belongs to no task.
    """
    sources = {family(stem(path)): read_task(path) for path in examples}
    families = {family(stem(path)) for path in files}
    for name, source in sources.items():
        if name not in families:
            raise InputError(
                f"no task is called {name!r} or {name!r} and a split, as in {name}_test",
                where=source.name,
                fix="Give an examples file the name of its task.",
            )
    tasks: dict[str, Task] = {}
    for path in files:
        task = read_task(path)
        if task.name in tasks:
            raise InputError(f"two task files are called {task.name!r}", where=str(path))
        shown = with_shots(task, shots, sources.get(family(task.name)))
        tasks[task.name] = limited(shown, limit)
    return list(tasks.values())


def read_task(path: Path, name: str | None = None) -> Task:
    """Read a task file (`.jsonl` or `.jsonl.gz`); its name is the file's stem unless given.

    Lines that are broken, or of another shape than the first, are left out and told of in `broken`.

    Raises:
        InputError: the file cannot be read, its shape is unknown, or no line is whole.
    """
    task_name = name or stem(path)
    items: list[Item] = []
    broken: list[str] = []
    shape: _Shape | None = None
    kind: Kind | None = None
    for number, line, problem in read_lines(path):
        where = f"{path.name}:{number}"
        if problem:
            broken.append(f"{where}: {problem}")
            continue
        if shape is None:
            shape = _shape_of(line, path)
        try:
            found, item = _item(shape, line, f"{number}")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            broken.append(f"{where}: {_told(error)}")
            continue
        kind = kind or found
        if found != kind:
            broken.append(f"{where}: its answer is a {found}, the file's are {kind}s")
            continue
        items.append(item)
    if shape is None or kind is None:
        first = f" ({broken[0]})" if broken else ""
        raise InputError(f"no whole line in this task file{first}", where=str(path))
    return _task(task_name, shape, kind, tuple(items), tuple(broken))


def stem(path: Path) -> str:
    """A file's name without its endings: `arc_easy.jsonl.gz` is `arc_easy`."""
    return re.sub(r"\.(jsonl|json|ndjson)?(\.gz)?$", "", path.name) or path.name


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Each line's number from 1, its object, and what is wrong with it ("" if nothing)."""
    if path.is_dir():
        raise InputError(
            "a file is needed here, this is a folder",
            where=str(path),
            fix="Name one file in it, as in `raw/exam.jsonl`.",
        )
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, text in enumerate(lines, start=1):
                if not text.strip():
                    continue
                try:
                    value = json.loads(text)
                except (ValueError, RecursionError) as error:
                    yield number, {}, f"not JSON ({error})"
                    continue
                whole = isinstance(value, dict)
                yield number, value if whole else {}, "" if whole else "not a JSON object"
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path)) from None


def read_whole_lines(
    path: Path, convert: Callable[[Mapping[str, Any], str], T], shape: str
) -> tuple[list[T], list[str]]:
    """What `convert` makes of each line and its number; also the broken lines, named.

    Args:
        convert: raises KeyError, TypeError, ValueError or InputError for a line it cannot take.
        shape: how a whole line looks, for the error.

    Raises:
        InputError: no line is whole.
    """
    whole: list[T] = []
    broken: list[str] = []
    for number, line, problem in read_lines(path):
        try:
            if problem:
                raise ValueError(problem)
            whole.append(convert(line, str(number)))
        except KeyError as error:
            broken.append(f"{path.name}:{number}: no key {error}")
        except (TypeError, ValueError, InputError) as error:
            broken.append(f"{path.name}:{number}: {error}")
    if not whole:
        raise InputError(
            "no whole line in this file" + (f" ({broken[0]})" if broken else ""),
            where=str(path),
            fix=f"Each line is {shape}.",
        )
    return whole, broken


def _shape_of(line: Mapping[str, Any], path: Path) -> _Shape:
    for shape in _SHAPES:
        if shape.keys <= line.keys():
            return shape
    known = "; ".join(shape.described for shape in _SHAPES)
    raise InputError(
        f"no task has lines with the keys {', '.join(sorted(line)) or '(none)'}",
        where=str(path),
        fix=f"Known shapes: {known}.",
    )


def _task(
    name: str, shape: _Shape, kind: Kind, items: tuple[Item, ...], broken: tuple[str, ...]
) -> Task:
    lettered = "A" in shape.keys
    if lettered:
        opening = "The following are multiple choice questions (with answers) about {subject}.\n\n"
        if not any(item.subject for item in items):
            opening = opening.replace(" about {subject}", "")
        return Task(name, kind, items, opening, "raw", by_subject=True, broken=broken)
    if kind == "choice":
        unconditional = family(name).lower() in _UNCONDITIONAL
        normalization: Normalization = "unconditional" if unconditional else "per_character"
        return Task(name, kind, items, normalization=normalization, broken=broken)
    opening = "Answer these questions:\n" if kind == "text" and "input" not in shape.keys else ""
    return Task(name, kind, items, opening, broken=broken)


def _item(shape: _Shape, line: Mapping[str, Any], number: str) -> tuple[Kind, Item]:
    """One line as an item, or a plain Python error that says what is missing or wrong."""
    name = str(line.get("id", number))
    subject = str(line.get("subject") or line.get("task") or "")
    if "A" in shape.keys:
        return "choice", _lettered(line, name, subject)
    if shape.kind == "choice":
        return "choice", _cloze(line, name, subject)
    if "input" in shape.keys:
        text = _text(line["input"])
        answer = _text(line["target"])
        context = f"Q: {text}\nA:"
        return "text", Item(
            name, context, text, answers=(answer,), shown_answer=answer, subject=subject
        )
    return _open_question(line, name, subject)


def _lettered(line: Mapping[str, Any], name: str, subject: str) -> Item:
    gold = LETTERS.index(_text(line["answer"]))
    options = "\n".join(f"{letter}. {str(line[letter]).strip()}" for letter in LETTERS)
    stem_and_options = f"{_text(line['question'])}\n{options}"
    return Item(
        name,
        f"{stem_and_options}\nAnswer:",
        f"{stem_and_options}\nAnswer with A, B, C or D.",
        LETTERS,
        gold,
        shown_answer=LETTERS[gold],
        subject=subject,
    )


def _cloze(line: Mapping[str, Any], name: str, subject: str) -> Item:
    if "options" in line:
        # AGIEval: options carry their letter, the label is one; a passage may come first.
        choices = tuple(_OPTION_LETTER.sub("", _text(option)) for option in line["options"])
        gold = ascii_uppercase.index(_text(line["label"]))
    else:
        choices = tuple(_text(choice) for choice in line["choices"])
        gold = line["gold"]
    if isinstance(gold, bool) or not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise ValueError(f"gold is {gold!r}, an index into {len(choices)} choices is needed")
    if "query" in line:
        context = _text(line["query"])
        question = context.removeprefix("Question: ").removesuffix("\nAnswer:")
    else:
        passage = f"{_text(line['passage'])}\n" if line.get("passage") else ""
        question = passage + _text(line["question"])
        context = f"Question: {question}\nAnswer:"
    return Item(name, context, question, choices, gold, shown_answer=choices[gold], subject=subject)


def _open_question(line: Mapping[str, Any], name: str, subject: str) -> tuple[Kind, Item]:
    question = _text(line["question"])
    value = line["golden_answers"] if "golden_answers" in line else line["answer"]
    if isinstance(value, Sequence) and not isinstance(value, str):
        answers = tuple(_text(answer) for answer in value)
        kind: Kind = "text"
    else:
        # Sums may carry their answer as a JSON number.
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        answers = (_text(str(value) if numeric else value),)
        kind = "text"
        if "####" in answers[0]:
            kind = "solution"
        elif re.fullmatch(r"[-+]?[$€£]?[\d,]*\.?\d+", answers[0]):
            kind = "number"
    shown = answers[0]
    if kind == "text":
        context = f"Q: {question}\nA:"
    else:
        context = f"Question: {question}\nAnswer:"
        found = number_in(shown)
        if found is None:
            raise ValueError("its answer holds no number")
        answers = (found,)
    return kind, Item(name, context, question, answers=answers, shown_answer=shown, subject=subject)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r} stands where a text is needed")
    return value.strip()


def _told(error: Exception) -> str:
    return f"no key {error}" if isinstance(error, KeyError) else str(error)
