from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from classifier import tiny_classifier

from llamakit.errors import InputError, UsageError
from llamakit.evaluation.toxicity import is_classifier, toxic_label, toxicity_scorer

transformers = pytest.importorskip("transformers")

LINES = ["a very good day", "bad", "a bad bad day a very bad day", "unknown things", "bad"]


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return tiny_classifier(tmp_path / "classifier")


def _alone(folder: Path, line: str) -> torch.Tensor:
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        batch = tokenizer(line, return_tensors="pt", truncation=True, max_length=16)
        logits: torch.Tensor = model(**batch).logits[0]
    return logits


def _with(folder: Path, **config: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))


def test_a_batch_scores_as_each_line_alone(classifier: Path) -> None:
    assert is_classifier(classifier)
    lines = [*LINES, "good " * 40]
    found = toxicity_scorer(classifier, None, "cpu")(lines)
    wanted = [float(_alone(classifier, line).softmax(-1)[1]) for line in lines]
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found[1] == found[4]
    assert len({round(value, 4) for value in found}) > 2
    assert toxicity_scorer(classifier, "neutral", "cpu")(["bad"])[0] == pytest.approx(
        1 - found[1], abs=1e-5
    )


def test_labels_that_do_not_exclude_each_other(classifier: Path) -> None:
    _with(classifier, problem_type="multi_label_classification")
    found = toxicity_scorer(classifier, None, "cpu")(["bad"])
    assert found == pytest.approx([float(_alone(classifier, "bad").sigmoid()[1])], abs=1e-5)


def test_which_label_is_meant() -> None:
    where = Path("folder")
    assert toxic_label(["toxic", "severe", "threat"], None, where) == 0
    assert toxic_label(["LABEL_0", "LABEL_1"], None, where) == 1
    assert toxic_label(["LABEL_0"], None, where) == 0
    assert toxic_label(["non-hate", "hate"], None, where) == 1
    assert toxic_label(["a", "b", "c"], "2", where) == 2
    with pytest.raises(UsageError, match="which label"):
        toxic_label(["a", "b", "c"], None, where)
    with pytest.raises(UsageError, match="no label 'toxc'"):
        toxic_label(["fine", "toxic"], "toxc", where)


def test_pickled_weights_are_refused(classifier: Path) -> None:
    weights = classifier / "model.safetensors"
    weights.rename(classifier / "pytorch_model.bin")
    with pytest.raises(InputError, match="no weights in safetensors"):
        toxicity_scorer(classifier, None, "cpu")


def test_other_models_and_broken_folders_are_told(classifier: Path) -> None:
    (classifier / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match="cannot be opened"):
        toxicity_scorer(classifier, None, "cpu")
    _with(classifier, architectures=["BertForMaskedLM"])
    with pytest.raises(InputError, match="not a classifier"):
        toxicity_scorer(classifier, None, "cpu")
    (classifier / "config.json").write_text("{")
    with pytest.raises(InputError, match="config cannot be read"):
        toxicity_scorer(classifier, None, "cpu")
