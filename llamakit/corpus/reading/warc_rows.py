"""Rows out of web archives: pages of WARC files as their main text, records of WET files as text.

Records are read by FastWARC, pages by Resiliparse (both Apache-2.0): the extra `llamakit[warc]`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from llamakit.corpus.reading.records import BrokenRow, Row, shown
from llamakit.corpus.reading.streams import MAX_ROW_BYTES, DamagedFileError
from llamakit.errors import LlamakitError

_PAGES = ("text/html", "application/xhtml+xml", "text/plain")
_OK = 200
# Japanese mail's encoding is valid UTF-8 in form: it switches alphabets with escapes.
_ESCAPE = b"\x1b"
_LARGEST_RECORD = MAX_ROW_BYTES
_LARGEST_PAGE = 4 * 2**20
_DEEPEST = 200
_NESTING = re.compile(
    r"<(/?)(?:article|blockquote|center|details|div|dl|font|label|main|section|span)\b",
    re.IGNORECASE,
)


def need_warc() -> None:
    """Raises LlamakitError when the libraries for web archives are not installed."""
    if find_spec("fastwarc") is None or find_spec("resiliparse") is None:
        raise LlamakitError(
            "reading WARC and WET files needs FastWARC and Resiliparse",
            fix='Install them with: pip install "llamakit[warc]".',
        )


class _Stream(io.RawIOBase):
    """Chunks of bytes as the file that FastWARC wants. Damage passes through it as it is."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data = data
        self._held = memoryview(b"")
        self._at = 0
        self.ends_line = True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._held:
            chunk = next(self._data, None)
            if chunk is None:
                return b""
            self._held = memoryview(chunk)
            self.ends_line = chunk.endswith(b"\n")
        out = bytes(self._held[:size] if size >= 0 else self._held)
        self._held = self._held[len(out) :]
        self._at += len(out)
        return out

    def tell(self) -> int:
        """Bytes read so far."""
        return self._at


def read_warc(data: Iterator[bytes]) -> Iterator[Row | BrokenRow]:
    """One row a page (`response`, `resource`) or text (`conversion`); other records are no rows.

    A row's line is its record's number in the file. Pages that answer with an error, are no text,
    or hold nothing but navigation are rows set aside, and not broken ones.

    Raises:
        DamagedFileError: the file is cut or is no web archive; what was before is given first.
    """
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    number = 0
    wanted = (WarcRecordType.response, WarcRecordType.resource, WarcRecordType.conversion)
    stream = _Stream(data)
    records = ArchiveIterator(stream, parse_http=False, max_header_len=2**16)
    while True:
        try:
            record = next(records, None)
            if record is None:
                break
            number += 1
            if record.record_type not in wanted:
                continue
            # Whole before it is parsed: a plain file that was cut ends in the middle of a body.
            body = record.reader.read(_LARGEST_RECORD + 1)
        except DamagedFileError:
            raise
        except (OSError, ValueError, RuntimeError):
            raise DamagedFileError("corrupt_file" if number else "not_warc") from None
        announced = record.headers.get("Content-Length")
        if announced is None or len(body) < min(record.content_length, _LARGEST_RECORD + 1):
            raise DamagedFileError("truncated_file")
        yield _row(number, record, body)
    if not number:
        raise DamagedFileError("not_warc")
    if not stream.ends_line:
        raise DamagedFileError("truncated_file")


def _row(number: int, record: Any, body: bytes) -> Row | BrokenRow:
    """The record as a document's row, or the reason why it is none."""
    from fastwarc.warc import WarcRecordType

    url = record.headers.get("WARC-Target-URI")

    def aside(reason: str, broken: bool = False) -> BrokenRow:
        return BrokenRow(number, reason, url or shown(body), broken=broken)

    if len(body) > _LARGEST_RECORD:
        return aside("page_too_long")
    value = {"id": _id(record), "url": url, "date": record.headers.get("WARC-Date")}
    if record.record_type == WarcRecordType.conversion:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            return aside("not_utf8", broken=True)
        languages = record.headers.get("WARC-Identified-Content-Language")
        return Row(number, {**value, "text": text, "languages": languages})
    mime, charset = record.headers.get("Content-Type"), None
    if record.is_http:
        try:
            record.set_bytes_content(body)
            record.parse_http(auto_decode="all", max_header_len=2**16)
            body = record.reader.read(_LARGEST_PAGE + 1)
            status, mime, charset = (
                record.http_headers.status_code,
                record.http_content_type,
                record.http_charset,
            )
        except (OSError, ValueError, RuntimeError):
            return aside("not_http", broken=True)
        if status != _OK:
            return aside("http_status")
    mime = (mime or "text/html").partition(";")[0].strip().lower()
    if mime not in _PAGES:
        return aside("not_a_text_page")
    if len(body) > _LARGEST_PAGE:
        return aside("page_too_long")
    page = _decoded(body, charset)
    if mime == "text/plain":
        return Row(number, {**value, "text": page, "title": None})
    if nested_deeper(page, _DEEPEST):
        return aside("nested_too_deep")
    text, title = _main_text(page)
    if not text or text.isspace():
        return aside("no_main_text")
    return Row(number, {**value, "text": text, "title": title or None})


def _decoded(body: bytes, charset: str | None) -> str:
    """The page as text; its encoding is HTTP's, else UTF-8 where it is valid, else the page's own,
    else guessed. (A guess from a few accents is often wrong; valid UTF-8 hardly ever is by chance.)
    """
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    if charset is None and _ESCAPE not in body:
        try:
            return body.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    try:
        text = bytes_to_str(body, charset or detect_encoding(body, from_html_meta=True) or "utf-8")
    except LookupError:
        text = bytes_to_str(body, detect_encoding(body) or "utf-8")
    return str(text)


def _main_text(page: str) -> tuple[str, str]:
    """The page's main text and title."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(page)
    return extract_plain_text(tree, main_content=True, alt_texts=False), tree.title or ""


def nested_deeper(page: str, most: int) -> bool:
    """Whether more than `most` of the elements that nest without end are open at once.

    The extraction takes time that grows with the square of the depth: hours for a megabyte of
    nothing but `<div>`.
    """
    if page.count("<") <= most:
        return False
    depth = 0
    for match in _NESTING.finditer(page):
        depth += -1 if match[1] else 1
        if depth > most:
            return True
        depth = max(depth, 0)
    return False


def _id(record: Any) -> str | None:
    """`WARC-Record-ID` without its brackets and scheme."""
    name: str = record.record_id or ""
    return name.strip("<>").removeprefix("urn:uuid:") or None
