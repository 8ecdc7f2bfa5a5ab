"""A row of any preference data set becomes a comparison: prompt, chosen and rejected answer."""

from __future__ import annotations

from typing import Any

from llamakit.corpus.reading import fields as usual
from llamakit.corpus.reading.fields import FieldNames
from llamakit.corpus.reading.messages import (
    Message,
    assistant,
    check_contents,
    check_turns,
    is_tagged,
    parse_messages,
    parse_tagged,
    user,
)
from llamakit.corpus.reading.unusable import (
    UnusableRowError,
    as_label,
    as_record,
    as_text,
    pick,
    pick_first,
)

GRADES = {
    "significantly": "significantly",
    "significantly_better": "significantly",
    "much_better": "significantly",
    "better": "better",
    "slightly": "slightly",
    "slightly_better": "slightly",
    "negligible": "negligible",
    "negligibly": "negligible",
    "negligibly_better": "negligible",
    "negligibly_better_or_unsure": "negligible",
    "unsure": "negligible",
}

SAFETIES = {
    "both_safe": "both_safe",
    "chosen_safe": "chosen_safe",
    "chosen_safe_rejected_unsafe": "chosen_safe",
    "both_unsafe": "both_unsafe",
}

# Two answers and a verdict instead of chosen and rejected.
_PAIRS = (
    ("response 1", "response 2"),
    ("response_1", "response_2"),
    ("response_a", "response_b"),
    ("answer_a", "answer_b"),
    ("response_0", "response_1"),
)
_MODELS = ("model_a", "model_b")
_VERDICT = ("label", "winner", "preference", "better_response_id")
_FIRST = {"0", "a", "model_a", "first"}
_SECOND = {"1", "b", "model_b", "second"}
_TIE = {"2", "tie", "both", "equal"}


def to_preference(value: Any, names: FieldNames) -> dict[str, Any]:
    """The comparison in a row; `id` and `source` are None when the row has none.

    `chosen` and `rejected` may be answers (text, or messages) to a separate `prompt`, or whole
    dialogues (message lists, or `Human:`/`Assistant:` text) whose common beginning is the prompt.

    Raises:
        UnusableRowError: no answer, answers to different prompts, a tie, an unknown grade …
    """
    record = as_record(value)
    first, second, models = _answers(record, names)
    prompt, chosen, rejected = _split(_prompt(record, names), first, second)
    if prompt[-1]["role"] != "user":
        raise UnusableRowError("prompt_does_not_end_with_user")
    for answer in (chosen, rejected):
        if not answer or answer[-1]["role"] != "assistant":
            raise UnusableRowError("answer_does_not_end_with_assistant")
        check_contents(answer)
        check_turns(prompt + answer)
    if chosen == rejected:
        raise UnusableRowError("answers_equal", broken=False)
    return {
        "id": as_label(pick(record, names.id, usual.ID, "id"), "id"),
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "grade": _grade(pick(record, names.grade, usual.GRADE, "grade")),
        "safety": _safety(record, names),
        "source": as_label(pick(record, names.source, usual.SOURCE, "source"), "source"),
        "batch": _batch(record.get("batch")),
        "annotator": as_label(record.get("annotator"), "annotator"),
        "chosen_model": as_label(record.get(models[0]), "model"),
        "rejected_model": as_label(record.get(models[1]), "model"),
    }


def _answers(record: dict[str, Any], names: FieldNames) -> tuple[Any, Any, tuple[str, str]]:
    """The chosen and the rejected answer, and the fields that name their models."""
    chosen = pick(record, names.chosen, usual.CHOSEN, "chosen")
    rejected = pick(record, names.rejected, usual.REJECTED, "rejected")
    if chosen is not None or rejected is not None:
        return chosen, rejected, ("chosen_model", "rejected_model")
    for first, second in _PAIRS:
        if first in record and second in record:
            verdict = str(pick_first(record, *_VERDICT)).strip().lower()
            if verdict in _TIE:
                raise UnusableRowError("tie", broken=False)
            if verdict in _FIRST:
                return record[first], record[second], _MODELS
            if verdict in _SECOND:
                return record[second], record[first], (_MODELS[1], _MODELS[0])
            raise UnusableRowError("unknown_verdict")
    raise UnusableRowError("no_chosen")


def _prompt(record: dict[str, Any], names: FieldNames) -> list[Message]:
    prompt = pick(record, names.prompt, usual.PROMPT, "prompt")
    if prompt is None:
        return []
    if isinstance(prompt, list):
        return parse_messages(prompt)
    return parse_tagged(prompt) if is_tagged(prompt) else [user(as_text(prompt, "prompt"))]


def _split(
    prompt: list[Message], first: Any, second: Any
) -> tuple[list[Message], list[Message], list[Message]]:
    chosen, rejected = _dialogue(first, "chosen"), _dialogue(second, "rejected")
    if not prompt:
        prompt = _common(chosen, rejected)
        if not prompt:
            raise UnusableRowError("no_prompt")
    size = len(prompt)
    # Answers may repeat the prompt (whole dialogues beside a `prompt` column) or leave it out.
    return (
        prompt,
        chosen[size:] if chosen[:size] == prompt else chosen,
        rejected[size:] if rejected[:size] == prompt else rejected,
    )


def _dialogue(value: Any, name: str) -> list[Message]:
    if isinstance(value, list):
        return parse_messages(value)
    if is_tagged(value):
        return parse_tagged(value)
    return [assistant(as_text(value, name))]


def _common(chosen: list[Message], rejected: list[Message]) -> list[Message]:
    """The messages both begin with; equal dialogues share all but the last."""
    size = 0
    for one, other in zip(chosen[:-1], rejected[:-1], strict=False):
        if one != other:
            break
        size += 1
    return chosen[:size]


def _grade(value: Any) -> str | None:
    if value is None or value == "":
        return None
    grade = GRADES.get("_".join(str(value).lower().replace("/", " or ").split()))
    if grade is None:
        raise UnusableRowError("unknown_grade")
    return grade


def _safety(record: dict[str, Any], names: FieldNames) -> str | None:
    value = pick(record, names.safety, ("safety",), "safety")
    if value is None or value == "":
        return _safety_of_pair(record.get("chosen_safe"), record.get("rejected_safe"))
    if value == "rejected_safe":
        raise UnusableRowError("chosen_unsafe_rejected_safe", broken=False)
    safety = SAFETIES.get("_".join(str(value).lower().split()))
    if safety is None:
        raise UnusableRowError("unknown_safety")
    return safety


def _safety_of_pair(chosen: Any, rejected: Any) -> str | None:
    if not isinstance(chosen, bool) or not isinstance(rejected, bool):
        return None
    if rejected and not chosen:
        # Left out by the recipe: the safer answer is believed to be the better one.
        raise UnusableRowError("chosen_unsafe_rejected_safe", broken=False)
    return "chosen_safe" if chosen and not rejected else "both_safe" if chosen else "both_unsafe"


def _batch(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    raise UnusableRowError("batch_not_a_number")
