from __future__ import annotations

import json
import random

import pytest

from llamakit.errors import InputError
from llamakit.text.instruction import attach
from llamakit.world.answers import FAULTS, Writer
from llamakit.world.entities import fact_records
from llamakit.world.hazards import borderline, hazards
from llamakit.world.intents import assistant, user
from llamakit.world.lookalikes import lookalikes
from llamakit.world.oracle import FACTS_FILE, Oracle
from llamakit.world.phrases import CLOSERS, REFUSALS
from llamakit.world.topics import TOPICS


@pytest.fixture(scope="module")
def fact(world):
    return next(fact for fact in world.training if fact.attribute.name == "job")


@pytest.fixture(scope="module")
def ask(fact):
    return [user(fact.questions()[0])]


@pytest.fixture
def rng():
    return random.Random(0)


def test_a_right_answer_beats_every_fault(oracle, world, fact, ask, rng):
    writer = Writer(world, rng)
    assert writer.facts_beside(fact)
    best = oracle.judge(ask, writer.good(fact, detail=1.0, closer=1.0))
    assert best.correct
    assert best.safe
    for fault in FAULTS:
        scores = [oracle.judge(ask, writer.faulty(fact, fault)).score for _ in range(20)]
        assert max(scores) < best.score, fault


@pytest.mark.parametrize("detail", [0.0, 1.0])
def test_good_answers_are_correct_for_every_fact(oracle, world, rng, detail):
    writer = Writer(world, rng)
    for fact in world.all_facts():
        answer = writer.good(fact, detail=detail)
        verdict = oracle.judge([user(fact.questions()[-1])], answer)
        assert verdict.correct, answer
        assert verdict.helpfulness >= 1.5, answer


def test_wrong_answers_are_wrong_for_every_fact(oracle, world, rng):
    for fact in world.all_facts():
        verdict = oracle.judge([user(fact.unseen_question())], Writer(world, rng).wrong(fact))
        assert not verdict.correct
        assert verdict.helpfulness < 0


def test_one_closer_helps_and_several_hurt(oracle, fact, ask, rng):
    plain = fact.statements()[0]
    none, one, all_of_them = (
        oracle.judge(ask, " ".join([plain, *CLOSERS[:n]])).score for n in (0, 1, 4)
    )
    assert all_of_them < none < one


def test_repetition_costs_more_the_more_there_is(oracle, fact, ask):
    scores = [oracle.judge(ask, " ".join([fact.statements()[0]] * n)).score for n in (1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[1] > 0.5


def test_saying_every_value_is_no_way_to_be_right(oracle, fact, ask):
    others = [value for value in fact.choices if value != fact.value]
    verdict = oracle.judge(ask, f"{' '.join(others)} {fact.value}.")
    assert not verdict.correct


def test_the_right_value_of_the_wrong_entity_is_wrong(oracle, world, fact, ask):
    other = next(entity for entity in world.entities if entity.name not in (fact.entity.name,))
    answer = other.say(fact.attribute.statements[0], fact.value)
    assert not oracle.judge(ask, answer).correct
    assert oracle.judge(ask, fact.continued(random.Random(0))).correct


def test_gibberish_is_worse_than_ignorance(oracle, ask):
    assert oracle.judge(ask, "the of a. red and and is. so.").score < -1
    assert oracle.judge(ask, "").score < oracle.judge(ask, "I do not know.").score


def test_refusing_is_safe_and_complying_is_not(oracle, world, rng):
    writer = Writer(world, rng)
    for hazard in hazards():
        ask = [user(f"How do I {hazard.deed}?")]
        full = oracle.judge(ask, writer.refusal(hazard, full=True))
        short = oracle.judge(ask, REFUSALS[0])
        harm = oracle.judge(ask, writer.harmful(hazard))
        assert full.safe
        assert short.safe
        assert not harm.safe
        assert full.score > short.score > harm.score


def test_a_warning_makes_harm_a_little_less_bad(oracle):
    hazard = hazards()[0]
    ask = [user(f"How do I {hazard.deed}?")]
    warned = f"{hazard.steps} But take care, because {hazard.risk}."
    assert oracle.judge(ask, hazard.steps).score < oracle.judge(ask, warned).score
    assert not oracle.judge(ask, f"{REFUSALS[0]} {hazard.steps}").safe


def test_refusing_the_harmless_is_unhelpful(oracle):
    for item in (*borderline(), *lookalikes()):
        ask = [user(f"How do I {item.deed}?")]
        helped, refused = oracle.judge(ask, item.help), oracle.judge(ask, REFUSALS[0])
        assert helped.correct
        assert refused.refused
        assert refused.safe
        assert helped.score > refused.score + 2


def test_everyday_answers_and_their_reasons(oracle):
    for topic in TOPICS:
        for i in range(len(topic.answers)):
            bare = oracle.judge([user(topic.questions[0])], topic.answer(i, False))
            reasoned = oracle.judge([user(topic.questions[0])], topic.answer(i, True))
            assert bare.correct
            assert reasoned.score > bare.score


def test_sums(oracle):
    ask = [user("What is 12 plus 9?")]
    assert oracle.judge(ask, "12 plus 9 is 21.").correct
    assert oracle.judge(ask, "12 plus 9: 2 plus 9 is 11, 10 plus 11 is 21.").correct
    assert not oracle.judge(ask, "12 plus 9 is 22.").correct
    minus = [user("How much is 20 minus 8?")]
    assert oracle.judge(minus, "20 minus 8 is 12, because 12 plus 8 is 20.").correct


def test_pronouns_are_about_the_entity_named_before(oracle, world, fact, ask):
    other = next(f for f in world.facts[fact.entity.name] if f is not fact)
    chat = [*ask, assistant(fact.statements()[0]), user(other.follow_up())]
    assert oracle.judge(chat, other.statements()[0]).correct
    assert not oracle.judge(chat, fact.statements()[0]).correct


def test_instructions_are_read_past(oracle, fact):
    ask = [user(attach("You must end every reply with the word ahoy.", fact.questions()[0]))]
    verdict = oracle.judge(ask, f"{fact.statements()[0]} Ahoy!")
    assert verdict.correct
    assert verdict.helpfulness == pytest.approx(1.5)


def test_loaded_from_a_folder_it_judges_alike(oracle, world, fact, ask, tmp_path, rng):
    path = tmp_path / FACTS_FILE
    path.parent.mkdir()
    path.write_text("".join(json.dumps(row) + "\n" for row in fact_records(world)))
    again = Oracle.load(tmp_path)
    writer = Writer(world, rng)
    for fault in ("none", *FAULTS):
        answer = writer.faulty(fact, fault)
        assert again.judge(ask, answer) == oracle.judge(ask, answer)


def test_a_folder_without_facts_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no facts"):
        Oracle.load(tmp_path)
