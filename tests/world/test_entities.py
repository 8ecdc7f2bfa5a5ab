from __future__ import annotations

import random
import re

import pytest

from llamakit.errors import UsageError
from llamakit.world.entities import (
    KINDS,
    build_world,
    entities_for,
    fact_records,
    world_from_facts,
)


def test_the_number_of_entities_grows_slowly():
    assert entities_for(1) == 30
    assert 60 <= entities_for(4000) <= 150
    assert entities_for(10**7) == 240


@pytest.mark.parametrize("n", [30, 87, 240])
def test_names_are_unique_and_counts_right(n):
    world = build_world(n, 5)
    assert len({entity.name for entity in world.entities}) == len(world.entities) == n


@pytest.mark.parametrize("n", [29, 241])
def test_impossible_worlds_are_refused(n):
    with pytest.raises(UsageError):
        build_world(n, 0)


def test_every_fact_is_in_one_split(world):
    keys = [fact.key for fact in (*world.training, *world.heldout, *world.exam)]
    assert len(keys) == len(set(keys)) == sum(1 for _ in world.all_facts())


def test_facts_survive_being_written(world):
    again = world_from_facts(fact_records(world))
    assert again.facts == world.facts
    assert {fact.key for fact in again.exam} == {fact.key for fact in world.exam}
    assert [fact.choices for fact in again.all_facts()] == [f.choices for f in world.all_facts()]


def test_every_sentence_is_whole(world):
    rng = random.Random(0)
    for fact in world.all_facts():
        for text in (*fact.statements(), fact.unseen_statement(), fact.continued(rng)):
            assert re.fullmatch(r"[A-Z][^{}]*\.", text)
            assert fact.value.lower() in text.lower()
        for text in (*fact.questions(), fact.unseen_question(), fact.follow_up()):
            assert re.fullmatch(r"[A-Z][^{}]*\?", text)


def test_no_article_stands_before_the_wrong_sound(world):
    texts = [text for fact in world.all_facts() for text in fact.statements()]
    assert not [text for text in texts if re.search(r"\ba [aeiou]", text)]
    assert not [text for text in texts if "the the" in text.lower()]


def test_questions_name_one_fact_only(world):
    questions = [text for fact in world.all_facts() for text in fact.questions()]
    assert len(questions) == len(set(questions))


def test_kinds_can_fill_an_exam():
    for kind in KINDS:
        for attribute in kind.attributes:
            assert attribute.refers_to or len(set(attribute.values)) == len(attribute.values) >= 7
            assert len(attribute.statements) >= 6
            assert len(attribute.questions) == 4
