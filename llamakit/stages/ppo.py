"""Prompts, a chat model and reward models become a better chat model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Dialogues, Model, RewardModel
from llamakit.errors import InputError, UsageError
from llamakit.stages.fields import Execution, Identity, Input, Inputs
from llamakit.stages.stage import Outcome
from llamakit.stages.trained import Adapted

if TYPE_CHECKING:
    from torch import Tensor

    from llamakit.alignment.ppo import Ppo as PpoRun
    from llamakit.alignment.ppo_plan import PpoPlan
    from llamakit.alignment.ppo_run import PpoResult
    from llamakit.alignment.prompts import Prompt
    from llamakit.model.lora import Lora
    from llamakit.text.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Ppo(Adapted):
    """Train a chat model by PPO against reward models, or by RLOO or GRPO.

    An answer's reward is the safety score where the prompt is tagged as a safety prompt or the
    score is below safety-threshold, else the helpfulness score; whitened over the batch, less the
    KL to the start model. The policy with the best objective on held-out prompts is kept.
    RLOO and GRPO need no value model: they compare several answers to a prompt.
    """

    prompts: Inputs[Dialogues]
    """Dialogues to answer; an answer at a dialogue's end is taken off."""
    model: Input[Model]
    """Chat model to start from; also the reference that KL is measured to."""
    helpfulness: Input[RewardModel]
    """Helpfulness reward model; the value model of gae starts from it too."""
    safety: Input[RewardModel] | None = None
    """Safety reward model; without it every answer is judged by helpfulness."""
    heldout: Inputs[Dialogues] = ()
    """Prompts to choose the best policy on; without them a share of the prompts is held out."""
    heldout_share: Identity[Annotated[float, Interval(ge=0, lt=1)]] = 0.1
    """Share of the prompts held out when none are given (0-1); with 0 the last policy is kept."""
    iterations: Identity[Annotated[int, Ge(1)]] = 200
    """Batches to train on, at most; the paper runs 200 to 400."""
    batch: Identity[Annotated[int, Ge(2)]] = 512
    """Answers an iteration."""
    mini_batch: Identity[Annotated[int, Ge(1)]] = 64
    """Answers an optimizer step."""
    estimator: Identity[Literal["gae", "rloo", "grpo"]] = "gae"
    """What an answer is compared with: a value model's expectation (gae, PPO), or the other answers
    to its prompt (rloo), over their deviation (grpo)."""
    answers: Identity[Annotated[int, Ge(1)]] = 1
    """Answers to each prompt of a batch; rloo and grpo need two or more."""
    lr: Identity[Annotated[float, Ge(0)]] = 1e-6
    """The policy's learning rate, constant."""
    value_lr: Identity[Annotated[float, Ge(0)] | None] = None
    """The value model's learning rate, constant; by default 1e-6, with gae."""
    critic_warmup: Identity[Annotated[int, Ge(0)] | None] = None
    """First iterations in which only the value model learns; by default 2, with gae."""
    lam: Identity[Annotated[float, Interval(ge=0, le=1)] | None] = None
    """Lambda of generalised advantage estimation; by default 0.95, with gae."""
    kl_weight: Identity[Annotated[float, Ge(0)]] = 0.01
    """Weight of the KL to the start model, per token; the paper takes 0.01, from 34B on 0.005."""
    kl_target: Identity[Annotated[float, Gt(0)] | None] = None
    """KL to the start model, in nats per answer, that the weight is steered to; else it is
    fixed."""
    kl_horizon: Identity[Annotated[int, Ge(1)] | None] = None
    """Answers over which a KL a fifth off its target, or more, moves the weight by a fifth; by
    default 10,000, with kl-target."""
    ratio_clip: Identity[Annotated[float, Gt(0)]] = 0.2
    """How far a token's probability may move from the sampler's before its gradient stops; with
    rloo an answer's."""
    safety_threshold: Identity[Annotated[float, Interval(gt=0, lt=1)]] = 0.15
    """Safety score (0-1) below which an answer is judged by its safety, whatever the prompt."""
    whitening: Identity[Literal["scale", "full", "none"]] = "scale"
    """Scores of a batch: scaled to unit variance, also shifted to mean 0, or left as they are."""
    whiten_by: Identity[Literal["batch", "running"]] = "batch"
    """Whose mean and deviation those are: the batch's, or those of all scores so far."""
    unfinished_penalty: Identity[Annotated[float, Ge(0)]] = 1.0
    """Taken from the reward of answers cut off by max-new-tokens, in standard deviations."""
    max_new_tokens: Identity[Annotated[int, Ge(1)]] = 512
    """Longest answer, in tokens."""
    temperature: Identity[Annotated[float, Gt(0)]] = 1.0
    """Sampling temperature; log-probabilities are taken at it too."""
    eval_every: Identity[Annotated[int, Ge(1)]] = 10
    """Iterations between checks on held-out prompts."""
    patience: Identity[Annotated[int, Ge(1)]] = 5
    """Checks without a better objective after which the run stops."""
    max_kl: Identity[Annotated[float, Gt(0)]] = 100.0
    """KL to the start model, in nats per answer, from which the run stops, within an iteration too,
    with a check; a policy further away on held-out prompts is not kept."""
    tokens_at_once: Identity[Annotated[int, Ge(1)]] = 2048
    """Tokens of one forward pass, padding included. Small ones stay in a processor's cache."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the models compute in; weights are trained in fp32."""
    lora_rank: Identity[Annotated[int, Ge(0)]] = 0
    """Rank of the adapters that are trained in place of the models' own weights; 0 trains all. The
    reference is then the policy without its adapters, not a second model."""
    seed: Identity[Annotated[int, Ge(0)]] = 0
    """Seed of sampling, of the order of prompts, of what is held out and of adapters."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to train: auto takes a GPU if there is one."""
    parallel: Execution[Literal["ddp", "fsdp"]] = "ddp"
    """Under torchrun: ddp copies the models to every process, fsdp shards them and gathers one at a
    time to sample and score with."""
    checkpoint_every: Execution[Annotated[int, Ge(1)]] = 10
    """Iterations between checkpoints."""

    makes: ClassVar = Model
    revision: ClassVar = 7
    many_processes: ClassVar = True
    panel: ClassVar = "Alignment"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch % self.answers:
            raise UsageError(
                f"answers = {self.answers} does not divide batch = {self.batch}",
                where=self.command(),
                fix="A batch holds all answers to each of its prompts.",
            )
        if self.estimator != "gae" and self.answers < 2:
            raise UsageError(
                f"{self.estimator} compares the answers to one prompt, and answers = 1",
                where=self.command(),
                fix="Give two or more, as --answers 4.",
            )
        of_gae = {"value_lr": self.value_lr, "critic_warmup": self.critic_warmup, "lam": self.lam}
        self._refuse_idle(of_gae, self.estimator == "gae", f"{self.estimator} has no value model")
        self._refuse_idle(
            {"kl_horizon": self.kl_horizon}, self.kl_target is not None, "there is no kl_target"
        )
        running = {"whiten_by": "running" if self.whiten_by == "running" else None}
        self._refuse_idle(running, self.whitening != "none", "whitening is none")

    def _refuse_idle(self, given: Mapping[str, object], works: bool, why: str) -> None:
        """A setting that would change nothing is a mistake."""
        idle = [name for name, value in given.items() if value is not None]
        if idle and not works:
            raise UsageError(f"{', '.join(idle)} would do nothing: {why}", where=self.command())

    def run(self, draft: Draft[Model]) -> Outcome:
        from llamakit.alignment import ppo, ppo_run
        from llamakit.alignment.models import open_judges, prompt_room, require_same_vocabulary
        from llamakit.alignment.ppo_report import ppo_page
        from llamakit.model.lora import add_lora
        from llamakit.model.weights import load_model, load_reward_model, load_vocabulary
        from llamakit.training.machine import pick_device, warn_of_slow_bf16
        from llamakit.training.metrics import read_metrics
        from llamakit.training.parallel import parallel_of

        lora = self.lora()
        start = draft.input(self.model).path
        helpfulness = draft.input(self.helpfulness).path
        safety = draft.input(self.safety).path if self.safety is not None else None
        scorers = [helpfulness, *([safety] if safety else [])]
        require_same_vocabulary([start, *scorers])
        room = prompt_room(start, scorers, self.max_new_tokens, self.command())
        vocabulary = load_vocabulary(start)
        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        parallel = parallel_of(self.parallel, 1, device, lora=lora)
        judges = open_judges(
            helpfulness,
            safety,
            self.safety_threshold,
            vocabulary,
            dtype=self.dtype,
            device=device,
            parallel=parallel,
        )
        policy = load_model(start, device=device)
        prompts, heldout, counts = self._prompts(draft, vocabulary, room)
        plan = self._plan()
        value_model = load_reward_model(helpfulness, device=device) if plan.has_critic else None
        if lora is not None:
            add_lora(policy, lora, self.seed)
            if value_model is not None:
                add_lora(value_model, lora, self.seed + 1)
        run = ppo.Ppo(
            policy=policy,
            reference=load_model(start, self.dtype, device) if lora is None else None,
            value_model=value_model,
            judge=judges,
            vocabulary=vocabulary,
            plan=plan,
            parallel=parallel,
            device=device,
        )
        result = ppo_run.train(
            run,
            prompts,
            heldout,
            ppo_run.Limits(
                eval_every=self.eval_every,
                patience=self.patience,
                checkpoint_every=self.checkpoint_every,
            ),
            checkpoints=draft.work / "checkpoints",
            log=draft.log,
            events=draft.events,
        )
        trained = parallel.weights(run.policy, self.dtype, draft.work / "weights")
        if not parallel.leads:
            return Outcome()
        method = _METHODS[self.estimator]
        self._save(draft, run, vocabulary, trained, lora, _card(result, method))
        page = ppo_page(
            method,
            read_metrics(draft.log / ppo_run.METRICS),
            read_metrics(draft.log / ppo_run.HELDOUT),
            result.best_iteration,
            result.stopped,
        )
        with draft.writing("log/report.html") as path:
            path.write_text(page, encoding="utf-8")
        if heldout and result.best_iteration == 0:
            draft.events.warn("no policy beat the start model on held-out prompts: it is kept")
        counts |= {"iterations": result.iterations, "best_iteration": result.best_iteration}
        names = ("score", "objective", "kl", "finished", "gated", "helpfulness", "safety")
        figures = {f"start_{n}": result.start[n] for n in names if n in result.start}
        figures |= {n: result.best[n] for n in names if n in result.best}
        headline = f"{result.iterations} iterations; {result.stopped}"
        if result.best:
            headline = (
                f"held-out score {result.start['score']:.3f} -> {result.best['score']:.3f}, "
                f"KL {result.best['kl']:.2f}, iteration {result.best_iteration}"
            )
        return Outcome(counts=counts, metrics=figures, headline=headline)

    def _save(
        self,
        draft: Draft[Model],
        run: "PpoRun",
        vocabulary: "Vocabulary",
        weights: "Mapping[str, Tensor]",
        lora: "Lora | None",
        card: str,
    ) -> None:
        """Write the policy, and its adapter beside it."""
        from llamakit.model.exchange.peft import ADAPTER_FOLDER, write_adapter
        from llamakit.model.lora import MergedWeights
        from llamakit.model.weights import save_model

        if lora is not None:
            write_adapter(draft.path / ADAPTER_FOLDER, weights, lora, reward=False)
            weights = MergedWeights(weights, lora)
        save_model(draft.path, run.policy, vocabulary, chat=True, card=card, weights=weights)

    def _plan(self) -> "PpoPlan":
        from llamakit.alignment.ppo_plan import PpoPlan

        return PpoPlan(
            iterations=self.iterations,
            batch=self.batch,
            mini_batch=self.mini_batch,
            tokens_at_once=self.tokens_at_once,
            estimator=self.estimator,
            answers=self.answers,
            lr=self.lr,
            value_lr=1e-6 if self.value_lr is None else self.value_lr,
            ratio_clip=self.ratio_clip,
            kl_weight=self.kl_weight,
            kl_target=self.kl_target,
            kl_horizon=self.kl_horizon or 10_000,
            max_kl=self.max_kl,
            lam=0.95 if self.lam is None else self.lam,
            temperature=self.temperature,
            max_new_tokens=self.max_new_tokens,
            whitening=self.whitening,
            whiten_by=self.whiten_by,
            unfinished_penalty=self.unfinished_penalty,
            critic_warmup=2 if self.critic_warmup is None else self.critic_warmup,
            dtype=self.dtype,
            seed=self.seed,
        )

    def _prompts(
        self, draft: Draft[Model], vocabulary: "Vocabulary", room: int
    ) -> tuple[list["Prompt"], list["Prompt"], dict[str, int]]:
        """(training prompts, held-out prompts, counts of what was read, shortened and dropped)."""
        from llamakit.alignment.prompts import split_heldout, tokenise_prompts
        from llamakit.alignment.tables import read_rows, told

        folders = [version.path / "data" for version in draft.inputs(self.prompts)]
        prompts, dropped = tokenise_prompts(read_rows(folders), vocabulary, room)
        if self.heldout:
            folders = [version.path / "data" for version in draft.inputs(self.heldout)]
            heldout, more = tokenise_prompts(read_rows(folders), vocabulary, room)
            dropped += more
        else:
            prompts, heldout = split_heldout(prompts, self.heldout_share, self.seed)
        if not prompts:
            raise InputError(
                "no prompt is left to train on",
                where="ppo",
                fix=f"What became of them: {told(dropped)}.",
            )
        counts = {
            "prompts": len(prompts),
            "safety_prompts": sum(prompt.safety for prompt in prompts),
            "held_out": len(heldout),
            **{name: count for name, count in sorted(dropped.items()) if count},
        }
        return prompts, heldout, counts


_METHODS = {"gae": "PPO", "rloo": "RLOO", "grpo": "GRPO"}


def _card(result: "PpoResult", method: str) -> str:
    return (
        f"# Chat model trained by {method}\n\n"
        f"Trained with llamakit for {result.iterations} iterations against reward models; the "
        f"policy of iteration {result.best_iteration} is kept. It speaks Llama 2's chat format.\n"
    )
