"""The model card that goes out with a model: what it is, where it came from, what it is not for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llamakit.model.card import shape_table, table
from llamakit.model.config import ModelConfig

_HOW = {
    "huggingface": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
```""",
    "safetensors": "The weights alone, under Hugging Face's names, with their `config.json`.",
    "gguf": '`llama-cli -m FILE.gguf -p "..."`, and every other program built on llama.cpp.',
    "meta": "The files of Meta's `llama` repository: `params.json` and `consolidated.00.pth`.",
}


def model_card(
    title: str,
    config: ModelConfig,
    *,
    format_: str,
    dtype: str,
    kind: str,
    ancestors: Sequence[tuple[str, str, str, str]],
    metrics: Mapping[str, float | None],
) -> str:
    """Markdown.

    Args:
        title: heading.
        config: the model's shape.
        format_: what it is exported as.
        dtype: precision of its weights.
        kind: `base`, `chat` or `reward`.
        ancestors: of each version it descends from: name, stage, result, digest.
        metrics: what was measured when it was made.
    """
    rows = ["| | made by | result | digest |", "|---|---|---|---|"]
    rows += [f"| {' | '.join(_cell(each) for each in row)} |" for row in ancestors]
    measured = {name: value for name, value in metrics.items() if value is not None}
    how = _HOW[format_]
    if kind == "reward":
        how = how.replace("AutoModelForCausalLM", "AutoModelForSequenceClassification")
    sections = [
        f"# {title}",
        _ABOUT[kind],
        "## Shape\n\n" + shape_table(config),
        f"## Files\n\nFormat {format_}, weights in {dtype}.\n\n{how}",
        "## Where it came from\n\nEvery version that went into it, back to raw files, by digest of"
        " content.\n\n" + "\n".join(rows),
    ]
    if measured:
        sections.append("## Measured when it was made\n\n" + table(measured))
    sections += [
        "## Meant for\n\nResearch and products within the law and within `USE_POLICY.md`, by people"
        " who test it on their own use first. A licence is for the owner of the model to give: name"
        " it here.",
        "## Limits\n\nIt may state what is false, and say it fluently; repeat, mirror or strengthen"
        " what stands in its training data, personal data and prejudice included; and be led away"
        " from what it was taught by what it is asked. Languages, subjects and tasks that its data"
        " lacks, it does not know. Measure it on your use before anybody depends on it, and watch"
        " it afterwards.",
        "Made with llamakit.\n",
    ]
    return "\n\n".join(sections)


_ABOUT = {
    "base": "A base language model: it continues text and does not answer as an assistant.",
    "chat": "A chat model in Llama 2's chat format: it answers as an assistant.",
    "reward": "A reward model: it scores answers of an assistant and writes no text.",
}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
