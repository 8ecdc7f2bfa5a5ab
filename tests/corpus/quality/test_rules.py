from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from llamakit.corpus.quality.judgement import Judgement
from llamakit.corpus.quality.measures import COLUMNS
from llamakit.corpus.quality.phrases import WordList
from llamakit.corpus.quality.rules import PRESETS, RULES, chosen
from llamakit.corpus.quality.survey import Findings
from llamakit.errors import UsageError

PROSE = (
    "The market opens early, and people come from all the villages around to sell things. "
    "Some bring apples; others carry cloth or tools. By noon it is loud with talk and bells.\n"
    "Nobody knows who began it. An old book says that a king, who had lost his way, stopped here. "
    "He asked for water and was given bread."
)


def words(count: int, letters: int = 5) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices("abcdefghij", k=letters)) for _ in range(count)]


def judged(text: str, rules: Mapping[str, float], language: str = "en") -> tuple[str | None, str]:
    judgement = Judgement(["x"], [text], [language], [None], Findings())
    judgement.judge(rules, WordList(["darn"]))
    return judgement.reasons[0], judgement.texts[0]


SIX = " ".join(words(6))

# Each rule with a text that fails it and one beside it that does not.
VECTORS = {
    "gopher.min_words": (" ".join(words(49)), " ".join(words(50))),
    "gopher.max_words": ("a " * 100_001, "a " * 100_000),
    "gopher.min_word_length": ("ab abc", "abc abc"),
    "gopher.max_word_length": ("a" * 11 + " " + "b" * 10, "a" * 10 + " " + "b" * 10),
    "gopher.hash_to_word": ("#a # b c d e f g h i", "#a b c d e f g h i j"),
    "gopher.ellipsis_to_word": ("a... b… c d e f g h i", "a... b c d e f g h i j"),
    "gopher.alphabetic_words": ("one two three 4 5", "one two three four 5"),
    "gopher.stop_words": ("the thee Thenceforth", "(The) end of"),
    "gopher.bullet_lines": ("- a\n• b\n* c", "- a\n- b\n- c\n- d\n- e\n- f\n- g\n- h\n- i\nj"),
    "gopher.ellipsis_lines": ("a...\nb\nc", "a...\nb\nc\nd"),
    "gopher.repetition.lines": ("a\na\na\nbb", "a\na\nb\nc"),
    "gopher.repetition.line_characters": ("aaa\naaa\nb\nc", "aaa\naaa\nb\nccccccccc"),
    "gopher.repetition.paragraphs": ("a\nb\n\na\nb", "a\nb\n\na\nc\n\nd"),
    "gopher.repetition.paragraph_characters": ("aa\n\naa\n\nb", "aa\n\naa\n\n" + "b" * 9),
    "gopher.repetition.top_2_gram": ("aa bb cc aa bb dd", "aa bb cc aa bb " + "d" * 32),
    "gopher.repetition.top_3_gram": ("aa bb cc dd aa bb cc", "aa bb cc dd aa bb " + "c" * 9),
    "gopher.repetition.top_4_gram": ("aa b c d e aa b c d", "aa b c d e aa b c x"),
    **{
        f"gopher.repetition.duplicate_{size}_grams": (
            " ".join([*words(size), "and", *words(size)]),
            " ".join([*words(size), "and", *words(size - 1)]),
        )
        for size in range(5, 11)
    },
    "c4.lorem_ipsum": ("Lorem IPSUM dolor", "lorem, ipsum"),
    "c4.curly_bracket": ("if (a) { b", "if (a) b }"),
    "c4.bad_words": ("Well, Darn it", "darned"),
    "c4.min_sentences": ("One. Two. Three. Mr. Four", "One. Two. Three! Four? Five"),
    "fineweb.line_punctuation": ("a\n" * 8 + "b.", "a\n" * 7 + "b."),
    "fineweb.short_lines": ("a\nb\nc", "a\nb\n" + "c" * 31),
    "fineweb.duplicate_line_characters": ("a\na\n" + "b" * 97, "a\na\n" + "b" * 99),
    "fineweb.newlines": ("a b c\n\nd", "a b c\nd"),
}

# Each rule of lines with a text and what it leaves.
LINES = {
    "c4.citations": (
        "It rained [12] in May.[edit] So [citation needed]!",
        "It rained  in May. So !",
    ),
    "c4.max_word_length": (f"a b\n{'x' * 1001}\n{'y' * 1000}", f"a b\n{'y' * 1000}"),
    "c4.terminal_punctuation": (
        'Home\nHe left.\n"No!"\nand so on...\n 你好。',
        'He left.\n"No!"\n你好。',
    ),
    "c4.min_words_per_line": ("Two words\nThree words here\n\nOne", "Three words here"),
    "c4.javascript": ("Please enable Javascript.\nThe text.", "The text."),
    "c4.policy": ("We use Cookies to spy.\nThe text.\nOur Privacy Policy", "The text."),
}


def test_every_rule_has_a_vector() -> None:
    assert VECTORS.keys() | LINES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", list(VECTORS))
def test_a_rule_alone_drops_and_keeps(rule: str) -> None:
    fails, passes = VECTORS[rule]
    rules = {rule: RULES[rule].threshold}
    assert judged(fails, rules) == (rule, fails)
    assert judged(passes, rules) == (None, passes)


@pytest.mark.parametrize("rule", list(LINES))
def test_a_rule_of_lines_alone_takes_them_out(rule: str) -> None:
    text, left = LINES[rule]
    assert judged(text, {rule: RULES[rule].threshold}) == (None, left)
    assert judged(PROSE, {rule: RULES[rule].threshold}) == (None, PROSE)


def test_a_text_that_loses_all_its_lines_goes_under_the_rule_that_took_most() -> None:
    rules = chosen("off", ["c4.javascript", "c4.policy"], [], {})
    text = "Enable Javascript\nWe use cookies\nNo Javascript"
    assert judged(text, rules) == ("c4.javascript", text)


def test_later_rules_see_the_text_without_the_lines() -> None:
    rules = chosen("off", ["c4.policy", "c4.min_sentences"], [], {"c4.min_sentences": 2})
    assert judged("One. Two.\nOur privacy policy. Three.", rules) == (None, "One. Two.")
    rules["c4.min_sentences"] = 3
    assert judged("One. Two.\nOur privacy policy. Three.", rules)[0] == "c4.min_sentences"


@pytest.mark.parametrize("preset", list(PRESETS))
def test_prose_passes_every_preset(preset: str) -> None:
    rules = chosen(preset, [], [], {})
    assert judged(PROSE, rules) == (None, PROSE)


@pytest.mark.parametrize("text", ["", " \n", "Lorem ipsum", "!!", "# # #", "a\na\n\na\na", "{"])
def test_off_keeps_everything(text: str) -> None:
    assert judged(text, chosen("off", [], [], {})) == (None, text)


def test_the_published_numbers() -> None:
    """Rae et al. 2021, table A1; Raffel et al. 2020, §2.2; Penedo et al. 2024, §3.6."""
    gopher = PRESETS["gopher"]
    repetition = "gopher.repetition"
    assert [gopher[f"{repetition}.{unit}"] for unit in ("lines", "paragraphs")] == [0.3, 0.3]
    for unit in ("line_characters", "paragraph_characters"):
        assert gopher[f"{repetition}.{unit}"] == 0.2
    tops = [gopher[f"{repetition}.top_{size}_gram"] for size in (2, 3, 4)]
    assert tops == [0.20, 0.18, 0.16]
    repeated = [gopher[f"{repetition}.duplicate_{size}_grams"] for size in range(5, 11)]
    assert repeated == [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert (gopher["gopher.min_words"], gopher["gopher.max_words"]) == (50, 100_000)
    assert (PRESETS["c4"]["c4.min_sentences"], PRESETS["c4"]["c4.min_words_per_line"]) == (5, 3)
    fineweb = [v for name, v in PRESETS["fineweb"].items() if name.startswith("fineweb.")]
    assert fineweb == [0.12, 0.67, 0.01, 0.3]
    assert "c4.terminal_punctuation" not in PRESETS["fineweb"]


def test_every_measure_exists() -> None:
    measures = {rule.measure for rule in RULES.values() if rule.measure}
    assert measures - set(COLUMNS) == {"lorem_ipsum", "bad_words"}


def test_stop_words_are_asked_of_english_only() -> None:
    rules = {"gopher.stop_words": 2.0}
    assert judged(" ".join(words(60)), rules, "de")[0] is None
    assert judged(" ".join(words(60)), rules, "en")[0] == "gopher.stop_words"


def test_rules_are_added_left_out_and_changed() -> None:
    assert chosen("off", ["fineweb"], ["fineweb.newlines"], {"fineweb.short_lines": 0.9}) == {
        "fineweb.line_punctuation": 0.12,
        "fineweb.short_lines": 0.9,
        "fineweb.duplicate_line_characters": 0.01,
    }
    light = chosen("light", ["gopher"], ["gopher.repetition"], {})
    assert light["gopher.min_words"] == 5
    assert light["gopher.bullet_lines"] == 0.9
    assert list(light) == [name for name in RULES if name in light]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([["gopher.min_wrods"], [], {}]), "Did you mean 'gopher.min_words'"),
        (([[], ["c5"], {}]), "there is no rule 'c5'"),
        (([[], [], {"gopher.repetition": 1}]), "is a family"),
        (([[], [], {"c4.javascript": 1}]), "has none"),
        (([[], [], {"gopher.bullet_lines": 1}]), "--rules gopher.bullet_lines"),
        (([[], [], {"gopher.min_words": -1}]), "0 or more"),
    ],
)
def test_wrong_names_say_what_to_do(arguments: list[object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        chosen("light", *arguments)  # type: ignore[arg-type]
    assert message in f"{error.value} {error.value.fix}"


def test_words_of_other_scripts_are_found_inside() -> None:
    listed = WordList(["坏话", "naïve fool"])
    assert listed.count(["他说坏话了", "A NAÏVE fool.", "naïve fools", ""]) == [1, 1, 0, 0]
