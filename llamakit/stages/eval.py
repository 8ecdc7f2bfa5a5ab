"""Models become a report that compares them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Documents, Kind, Model, Raw, Report, RewardModel
from llamakit.artifacts.store import Version
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Execution, Files, Identity, Input, Inputs
from llamakit.stages.naming import by_name
from llamakit.stages.stage import Outcome, Stage

if TYPE_CHECKING:
    from llamakit.evaluation.attention_map import Told
    from llamakit.evaluation.candidate import Candidate
    from llamakit.evaluation.perplexity import Text
    from llamakit.evaluation.prompts import Format
    from llamakit.evaluation.run import Part
    from llamakit.evaluation.safety import Scorer
    from llamakit.text.dialogue import Message
    from llamakit.text.judgement import Judge


@dataclass(frozen=True, kw_only=True)
class Eval(Stage):
    """Evaluate models side by side.

    Whatever is given is measured: tasks (multiple choice by log-likelihood, questions by exact
    match), the perplexity of documents, adherence to an instruction by turn, violations and false
    refusals on labelled prompts, and win rates judged by reward models or by the oracle of the
    embedded world, which no training has seen. Every number has an
    interval, and models are compared item by item. A base model reads plain text (`Question: …`
    `Answer:`), a chat model the chat format. With --require the command fails when a result is too
    low; the report is written all the same.
    """

    models: Inputs[Model]
    """Models to evaluate and compare, in the order the report shows them."""
    tasks: Files = ()
    """Task files (JSONL, also .gz); their shape is detected, their name is the task's."""
    examples: Files = ()
    """Task files to take the solved examples from, matched by name (mmlu_dev serves mmlu_val)."""
    documents: Input[Documents] | None = None
    """Documents to measure perplexity on."""
    adherence: Files = ()
    """JSONL files of {instruction, check, turns}, maybe split: dialogues that an instruction must
    last."""
    attention: Input[Dialogues] | None = None
    """Dialogues that begin with an instruction, on a line before the first message or as the system
    message: how much each model looks at it later on."""
    safety_prompts: Files = ()
    """JSONL files of {messages, label}, labels harmless, borderline and unsafe."""
    prompts: Input[Dialogues] | None = None
    """Prompts that all models answer, to be judged side by side."""
    helpfulness: Input[RewardModel] | None = None
    """Reward model that judges helpfulness."""
    safety: Input[RewardModel] | None = None
    """Reward model that judges safety."""
    oracle: Input[Raw] | None = None
    """The `world` that the prompts are of: its hidden rule judges the answers."""
    shots: Identity[Annotated[int, Ge(0)]] = 0
    """Solved examples before each question; without an examples file, the task's first ones."""
    limit: Identity[Annotated[int, Ge(1)] | None] = None
    """At most this many items of each part, evenly spaced; all by default."""
    format: Identity[Literal["auto", "plain", "chat"]] = "auto"
    """How questions are put: auto asks a model with a chat template in chat format."""
    max_new_tokens: Identity[Annotated[int, Ge(1)]] = 256
    """Longest answer, in tokens; never over half the context, in adherence a sixteenth of it."""
    temperature: Identity[Annotated[float, Ge(0)]] = 0.1
    """Sampling temperature of answers in dialogues; 0 is greedy. Tasks are always greedy."""
    top_p: Identity[Annotated[float, Interval(gt=0, le=1)]] = 0.9
    """Nucleus of answers in dialogues."""
    against: Identity[str | None] = None
    """Name of the model that win rates are held against; the first by default."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the models compute in."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of sampling and of the resampling behind intervals."""
    require: Execution[list[str]] = field(default_factory=list)
    """What must hold, else exit 4: exam>=0.6, exam:sft>base, safety.violation<=0.1, win:ppo>sft,
    win.oracle:ppo>=0.8."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to compute: auto takes a GPU if there is one."""
    threads: Execution[Annotated[int, Interval(ge=0, le=1024)]] = 0
    """Processor threads; 0 leaves the choice to torch."""

    makes: ClassVar = Report
    revision: ClassVar = 8
    panel: ClassVar = "Evaluation"

    def __post_init__(self) -> None:
        super().__post_init__()
        from llamakit.evaluation.requirement import parse

        for text in self.require:
            parse(text)

    def run(self, draft: Draft[Report]) -> Outcome:
        """Measure, assemble, draw."""
        import json

        from llamakit.artifacts.frames import write_table
        from llamakit.evaluation.report import SAMPLES, assemble, samples, win_rates
        from llamakit.evaluation.report_page import report_page
        from llamakit.evaluation.run import evaluate
        from llamakit.training.machine import threads

        scorers = self._scorers(draft)
        parts = self._parts(draft, scorers)
        forms, sizes, models = self._models(draft)
        judges = self._judges(list(scorers))
        control = self._control(list(models), judges)
        self._check(parts, list(models))
        draft.log.mkdir(parents=True, exist_ok=True)

        def timed(model: str, part: str, seconds: float) -> None:
            row = {"model": model, "part": part, "seconds": round(seconds, 3)}
            with (draft.log / "timings.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")

        with threads(self.threads):
            results = evaluate(models, parts, done=draft.work / "parts", timed=timed)
        if control is not None:
            results += win_rates(results, judges, control)
        report = assemble(forms, sizes, results, judges, self.seed, control)
        with draft.writing("report.json") as path:
            text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
            path.write_text(text + "\n", encoding="utf-8")
        with draft.writing("report.html") as path:
            path.write_text(report_page(report, results).html(), encoding="utf-8")
        write_table(draft.path / "samples.parquet", samples(results), SAMPLES)
        main = {f"{r.part}.{r.model}": r.measures[r.main].value for r in results}
        first = parts[0].name
        shown = ", ".join(f"{name} {main[f'{first}.{name}']:.3f}" for name in models)
        return Outcome(
            counts={
                "models": len(models),
                "parts": len(parts),
                "samples": sum(len(result.rows) for result in results),
            },
            metrics=main,
            headline=f"{first}: {shown}",
        )

    def unmet(self, version: Version[Kind]) -> list[str]:
        """The requirements that the report misses."""
        from llamakit.evaluation.requirement import missed

        return missed(self.require, version.path)

    def _models(
        self, draft: Draft[Report]
    ) -> tuple[
        dict[str, "Format"], dict[str, dict[str, int]], dict[str, Callable[[], "Candidate"]]
    ]:
        """Each model's format, its sizes, and how to open it, by name."""
        from llamakit.evaluation.candidate import Candidate, knows_chat
        from llamakit.model.weights import load_config, load_model, load_vocabulary
        from llamakit.training.machine import pick_device, warn_of_slow_bf16

        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        named = by_name(draft.inputs(self.models), "model", "eval")

        def opener(name: str, version: Version[Model], form: "Format") -> Callable[[], Candidate]:
            def opened() -> Candidate:
                model = load_model(version.path, self.dtype, device)
                return Candidate(name, model, load_vocabulary(version.path), form)

            return opened

        forms: dict[str, Format] = {}
        for name, version in named.items():
            known: Format = "chat" if knows_chat(version.path) else "plain"
            forms[name] = known if self.format == "auto" else self.format
        openers = {name: opener(name, version, forms[name]) for name, version in named.items()}
        configs = {name: load_config(version.path) for name, version in named.items()}
        sizes = {
            name: {
                "parameters": config.parameters(),
                "kv_cache_bytes_per_token": config.kv_cache_bytes_per_token(),
            }
            for name, config in configs.items()
        }
        return forms, sizes, openers

    def _parts(self, draft: Draft[Report], scorers: dict[str, "Scorer"]) -> list["Part"]:
        """What to measure, from what was given."""
        from functools import partial

        from llamakit.evaluation.adherence import adherence, read_sessions
        from llamakit.evaluation.attention_map import PART as ATTENTION
        from llamakit.evaluation.attention_map import attention
        from llamakit.evaluation.judge import answers
        from llamakit.evaluation.perplexity import perplexity
        from llamakit.evaluation.run import Part
        from llamakit.evaluation.safety import read_prompts, safety
        from llamakit.evaluation.scoring import score_task
        from llamakit.evaluation.task_files import gather, stem
        from llamakit.evaluation.tasks import spaced
        from llamakit.model.generation import Sampling

        sampling = Sampling(self.max_new_tokens, temperature=self.temperature, top_p=self.top_p)
        decoded: dict[str, Any] = {"sampling": sampling, "seed": self.seed, "events": draft.events}
        parts = []
        paths = [source.path for source in draft.files(self.tasks)]
        example_paths = [source.path for source in draft.files(self.examples)]
        for task in gather(paths, example_paths, self.shots, self.limit):
            _warn_of(task.broken, draft)
            measure = partial(score_task, task=task, sampling=sampling, events=draft.events)
            parts.append(Part(task.name, measure))
        if self.documents is not None:
            texts = self._texts(draft, self.documents)
            fit = partial(perplexity, texts=texts, seed=self.seed, events=draft.events)
            parts.append(Part("perplexity", fit))
        for source in draft.files(self.adherence):
            sessions, broken = read_sessions(source.path)
            _warn_of(broken, draft)
            _refuse_empty(sessions, str(source.path))
            name, some = stem(source.path), spaced(sessions, self.limit)
            parts.append(Part(name, partial(adherence, part=name, sessions=some, **decoded)))
        if self.attention is not None:
            begun = spaced(self._told(draft, self.attention), self.limit)
            look = partial(attention, dialogues=begun, seed=self.seed, events=draft.events)
            parts.append(Part(ATTENTION, look))
        labelled = []
        for source in draft.files(self.safety_prompts):
            found, broken = read_prompts(source.path)
            _warn_of(broken, draft)
            _refuse_empty(found, str(source.path))
            labelled += found
        if labelled:
            asked = spaced(labelled, self.limit)
            judge = scorers.get("safety")
            parts.append(Part("safety", partial(safety, prompts=asked, scorer=judge, **decoded)))
        if self.prompts is not None:
            put = spaced(self._prompts(draft, self.prompts), self.limit)
            oracle = self._oracle(draft)
            judged = partial(answers, prompts=put, scorers=scorers, oracle=oracle, **decoded)
            parts.append(Part("answers", judged))
        return parts

    def _texts(self, draft: Draft[Report], documents: Input[Documents]) -> "Sequence[Text]":
        """The documents to predict; each once, however often a mix repeats it."""
        from llamakit.artifacts.mixture import document_shards, read_shard
        from llamakit.evaluation.perplexity import Text
        from llamakit.evaluation.tasks import spaced

        texts = [
            Text(row["id"], row["text"], row["source"])
            for shard in document_shards(draft.input(documents))
            for row in read_shard(shard).select("id", "text", "source").to_dicts()
        ]
        _refuse_empty(texts, draft.input(documents).reference)
        return spaced(texts, self.limit)

    def _prompts(
        self, draft: Draft[Report], prompts: Input[Dialogues]
    ) -> "Sequence[tuple[str, Sequence[Message]]]":
        """Dialogues up to their last user message, each under an id of its own."""
        from llamakit.artifacts.frames import DIALOGUES, read_all
        from llamakit.text.dialogue import check_messages

        table = read_all(draft.input(prompts).path / "data", DIALOGUES).select("id", "messages")
        found: dict[str, list[Message]] = {}
        broken = []
        for row in table.to_dicts():
            messages = row["messages"]
            while messages and messages[-1]["role"] == "assistant":
                messages.pop()
            if messages:
                try:
                    check_messages(messages)
                except InputError as error:
                    broken.append(f"{prompts}, dialogue {row['id']}: {error.what}")
                    continue
                found.setdefault(row["id"], messages)
        _warn_of(broken, draft)
        _refuse_empty(found, draft.input(prompts).reference)
        return list(found.items())

    def _told(self, draft: Draft[Report], dialogues: Input[Dialogues]) -> "Sequence[Told]":
        """The dialogues that begin with an instruction."""
        from llamakit.artifacts.frames import DIALOGUES, read_all
        from llamakit.evaluation.attention_map import told_dialogues

        table = read_all(draft.input(dialogues).path / "data", DIALOGUES)
        found = told_dialogues([(row["id"], row["messages"]) for row in table.to_dicts()])
        _refuse_empty(found, draft.input(dialogues).reference)
        return found

    def _scorers(self, draft: Draft[Report]) -> dict[str, "Scorer"]:
        """The reward models given, by name; each is opened when it first scores."""
        from functools import cache

        from llamakit.alignment.scoring import score
        from llamakit.model.weights import load_reward_model, load_vocabulary
        from llamakit.training.machine import pick_device

        device = pick_device(self.device)

        def scorer(reference: Input[RewardModel]) -> "Scorer":
            folder = draft.input(reference).path
            opened = cache(lambda: load_reward_model(folder, self.dtype, device))
            return lambda dialogues: score(opened(), load_vocabulary(folder), dialogues)

        given = {"helpfulness": self.helpfulness, "safety": self.safety}
        return {name: scorer(one) for name, one in given.items() if one is not None}

    def _oracle(self, draft: Draft[Report]) -> "Judge | None":
        """The hidden rule of the world given, if one is."""
        from llamakit.world.oracle import Oracle

        return Oracle.load(draft.input(self.oracle).path).judge if self.oracle else None

    def _judges(self, scorers: list[str]) -> list[str]:
        """Who judges the answers to prompts: the oracle first, since no training has seen it."""
        from llamakit.evaluation.outside import OUTSIDE

        return [*(OUTSIDE if self.oracle else ()), *scorers]

    def _control(self, models: list[str], judges: list[str]) -> str | None:
        """The model to hold win rates against; None where nobody judges."""
        if self.oracle and self.prompts is None:
            raise UsageError(
                "the oracle has no answers to judge", where="eval", fix="Give --prompts as well."
            )
        if self.prompts is None or not judges:
            return None
        control = models[0] if self.against is None else self.against
        if control not in models:
            raise UsageError(
                f"win rates cannot be held against {control!r}: it is not evaluated",
                where="eval",
                fix=f"The models are {', '.join(models)}.",
            )
        return control

    def _check(self, parts: list["Part"], models: list[str]) -> None:
        """Refuse an evaluation of nothing, equal names, and requirements that nothing can meet."""
        from llamakit.evaluation.requirement import check_names, parse

        names = [part.name for part in parts]
        if not parts:
            raise UsageError(
                "there is nothing to measure",
                where="eval",
                fix="Give --tasks, --documents, --adherence, --attention, --safety-prompts or"
                " --prompts.",
            )
        names += ["win"] if self.prompts is not None else []
        if len(set(names)) < len(names):
            raise UsageError(
                f"two parts have one name: {', '.join(names)}",
                where="eval",
                fix="Rename a file: parts are called as their files are.",
            )
        for text in self.require:
            check_names(parse(text), models, names)


def _refuse_empty(items: Collection[object], where: str) -> None:
    """A mean over nothing would be a number that is none."""
    if not items:
        raise InputError("it holds nothing to measure on", where=where)


def _warn_of(broken: "Sequence[str]", draft: Draft[Report]) -> None:
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        draft.events.warn(f"left out {broken[0]}{more}")
