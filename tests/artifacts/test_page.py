"""A report page stands alone, escapes what it shows, and is the same every time."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from llamakit.artifacts import chart
from llamakit.artifacts.page import Cell, Page, shown

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks that tags nest, and collects them with their attributes and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parse(html: str) -> Outline:
    outline = Outline()
    outline.feed(html)
    outline.close()
    assert outline.open == []
    return outline


def example() -> Page:
    page = Page("Report <1>", "a:v1 & b:v1")
    page.figures({"accuracy": Cell(0.5, "0.4–0.6"), "items": 12345, "name": "x"})
    for title in ("One", "Two", "Three"):
        page.section(title, "First.\n\nSecond <script>alert(1)</script>.")
    page.table(
        ["task", "a", "b"], [["exam", 0.25, Cell(0.5, "n = 3", strong=True)], ["s", None, 1]]
    )
    page.chart(chart.bars(["x"], {"a": [1.0], "b": [2.0]}, y_label="count"), "A caption")
    page.samples([("Q: 1 < 2?", {"a": "yes\nindeed", "b": "<b>no</b>"})])
    return page


def test_the_page_parses_and_escapes() -> None:
    html = example().html()
    outline = parse(html)
    assert "script" not in {tag for tag, _ in outline.tags}
    assert "<b>no</b>" in "".join(outline.words)
    assert "Report <1>" in "".join(outline.words)


def test_nothing_comes_from_elsewhere() -> None:
    html = example().html()
    for _, attributes in parse(html).tags:
        for name in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)'\"]*)", html))
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}


def test_same_content_same_bytes() -> None:
    assert example().html() == example().html()


def test_contents_lead_to_the_sections() -> None:
    tags = parse(example().html()).tags
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    anchors = [f"#{attributes['id']}" for tag, attributes in tags if tag == "h2"]
    assert links == anchors
    assert len(anchors) == 3


def test_numbers_align_right_and_missing_ones_are_a_dash() -> None:
    html = example().html()
    assert '<td class="number strong">0.500<small>n = 3</small></td>' in html
    assert '<td class="number">–</td>' in html
    assert '<th scope="row">exam</th>' in html


def test_phone_and_dark_are_provided_for() -> None:
    html = example().html()
    assert "width=device-width" in html
    assert "prefers-color-scheme: dark" in html


def test_values_are_shown_for_readers() -> None:
    values = [None, 12345, 0.61234, 3.2e-05, 0.0, 1234.6, 123.46, 12.346, float("inf"), "as is"]
    expected = [
        "–",
        "12,345",
        "0.612",
        "3.2e-05",
        "0.000",
        "1,235",
        "123.5",
        "12.35",
        "inf",
        "as is",
    ]
    assert [shown(value) for value in values] == expected


def test_an_empty_page_is_a_page() -> None:
    parse(Page("Nothing").html())
