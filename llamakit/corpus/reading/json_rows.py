"""Rows out of JSON lines, and out of JSON files in all their layouts, in bounded memory."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator

import msgspec

from llamakit.corpus.reading.records import BrokenRow, Row, shown
from llamakit.corpus.reading.streams import MAX_ROW_BYTES, DamagedFileError, RowTooLong, lines

MAX_DEPTH = 100
"""Objects and lists inside one another. More is an attack or an accident, and what a parser's own
recursion allows depends on where it is called from: that must not decide what is read."""

_SHOWN = 2_000
# Strings are skipped whole, an unclosed one to the end, so that no text makes this slow.
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)

_decode = msgspec.json.Decoder().decode


def read_jsonl(data: Iterator[bytes], first_line: int = 1) -> Iterator[Row | BrokenRow]:
    """The rows of lines of JSON; `first_line` is the number of the line the data begin with."""
    for number, line in lines(data):
        at = number + first_line - 1
        if isinstance(line, RowTooLong):
            yield BrokenRow(at, "line_too_long", shown(line.head))
            continue
        if at == 1:
            line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
        try:
            if line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
                value = _decode(line)
                del line
                yield Row(at, value)
                del value
                continue
        except (msgspec.MsgspecError, ValueError):
            pass
        if line.strip():
            yield parsed(at, line)


def parsed(number: int, data: bytes) -> Row | BrokenRow:
    """One line, by the parser that takes all that Python's `json` takes: NaN and half characters
    are told apart from broken lines later, by what they are used for."""
    try:
        if too_deep(data):
            return BrokenRow(number, "nested_too_deep", shown(data))
        return Row(number, json.loads(data.decode("utf-8")))
    except UnicodeDecodeError:
        reason = "binary" if b"\0" in data else "not_utf8"
    except ValueError:
        reason = "binary" if b"\0" in data else "not_json"
    return BrokenRow(number, reason, shown(data))


def too_deep(data: bytes) -> bool:
    """Whether more than `MAX_DEPTH` brackets are open at once."""
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _BRACKETS.finditer(data):
        first = data[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def read_json(data: Iterator[bytes]) -> Iterator[Row | BrokenRow]:
    """An array of rows; rows after one another (pretty-printed or one a line); or one object."""
    held: list[bytes] = []
    size = 0
    kind = b""
    for chunk in data:
        begun = chunk if held else chunk.removeprefix(codecs.BOM_UTF8)
        begun = begun if kind else begun.lstrip()
        held.append(chunk)
        size += len(chunk)
        kind = kind or begun[:1]
        if kind == b"[" or b"\n" in begun or size > MAX_ROW_BYTES:
            break
    head = b"".join(held)
    whole = itertools.chain([head], data)
    first_line = head.removeprefix(codecs.BOM_UTF8).lstrip().partition(b"\n")[0]
    if kind != b"[" and isinstance(parsed(1, first_line), Row):
        yield from read_jsonl(whole)
    else:
        yield from _read_values(whole, array=kind == b"[")


def _read_values(data: Iterator[bytes], array: bool) -> Iterator[Row | BrokenRow]:
    """JSON values parsed as the text streams in: the values of one array, or a bare sequence."""
    decoder = json.JSONDecoder()
    utf8 = codecs.getincrementaldecoder("utf-8-sig")()
    between = re.compile(r"[ \t\r\n,]*" if array else r"[ \t\r\n]*")
    text, at, number = "", 0, 0
    opened, ended = not array, False
    while True:
        at = _skip(between, text, at)
        if not opened and at < len(text):
            opened, at = True, _skip(between, text, at + 1)
        if array and text.startswith("]", at):
            return
        deep = False
        try:
            value, end = decoder.raw_decode(text, at)
            # A number or a cut string could go on in the next chunk; objects and arrays close.
            if not ended and end == len(text) and not isinstance(value, (dict, list)):
                raise ValueError
            if text.count("{", at, end) + text.count("[", at, end) > MAX_DEPTH:
                deep = too_deep(text[at:end].encode("utf-8", "replace"))
        except RecursionError:
            deep = True
        except ValueError:
            if ended or len(text) - at > MAX_ROW_BYTES:
                if at < len(text) or array:
                    yield _lost(number + 1, "not_json", text[at : at + _SHOWN])
                return
            # Doubling what is held keeps the parsing of one huge value linear.
            text, ended = _more(data, utf8, text[at:])
            at = 0
            continue
        if deep:
            yield _lost(number + 1, "nested_too_deep", text[at : at + _SHOWN])
            return
        at = end
        number += 1
        yield Row(number, value)


def _lost(number: int, reason: str, raw: str) -> BrokenRow:
    """Where one value ends and the next begins cannot be told any more."""
    return BrokenRow(number, reason, raw, ends_file=True)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _more(data: Iterator[bytes], utf8: codecs.IncrementalDecoder, text: str) -> tuple[str, bool]:
    """`text` made at least twice as long, and whether the data ended."""
    pieces = [text]
    wanted = max(2**18, len(text))
    while wanted > 0:
        chunk = next(data, None)
        try:
            pieces.append(utf8.decode(chunk or b"", final=chunk is None))
        except UnicodeDecodeError:
            raise DamagedFileError("not_utf8") from None
        if chunk is None:
            return "".join(pieces), True
        wanted -= len(pieces[-1])
    return "".join(pieces), False
