"""The commands that speak with a model: generate and chat."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llamakit.cli.help import PanelCommand
from llamakit.cli.options import DEFAULT_STORE, JsonOption, StoreOption

if TYPE_CHECKING:
    from llamakit.events import Events
    from llamakit.model.generation import Sampling
    from llamakit.model.transformer import Transformer
    from llamakit.model.weights import Precision
    from llamakit.text.vocabulary import Vocabulary

_PANEL = "Evaluation"
ModelArgument = Annotated[
    str, typer.Argument(help="A model artifact (NAME, NAME:v3, a folder).", metavar="MODEL")
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Tokens to generate at most.")]
Temperature = Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time.")]
TopP = Annotated[float, typer.Option(min=0, max=1, help="Nucleus: the smallest mass to keep.")]
TopK = Annotated[int, typer.Option(min=0, help="Keep the k likeliest tokens; 0 keeps all.")]
Penalty = Annotated[
    float, typer.Option(min=0, help="Logits of tokens already there are divided by it; 1 is none.")
]
Stop = Annotated[
    list[str] | None, typer.Option(help="End a text where it holds this string; may be repeated.")
]
DType = Annotated[
    str | None,
    typer.Option(help="fp32 or bf16: how weights are held; default as they are stored."),
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same text.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (generate, chat):
        app.command(cls=PanelCommand, rich_help_panel=_PANEL)(command)


def generate(
    model: ModelArgument,
    prompts: Annotated[
        list[str] | None,
        typer.Argument(help="Texts to continue; none reads one a line from stdin."),
    ] = None,
    *,
    chat_: Annotated[
        bool, typer.Option("--chat", help="Each prompt is a user's message, in chat format.")
    ] = False,
    max_tokens: MaxTokens = 128,
    temperature: Temperature = 0.6,
    top_p: TopP = 0.9,
    top_k: TopK = 0,
    repetition_penalty: Penalty = 1.0,
    stop: Stop = None,
    samples: Annotated[int, typer.Option(min=1, help="Continuations of each prompt.")] = 1,
    seed: Seed = 0,
    dtype: DType = None,
    store: StoreOption = DEFAULT_STORE,
    json_: JsonOption = False,
) -> None:
    """Continue texts with any model artifact; one continuation a line with --json."""
    from llamakit.cli.console import ConsoleEvents
    from llamakit.cli.failures import stoppable

    if not prompts and sys.stdin.isatty():
        print("prompts, one a line; Ctrl-D ends them", file=sys.stderr)
    texts = list(prompts or (line.rstrip("\r\n") for line in sys.stdin))
    with ConsoleEvents() as events, stoppable(events):
        sampling = _sampling(max_tokens, temperature, top_p, top_k, repetition_penalty, stop)
        transformer, vocabulary = _load(model, store, dtype, chat_=chat_, events=events)
        from llamakit.model.generation import generate as generate_ids

        context = transformer.config.max_seq_len
        once = [_prompt_ids(vocabulary, text, context, chat_=chat_) for text in texts]
        repeated = [text for text in texts for _ in range(samples)]
        encoded = [ids for ids in once for _ in range(samples)]
        seeds = [seed * 1_000_003 + index for index in range(len(repeated))]
        results = generate_ids(transformer, vocabulary, encoded, sampling, seeds, events=events)
    for text, ids, result in zip(repeated, encoded, results, strict=True):
        # Decoded without its prompt, a continuation would lose the blank it begins with.
        whole = vocabulary.decode([*ids, *result.ids])
        said = result.text if chat_ else _until(whole[len(vocabulary.decode(ids)) :], stop)
        if json_:
            row = {"prompt": text, "text": said, "finished": result.finished}
            print(json.dumps(row, ensure_ascii=False))
        else:
            print(said if chat_ else text + said)


def _until(text: str, stops: list[str] | None) -> str:
    """A text up to the first stop string."""
    places = [place for stop in stops or () if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def chat(
    model: ModelArgument,
    *,
    system: Annotated[str | None, typer.Option(help="System message, before the dialogue.")] = None,
    max_tokens: MaxTokens = 256,
    temperature: Temperature = 0.6,
    top_p: TopP = 0.9,
    top_k: TopK = 0,
    repetition_penalty: Penalty = 1.0,
    stop: Stop = None,
    seed: Seed = 0,
    dtype: DType = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Talk with a chat model. Ends with Ctrl-D; /reset starts anew."""
    from llamakit.cli.console import ConsoleEvents
    from llamakit.errors import LlamakitError, Stopped
    from llamakit.text.dialogue import render_prompt, without_tags

    try:
        sampling = _sampling(max_tokens, temperature, top_p, top_k, repetition_penalty, stop)
        transformer, vocabulary = _load(model, store, dtype, chat_=True, events=ConsoleEvents())
        from llamakit.model.generation import generate as generate_ids

        context = transformer.config.max_seq_len
        opening = [{"role": "system", "content": system}] if system else []
        if system:
            _check_system(opening, vocabulary, context)
        messages = list(opening)
        turn = 0
        while (line := _ask()) is not None:
            if line == "/reset":
                messages = list(opening)
                continue
            asked = [*messages, {"role": "user", "content": line}]
            try:
                _check_text(line)
                ids = render_prompt(asked, vocabulary)
            except LlamakitError as error:
                print(f"error: {error}", file=sys.stderr)
                continue
            if len(ids) >= context:
                print("error: the dialogue fills the context; /reset starts anew", file=sys.stderr)
                continue
            (answer,) = generate_ids(transformer, vocabulary, [ids], sampling, [seed + turn])
            print(answer.text, flush=True)
            # A tag that the model wrote must not make every later turn unreadable.
            messages = [*asked, {"role": "assistant", "content": without_tags(answer.text)}]
            turn += 1
    except Stopped as stopped:
        # A way to end a talk; nothing is lost that the same command could continue.
        print(file=sys.stderr)
        raise typer.Exit(stopped.exit_code) from None


def _check_system(opening: list[dict[str, str]], vocabulary: Vocabulary, context: int) -> None:
    """Refuse a system message that no dialogue could begin with, before the first is asked for."""
    from llamakit.errors import InputError
    from llamakit.text.dialogue import render_prompt

    _check_text(opening[0]["content"])
    least = len(render_prompt([*opening, {"role": "user", "content": "."}], vocabulary))
    if least >= context:
        raise InputError(
            f"the system message takes {least:,} tokens of a context of {context:,}",
            fix="Shorten it.",
        )


def _ask() -> str | None:
    """The next user message; None at the end of the input. Only a terminal is shown a prompt."""
    if sys.stdin.isatty():
        print("> ", end="", file=sys.stderr, flush=True)
    while line := sys.stdin.readline():
        if line.strip():
            return line.strip()
    return None


def _load(
    model: str, store: Path, dtype: str | None, *, chat_: bool, events: Events
) -> tuple[Transformer, Vocabulary]:
    from llamakit.artifacts.integrity import check_payload
    from llamakit.artifacts.kinds import Model
    from llamakit.artifacts.store import Store
    from llamakit.errors import InputError
    from llamakit.evaluation.candidate import knows_chat
    from llamakit.model.weights import load_model, load_vocabulary

    version = Store(store).resolve(model)
    if version.kind != Model.name:
        raise InputError(f"{version.reference} is {version.kind}, a model is needed")
    check_payload(version)
    if chat_ and not knows_chat(version.path):
        events.warn(
            f"{version.reference} is a base model: it was not taught the chat format, and only "
            "continues text"
        )
    precision = _precision(dtype, version.path)
    return load_model(version.path, precision), load_vocabulary(version.path)


def _precision(asked: str | None, folder: Path) -> Precision:
    """How to hold the weights; what `config.json` says is wrong with it, `load_model` tells."""
    from llamakit.errors import UsageError

    if asked not in (None, "fp32", "bf16"):
        raise UsageError(f"--dtype is {asked!r}; it must be fp32 or bf16")
    if asked is None:
        try:
            values = json.loads((folder / "config.json").read_bytes())
            stored = values.get("torch_dtype") or values.get("dtype")
        except (OSError, ValueError, AttributeError):
            stored = None
        return "bf16" if stored == "bfloat16" else "fp32"
    return "bf16" if asked == "bf16" else "fp32"


def _sampling(
    max_tokens: int,
    temperature: float,
    top_p: float,
    top_k: int,
    repetition_penalty: float,
    stop: list[str] | None,
) -> Sampling:
    from llamakit.model.generation import Sampling

    return Sampling(
        max_new_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        repetition_penalty=repetition_penalty,
        stop=stop or [],
    )


def _prompt_ids(vocabulary: Vocabulary, text: str, context: int, *, chat_: bool) -> list[int]:
    from llamakit.errors import InputError
    from llamakit.text.dialogue import render_prompt

    _check_text(text)
    if chat_:
        ids = render_prompt([{"role": "user", "content": text}], vocabulary)
    else:
        ids = vocabulary.encode(text, bos=True)
    if len(ids) >= context:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise InputError(
            f"the prompt {shown!r} has {len(ids):,} tokens and leaves no room in a context of "
            f"{context:,}",
            fix="Shorten it, or take a model with a longer context.",
        )
    return ids


def _check_text(text: str) -> None:
    from llamakit.errors import InputError

    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text[:40].encode(errors="backslashreplace").decode()
        raise InputError(f"the prompt is not UTF-8: {shown}") from None
