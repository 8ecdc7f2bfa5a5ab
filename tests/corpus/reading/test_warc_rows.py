from __future__ import annotations

import gzip
import importlib.util
import random
from pathlib import Path
from typing import Any

import pytest

from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store
from llamakit.corpus.reading import warc_rows
from llamakit.corpus.reading.pieces import Piece
from llamakit.corpus.reading.records import BrokenRow, Row
from llamakit.corpus.reading.rows import read_rows
from llamakit.corpus.reading.sources import find_data_files
from llamakit.corpus.reading.warc_rows import nested_deeper
from llamakit.errors import LlamakitError
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce

MISSING = importlib.util.find_spec("fastwarc") is None or not importlib.util.find_spec(
    "resiliparse"
)
needs_extra = pytest.mark.skipif(MISSING, reason="llamakit[warc] is not installed")

PAGE = """<html><head><title>Ferries &amp; boats</title>{meta}</head><body>
<nav><a href="/">Home</a> <a href="/about">About us</a></nav>
<main><h1>The ferry</h1><p>The ferry passed the café on the rock twice a day, in all weathers, and
nobody on board could say who had lit the lamp.</p><p>It went on so for years.</p></main>
<footer>Copyright, cookies, imprint</footer><script>track()</script></body></html>"""


def record(kind: str, body: bytes, number: int = 0, **headers: str) -> bytes:
    """One WARC record."""
    given = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{number:08d}>",
        "WARC-Date": "2023-05-01T00:00:00Z",
        "WARC-Target-URI": f"https://example.org/{number}",
        "Content-Type": "application/http; msgtype=response",
        **{name.replace("_", "-"): value for name, value in headers.items()},
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return b"WARC/1.0\r\n" + lines.encode() + b"\r\n" + body + b"\r\n\r\n"


def http(body: bytes, status: str = "200 OK", mime: str = "text/html", more: str = "") -> bytes:
    """One HTTP answer."""
    return f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\n{more}\r\n".encode() + body


def read(path: Path, data: bytes) -> list[Row | BrokenRow]:
    path.write_bytes(data)
    return [row for f in find_data_files(path, path.name).files for row in read_rows(Piece(f))]


def told(rows: list[Row | BrokenRow]) -> list[Any]:
    return [row.value["text"] if isinstance(row, Row) else row.reason for row in rows]


@needs_extra
def test_a_page_is_its_main_text(tmp_path: Path) -> None:
    page = PAGE.format(meta="").encode()
    info = record("warcinfo", b"software: x\r\n", Content_Type="application/warc-fields")
    request = record("request", b"GET / HTTP/1.1\r\n\r\n")
    data = [info, request, record("response", http(page, mime="text/html; charset=utf-8"), 7)]
    for name, packed in (
        ("a.warc", b"".join(data)),
        ("a.warc.gz", b"".join(map(gzip.compress, data))),
    ):
        (row,) = read(tmp_path / name, packed)
        assert isinstance(row, Row)
        assert row.line == 3
        text = row.value.pop("text")
        assert "The ferry passed the café on the rock" in text
        assert "It went on so for years." in text
        assert not any(word in text for word in ("About us", "cookies", "track"))
        assert row.value == {
            "id": "00000007",
            "url": "https://example.org/7",
            "date": "2023-05-01T00:00:00Z",
            "title": "Ferries & boats",
        }


@needs_extra
@pytest.mark.parametrize(
    ("encoding", "http_says", "page_says"),
    [
        ("latin-1", "ISO-8859-1", None),
        ("latin-1", None, "iso-8859-1"),
        ("latin-1", None, None),
        ("latin-1", "no-such-encoding", None),
        ("utf-8", None, None),
        ("utf-8-sig", None, "iso-8859-1"),
        ("utf-16", "utf-16", None),
    ],
)
def test_the_encoding_is_told_or_found(
    tmp_path: Path, encoding: str, http_says: str | None, page_says: str | None
) -> None:
    meta = f'<meta charset="{page_says}">' if page_says else ""
    mime = f"text/html; charset={http_says}" if http_says else "text/html"
    body = PAGE.format(meta=meta).encode(encoding)
    (text,) = told(read(tmp_path / "a.warc", record("response", http(body, mime=mime))))
    assert "the café on" in text


@needs_extra
def test_an_encoding_of_seven_bits_is_found(tmp_path: Path) -> None:
    meta = '<meta charset="iso-2022-jp">'
    body = PAGE.format(meta=meta).replace("café", "灯台").encode("iso-2022-jp")
    (text,) = told(read(tmp_path / "a.warc", record("response", http(body))))
    assert "the 灯台 on" in text


@needs_extra
def test_packed_bodies_are_unpacked(tmp_path: Path) -> None:
    page = PAGE.format(meta="").encode()
    chunked = f"{len(page):x}\r\n".encode() + page + b"\r\n0\r\n\r\n"
    data = record("response", http(gzip.compress(page), more="Content-Encoding: gzip\r\n"))
    data += record("response", http(chunked, more="Transfer-Encoding: chunked\r\n"))
    rows = told(read(tmp_path / "a.warc", data))
    assert ["years" in text for text in rows] == [True, True]


@needs_extra
def test_what_is_no_text_is_set_aside_and_not_broken(tmp_path: Path) -> None:
    page = PAGE.format(meta="").encode()
    bodies = [
        (http(b"gone", status="404 Not Found"), "http_status"),
        (http(b"\x89PNG", mime="image/png"), "not_a_text_page"),
        (http(b"<body><nav><a href=/>Home</a></nav><footer>(c)</footer>"), "no_main_text"),
        (http(b"<div>" * 100_000 + page), "nested_too_deep"),
        (http(b"<p>word " * 700_000), "page_too_long"),
    ]
    rows = read(tmp_path / "a.warc", b"".join(record("response", body) for body, _ in bodies))
    assert told(rows) == [reason for _, reason in bodies]
    assert not any(row.broken for row in rows if isinstance(row, BrokenRow))


@needs_extra
def test_wet_records_are_texts(tmp_path: Path) -> None:
    kind = {"Content_Type": "text/plain", "WARC_Identified_Content_Language": "deu,eng"}
    data = record("conversion", "Grüße\nvom Hafen".encode(), 1, **kind)
    data += record("conversion", b"caf\xe9", 2, **kind)
    good, bad = read(tmp_path / "a.warc.wet.gz", gzip.compress(data))
    assert isinstance(good, Row)
    assert good.value["text"] == "Grüße\nvom Hafen"
    assert good.value["languages"] == "deu,eng"
    assert isinstance(bad, BrokenRow)
    assert (bad.reason, bad.broken) == ("not_utf8", True)


@needs_extra
@pytest.mark.parametrize("packed", [False, True])
def test_a_cut_archive_gives_what_was_before(tmp_path: Path, packed: bool) -> None:
    draw = random.Random(0)
    pages = [PAGE.format(meta=draw.random()).encode() for _ in range(4)]
    records = [record("response", http(page), n) for n, page in enumerate(pages)]
    parts = [gzip.compress(each) if packed else each for each in records]
    whole = b"".join(parts)
    for cut in draw.sample(range(len(parts[0]) + 1, len(whole) - 5), 25):
        if cut in {sum(map(len, parts[:n])) for n in range(5)}:
            continue
        *rows, last = read(tmp_path / "a.warc", whole[:cut])
        assert isinstance(last, BrokenRow)
        assert (last.reason, last.ends_file) == ("truncated_file", True), cut
        assert 1 <= len(rows) <= 4
        assert all(isinstance(row, Row) for row in rows)


@needs_extra
@pytest.mark.parametrize("data", [b"no archive\r\n" * 50, b"WARC/1.0\r\n" * 50, b"\0" * 999])
def test_what_only_calls_itself_an_archive(tmp_path: Path, data: bytes) -> None:
    assert not [row for row in read(tmp_path / "a.warc", data) if isinstance(row, Row)]


@needs_extra
def test_ingest_of_an_archive(store: Store, tmp_path: Path) -> None:
    page = PAGE.format(meta="").encode()
    data = record("response", http(page), 1) + record("response", http(b"", status="500 Oh"), 2)
    (tmp_path / "crawl.warc.gz").write_bytes(gzip.compress(data))
    stage = Ingest(files=(str(tmp_path / "crawl.warc.gz"),), as_="documents", max_broken=0)
    version = produce(stage, store).version
    (row,) = read_all(version.path / "data").to_dicts()
    assert (row["id"], row["source"], row["url"]) == ("00000001", "crawl", "https://example.org/1")
    assert version.record.counts["rejected_http_status"] == 1


def test_the_missing_extra_is_said(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warc_rows, "find_spec", lambda name: None)
    (tmp_path / "a.warc").write_bytes(record("response", http(b"x")))
    stage = Ingest(files=(str(tmp_path / "a.warc"),), as_="documents")
    with pytest.raises(LlamakitError, match=r'pip install "llamakit\[warc\]"'):
        produce(stage, store)


def test_depth_is_that_of_open_elements() -> None:
    assert not nested_deeper("<div><p>x</p></div>" * 500, 20)
    assert nested_deeper("<DIV class=a>" * 21, 20)
    assert not nested_deeper("<divide>" * 50 + "</div>" * 50, 20)
