"""The documents of the world: every genre in its share, with copies planted among them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from llamakit.world import articles, chatter
from llamakit.world.answers import Writer
from llamakit.world.copies import DISTINCT, copy_of, shingles
from llamakit.world.entities import World
from llamakit.world.foreign import foreign_page
from llamakit.world.hazards import tricks
from llamakit.world.people import PERSON
from llamakit.world.personal import directory, notice
from llamakit.world.quiz import quiz
from llamakit.world.requests import Requests
from llamakit.world.spam import spam_page
from llamakit.world.stories import story
from llamakit.world.sums import Sums, sheet
from llamakit.world.truth import Copy, Page, Record

SHARES = {
    "article": 0.32,
    "survey": 0.07,
    "quiz": 0.14,
    "thread": 0.11,
    "report": 0.07,
    "story": 0.05,
    "sums": 0.06,
    "mischief": 0.01,
    "foreign": 0.04,
    "spam": 0.03,
    "directory": 0.02,
    "notice": 0.02,
}
"""Each genre's part of the documents."""
COPY_SHARE = 0.06
"""The part that are copies of others."""
_RECENT = 64
_ATTEMPTS = 50


@dataclass(frozen=True)
class Documents:
    """All pages in their final order, with what is true of them."""

    pages: list[tuple[str, Page]]
    copies: dict[str, tuple[str, Copy]]
    heavy_sites: set[str]


def build_documents(
    world: World, sums: Sums, requests: Requests, docs: int, seed: int
) -> Documents:
    """Draw `docs` pages: genres in their shares, and copies of pages drawn before.

    Args:
        requests: what quiz pages may ask.
    """
    rng = random.Random(f"{seed}/documents")
    counts = {genre: round(share * docs) for genre, share in SHARES.items()}
    n_copies = round(COPY_SHARE * docs)
    counts["article"] += docs - n_copies - sum(counts.values())  # what rounding left over
    heavy = [f"members-{i + 1}.example" for i in range(max(1, min(5, counts["directory"] // 12)))]
    makers = _makers(world, sums, requests, heavy, rng)
    pages: list[Page] = []
    for genre, count in counts.items():
        fresh = _Fresh()
        pages += [fresh.draw(makers[genre], i) for i in range(count)]
    originals = _copied(pages, n_copies, rng)
    return _arranged(pages, originals, set(heavy), rng)


def heldout_pages(world: World, sums: Sums, count: int, seed: int) -> list[Page]:
    """Pages to measure perplexity on: by source, familiar and unseen wordings, stories, sums."""
    rng = random.Random(f"{seed}/heldout documents")
    unseen = replace(sums, training=sums.heldout)
    makers: tuple[Callable[[], Page], ...] = (
        lambda: articles.unseen_article(rng.choice(world.entities), world, rng),
        lambda: articles.article(rng.choice(world.entities), world, rng),
        lambda: story(world, rng),
        lambda: sheet(unseen, rng),
    )
    return [makers[i % len(makers)]() for i in range(count)]


def document_records(pages: list[tuple[str, Page]]) -> Iterator[Record]:
    """Yield the records of documents.jsonl."""
    for name, page in pages:
        yield {
            "id": name,
            "text": page.text,
            "source": page.source,
            "url": f"https://{page.site}/{page.genre}/{name.rsplit('-', 1)[1]}",
            "language": page.language,
        }


def _makers(
    world: World, sums: Sums, requests: Requests, heavy: list[str], rng: random.Random
) -> dict[str, Callable[[int], Page]]:
    """How a page of each genre is drawn; the number goes round entities and sites evenly."""
    people = [entity.name for entity in world.entities if entity.kind is PERSON]
    entities = rng.sample(world.entities, len(world.entities))
    writer = Writer(world, rng)
    return {
        "article": lambda i: articles.article(entities[i % len(entities)], world, rng),
        "survey": lambda i: articles.survey(world, rng),
        "thread": lambda i: chatter.thread(world, rng),
        "report": lambda i: chatter.report(world, rng),
        "quiz": lambda i: quiz(writer, requests, rng),
        "story": lambda i: story(world, rng),
        "sums": lambda i: sheet(sums, rng),
        "mischief": lambda i: chatter.mischief(tricks(), rng),
        "foreign": lambda i: foreign_page(rng),
        "spam": lambda i: spam_page(rng),
        "directory": lambda i: directory(people, heavy[i % len(heavy)], rng),
        "notice": lambda i: notice(people, rng),
    }


class _Fresh:
    """Draws pages of one genre that are no accidental copies of recent ones on the same subject."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], list[set[tuple[str, ...]]]] = {}

    def draw(self, make: Callable[[int], Page], number: int) -> Page:
        for _ in range(_ATTEMPTS):
            page = make(number)
            parts = shingles(page.text)
            recent = self._seen.setdefault((page.language, *page.subjects[:1]), [])
            if all(len(parts & old) < DISTINCT * len(parts | old) for old in recent[-_RECENT:]):
                break
        recent.append(parts)
        return page


def _copied(pages: list[Page], count: int, rng: random.Random) -> dict[int, tuple[int, Copy]]:
    """Append `count` copies to `pages`; by a copy's index, its original's and how it is a copy."""
    candidates = [i for i, page in enumerate(pages) if page.genre not in ("spam", "directory")]
    rng.shuffle(candidates)
    copies: dict[int, tuple[int, Copy]] = {}
    cluster = 0
    while len(copies) < count and candidates:
        original = candidates.pop()
        texts = {pages[original].text}
        for _ in range(min(rng.choice((1, 1, 1, 2, 3)), count - len(copies))):
            page, copy = copy_of(pages[original], cluster, rng)
            if copy.kind == "near" and page.text in texts:
                continue
            texts.add(page.text)
            copies[len(pages)] = original, copy
            pages.append(page)
        cluster += 1
    return copies


def _arranged(
    pages: list[Page], originals: dict[int, tuple[int, Copy]], heavy: set[str], rng: random.Random
) -> Documents:
    """Shuffle the pages such that every original comes before its copies."""
    order = rng.sample(range(len(pages)), len(pages))
    place = {page: position for position, page in enumerate(order)}
    clusters: dict[int, list[int]] = {}
    for page, (original, _) in originals.items():
        clusters.setdefault(original, [original]).append(page)
    for members in clusters.values():
        positions = sorted(place[member] for member in members)
        place.update(zip(members, positions, strict=True))
    names = {page: f"doc-{place[page]:07d}" for page in range(len(pages))}
    placed = sorted(range(len(pages)), key=place.__getitem__)
    return Documents(
        pages=[(names[page], pages[page]) for page in placed],
        copies={
            names[page]: (names[originals[page][0]], originals[page][1])
            for page in placed
            if page in originals
        },
        heavy_sites=heavy,
    )
