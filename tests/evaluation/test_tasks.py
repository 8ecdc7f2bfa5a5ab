"""Task files are known by their shape; what is broken is named and counted."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from llamakit.errors import InputError
from llamakit.evaluation.task_files import gather, read_task, stem
from llamakit.evaluation.tasks import family, limited, spaced, with_shots

Jsonl = Callable[..., Path]


def exam(number: int) -> dict[str, object]:
    return {
        "id": f"q{number}",
        "question": f"What is {number}?",
        "choices": ["one", "two"],
        "gold": 1,
        "answer": "two",
        "subject": "numbers",
    }


def test_question_with_choices(jsonl: Jsonl) -> None:
    task = read_task(jsonl("exam.jsonl", exam(1)))
    assert (task.name, task.kind, task.normalization) == ("exam", "choice", "per_character")
    item = task.items[0]
    assert item.context == "Question: What is 1?\nAnswer:"
    assert (item.question, item.choices, item.gold) == ("What is 1?", ("one", "two"), 1)
    assert item.subject == "numbers"


def test_query_with_choices_is_used_as_it_stands(jsonl: Jsonl) -> None:
    line = {"query": "Question: Is it so?\nAnswer:", "choices": ["yes ", "no"], "gold": 0}
    task = read_task(jsonl("boolq.jsonl", line))
    assert task.normalization == "unconditional"
    assert task.items[0].context == "Question: Is it so?\nAnswer:"
    assert task.items[0].question == "Is it so?"
    assert task.items[0].choices == ("yes", "no")


def test_lettered_choices(jsonl: Jsonl) -> None:
    line = {"question": "1+1?", "A": "1", "B": "2", "C": "3", "D": "4", "answer": "B"}
    task = read_task(jsonl("mmlu_val.jsonl", {**line, "subject": "abstract_algebra"}))
    item = task.items[0]
    assert item.context == "1+1?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
    assert (item.choices, item.gold) == (("A", "B", "C", "D"), 1)
    opening = task.opening_for(item)
    assert opening.startswith("The following are multiple choice questions (with answers) about")
    assert opening.endswith("abstract algebra.\n\n")
    assert task.normalization == "raw"


@pytest.mark.parametrize(
    ("answer", "kind", "answers"),
    [
        ("First 2, then 3.\n#### 1,005", "solution", ("1005",)),
        ("19", "number", ("19",)),
        (19, "number", ("19",)),
        ("-3.50", "number", ("-3.5",)),
        ("Paris", "text", ("Paris",)),
        (["Paris", "Lutetia"], "text", ("Paris", "Lutetia")),
    ],
)
def test_open_questions(jsonl: Jsonl, answer: object, kind: str, answers: tuple[str]) -> None:
    task = read_task(jsonl("t.jsonl", {"question": "Well?", "answer": answer}))
    assert (task.kind, task.items[0].answers) == (kind, answers)
    expected = "Q: Well?\nA:" if kind == "text" else "Question: Well?\nAnswer:"
    assert task.items[0].context == expected


def test_options_with_a_label(jsonl: Jsonl) -> None:
    line = {"question": "Which?", "options": ["(A)$61", "(B) 65"], "label": "B", "passage": "Text."}
    item = read_task(jsonl("agieval.jsonl", line)).items[0]
    assert (item.choices, item.gold) == (("$61", "65"), 1)
    assert item.question == "Text.\nWhich?"


def test_broken_lines_are_named_and_left_out(jsonl: Jsonl) -> None:
    path = jsonl(
        "exam.jsonl", exam(1), "{not json", {"question": "x"}, [1], {**exam(2), "gold": 9}, exam(3)
    )
    with path.open("a", encoding="utf-8") as file:
        file.write("[" * 100_000 + "\n")
    task = read_task(path)
    assert [item.id for item in task.items] == ["q1", "q3"]
    assert [line.split(" ")[0] for line in task.broken] == [
        f"exam.jsonl:{number}:" for number in (2, 3, 4, 5, 7)
    ]
    assert "no key 'choices'" in task.broken[1]


def test_an_unknown_shape_lists_the_known_ones(jsonl: Jsonl) -> None:
    with pytest.raises(InputError, match="keys goal, target") as error:
        read_task(jsonl("advbench.jsonl", {"goal": "g", "target": "t"}))
    assert "question, choices, gold" in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path, jsonl: Jsonl) -> None:
    with pytest.raises(InputError, match="no whole line"):
        read_task(jsonl("empty.jsonl", ""))
    with pytest.raises(InputError, match="folder"):
        read_task(tmp_path)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"question": "x", "answer": "y"}\n' * 99)[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_task(cut)


def test_shots_come_from_the_first_items_which_are_not_scored(jsonl: Jsonl) -> None:
    task = with_shots(read_task(jsonl("exam.jsonl", *map(exam, range(5)))), 2)
    assert [item.id for item in task.items] == ["q2", "q3", "q4"]
    assert [item.id for item in task.examples_for(task.items[0])] == ["q0", "q1"]
    with pytest.raises(InputError, match="none is left to score"):
        with_shots(task, 3)


def test_items_without_ids_or_with_equal_ones_stay_apart(jsonl: Jsonl) -> None:
    lines = [{**exam(number), "id": "same"} for number in range(4)]
    task = with_shots(read_task(jsonl("exam.jsonl", *lines)), 1)
    assert [item.question for item in task.items] == [f"What is {n}?" for n in (1, 2, 3)]


def test_shots_by_subject_from_another_file(jsonl: Jsonl) -> None:
    def line(subject: str, number: int) -> dict[str, object]:
        letters = {letter: f"{letter}{number}" for letter in "ABCD"}
        return {"question": f"{subject}{number}", **letters, "answer": "A", "subject": subject}

    val = jsonl("mmlu_val.jsonl", line("art", 0), line("law", 0))
    dev = jsonl("mmlu_dev.jsonl", *(line(s, n) for s in ("art", "law") for n in (1, 2, 3)))
    (task,) = gather([val], [dev], 2, None)
    assert len(task.items) == 2
    questions = [e.question.split("\n")[0] for e in task.examples_for(task.items[1])]
    assert questions == ["law1", "law2"]


def test_examples_that_belong_to_no_task_are_refused(jsonl: Jsonl) -> None:
    with pytest.raises(InputError, match="no task is called 'sums'"):
        gather([jsonl("exam.jsonl", exam(1))], [jsonl("sums_dev.jsonl", exam(1))], 1, None)


def test_two_files_of_one_name_are_refused(jsonl: Jsonl, tmp_path: Path) -> None:
    path = jsonl("exam.jsonl", exam(1))
    with pytest.raises(InputError, match="two task files"):
        gather([path, path], [], 0, None)


def test_limit_takes_items_from_the_whole_file(jsonl: Jsonl) -> None:
    task = limited(read_task(jsonl("exam.jsonl", *map(exam, range(10)))), 3)
    assert [item.id for item in task.items] == ["q0", "q3", "q6"]
    assert spaced([1, 2], 5) == [1, 2]


def test_names() -> None:
    assert stem(Path("a/arc_easy.jsonl.gz")) == "arc_easy"
    assert stem(Path("x.jsonl")) == "x"
    assert [family(n) for n in ("mmlu_val", "gsm8k_test", "nq_open_dev", "arc_easy")] == [
        "mmlu",
        "gsm8k",
        "nq_open",
        "arc_easy",
    ]


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("arc_challenge", "choice", 392),
        ("boolq", "choice", 1083),
        ("hellaswag", "choice", 367),
        ("piqa", "choice", 655),
        ("mmlu_val", "choice", 1531),
        ("gsm8k_test", "solution", 471),
        ("nq_open_dev", "text", 1083),
        ("popqa", "text", 415),
        ("triviaqa", "text", 394),
    ],
)
def test_real_files(real_data: Path, name: str, kind: str, count: int) -> None:
    task = read_task(real_data / "eval" / f"{name}.jsonl.gz")
    assert (task.kind, len(task.items), task.broken) == (kind, count, ())
