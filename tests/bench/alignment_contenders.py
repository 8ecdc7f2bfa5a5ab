"""One trainer in a process of its own, which does its work once more whenever it is told to.

`alignment.py` starts it and speaks to it in lines: `run` is answered with CPU and wall seconds and
the units of work done. Nothing of llamakit is imported for a peer.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

Run = Callable[[], dict[str, float]]
STEP = 8
"""Dialogues, pairs or episodes of an optimizer step."""
LONGEST, NEW_TOKENS = 512, 64


def adapted(model: Any, wanted: bool) -> Any:
    """The model; where wanted, with adapters of rank 8 beside all matrices of its layers."""
    from llamakit.model.lora import TARGETS, Lora, add_lora

    if wanted:
        add_lora(model, Lora(8, 16.0, TARGETS), seed=0)
    return model


def llamakit_sft(folder: Path, work: dict[str, Any], dtype: str, *, lora: bool = False) -> Run:
    """`fit` on packed dialogues."""
    from llamakit.events import Events
    from llamakit.model.weights import load_model, load_vocabulary
    from llamakit.training.batches import PackedDialogues
    from llamakit.training.dialogues import render_dialogues
    from llamakit.training.loop import fit
    from llamakit.training.objectives import next_token
    from llamakit.training.plan import TrainingPlan

    vocabulary = load_vocabulary(folder / "model")
    rows = [
        {"id": str(n), "messages": messages, "train_on": "all", "artifact": "-"}
        for n, messages in enumerate(work["dialogues"])
    ]
    tokens = render_dialogues(rows, vocabulary, seq_len=LONGEST)
    steps = len(rows) // STEP
    whole = PackedDialogues(tokens, seq_len=LONGEST, rows=1, micro_rows=1, seed=0, packed=True)
    rows_a_step = -(-whole.n_rows // steps)

    def run() -> dict[str, float]:
        batches = PackedDialogues(
            tokens, seq_len=LONGEST, rows=rows_a_step, micro_rows=4, seed=0, packed=True
        )
        model = adapted(load_model(folder / "model"), lora)
        plan = TrainingPlan(steps=batches.steps_per_epoch, lr=1e-4, dtype=dtype, checkpoint_every=0)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as home:
            result = fit(
                model, next_token, batches, plan, checkpoints=Path(home, "c"),
                log=Path(home, "l"), events=Events(),
            )  # fmt: skip
        return {"units": float(result.tokens), "loss": result.last["loss"]}

    return run


def llamakit_rm(folder: Path, work: dict[str, Any], dtype: str, *, lora: bool = False) -> Run:
    """`fit` on pairs."""
    from llamakit.alignment import ranking
    from llamakit.alignment.preferences import PairBatches, tokenise_pairs
    from llamakit.events import Events
    from llamakit.model.weights import load_reward_model, load_vocabulary
    from llamakit.training.loop import fit
    from llamakit.training.plan import TrainingPlan

    vocabulary = load_vocabulary(folder / "model")
    rows = [
        {**row, "id": str(n), "grade": None, "safety": None, "source": "-"}
        for n, row in enumerate(work["pairs"])
    ]
    pairs, _ = tokenise_pairs(rows, vocabulary, LONGEST)

    def run() -> dict[str, float]:
        batches = PairBatches(
            pairs, batch_pairs=STEP, tokens_at_once=1024, epochs=1, seed=0, margin="none",
            pad=vocabulary.pad,
        )  # fmt: skip
        plan = TrainingPlan(steps=batches.steps, lr=1e-5, dtype=dtype, checkpoint_every=0)  # type: ignore[arg-type]
        model = adapted(load_reward_model(folder / "reward"), lora)
        with tempfile.TemporaryDirectory() as home:
            result = fit(
                model, ranking.objective(0.0, 0.0), batches, plan, checkpoints=Path(home, "c"),
                log=Path(home, "l"), events=Events(),
            )  # fmt: skip
        return {"units": float(len(pairs)), "loss": result.last["loss"]}

    return run


def llamakit_ppo(folder: Path, work: dict[str, Any], dtype: str, *, lora: bool = False) -> Run:
    """One iteration of `Ppo`."""
    from llamakit.alignment.models import open_judges
    from llamakit.alignment.ppo import Ppo
    from llamakit.alignment.ppo_plan import PpoPlan
    from llamakit.alignment.prompts import Prompt
    from llamakit.model.weights import load_model, load_reward_model, load_vocabulary

    vocabulary = load_vocabulary(folder / "model")
    prompts = [Prompt(str(n), [], ids, "-", False, n) for n, ids in enumerate(work["prompts"])]
    plan = PpoPlan(
        iterations=10**6, batch=len(prompts), mini_batch=STEP, max_new_tokens=NEW_TOKENS,
        dtype=dtype,
    )  # type: ignore[arg-type]  # fmt: skip
    ppo = Ppo(
        policy=adapted(load_model(folder / "model"), lora),
        reference=None if lora else load_model(folder / "model", dtype),  # type: ignore[arg-type]
        value_model=adapted(load_reward_model(folder / "reward"), lora),
        judge=open_judges(
            folder / "reward",
            None,
            0.15,
            vocabulary,
            dtype=dtype,
            device="cpu",  # type: ignore[arg-type]
        ),
        vocabulary=vocabulary,
        plan=plan,
    )
    iterations = iter(range(10**6))

    def run() -> dict[str, float]:
        figures = ppo.step(next(iterations), prompts)
        return {"units": float(len(prompts)), "loss": figures["value_loss"]}

    return run


def trl_common(dtype: str) -> dict[str, Any]:
    """Settings of all of TRL's trainers: nothing but the training."""
    return {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": STEP,
        "gradient_checkpointing": False,
        "bf16": dtype == "bf16",
        "use_cpu": True,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1000,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def tokenizer_of(folder: Path) -> Any:
    """The tokenizer beside the model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder / "model")


def trl_sft(folder: Path, work: dict[str, Any], dtype: str) -> Run:
    """SFTTrainer on prompts and completions, padded: it packs safely with FlashAttention only."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    tokenizer = tokenizer_of(folder)
    rows = [{"prompt": m[:-1], "completion": m[-1:]} for m in work["dialogues"]]
    data = Dataset.from_list(rows)
    settings = SFTConfig(
        **trl_common(dtype), max_length=LONGEST, num_train_epochs=1, learning_rate=1e-4
    )
    units = 0.0

    def run() -> dict[str, float]:
        nonlocal units
        model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
        trainer = SFTTrainer(model, settings, train_dataset=data, processing_class=tokenizer)
        if not units:
            units = float(sum(len(ids) - 1 for ids in trainer.train_dataset["input_ids"]))
        return timed(lambda: trainer.train().training_loss, units)

    return run


def trl_rm(folder: Path, work: dict[str, Any], dtype: str) -> Run:
    """RewardTrainer."""
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    tokenizer = tokenizer_of(folder)
    data = Dataset.from_list(
        [
            {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}
            for row in work["pairs"]
        ]
    )
    settings = RewardConfig(
        **trl_common(dtype), max_length=LONGEST, num_train_epochs=1, learning_rate=1e-5
    )

    def run() -> dict[str, float]:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder / "reward", dtype=torch.float32
        )
        trainer = RewardTrainer(model, settings, train_dataset=data, processing_class=tokenizer)
        return timed(lambda: trainer.train().training_loss, float(len(trainer.train_dataset)))

    return run


def trl_ppo(folder: Path, work: dict[str, Any], dtype: str) -> Run:
    """PPOTrainer: one batch, one epoch, as many updates."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    tokenizer = tokenizer_of(folder)
    data = Dataset.from_list([{"input_ids": ids} for ids in work["prompts"]])
    episodes = len(work["prompts"])
    settings = PPOConfig(
        **trl_common(dtype), gradient_accumulation_steps=episodes // STEP,
        num_mini_batches=episodes // STEP, num_ppo_epochs=1, total_episodes=episodes,
        response_length=NEW_TOKENS, temperature=1.0, local_rollout_forward_batch_size=episodes,
        num_sample_generations=0, learning_rate=1e-6, stop_token="eos",
    )  # fmt: skip

    def run() -> dict[str, float]:
        policy, reference = (
            AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
            for _ in range(2)
        )
        reward, value = (
            AutoModelForSequenceClassification.from_pretrained(
                folder / "reward", dtype=torch.float32
            )
            for _ in range(2)
        )
        trainer = PPOTrainer(
            settings, tokenizer, policy, reference, reward, data, value, eval_dataset=data
        )
        return timed(trainer.train, float(episodes))

    return run


def timed(work: Callable[[], Any], units: float) -> dict[str, float]:
    """CPU-seconds of the training alone: a trainer that is made anew each time is not counted."""
    cpu = time.process_time()
    work()
    return {"units": units, "cpu": time.process_time() - cpu}


CONTENDERS = {
    ("llamakit", "sft"): llamakit_sft,
    ("llamakit", "rm"): llamakit_rm,
    ("llamakit", "ppo"): llamakit_ppo,
    ("llamakit+lora", "sft"): partial(llamakit_sft, lora=True),
    ("llamakit+lora", "rm"): partial(llamakit_rm, lora=True),
    ("llamakit+lora", "ppo"): partial(llamakit_ppo, lora=True),
    ("trl", "sft"): trl_sft,
    ("trl", "rm"): trl_rm,
    ("trl", "ppo"): trl_ppo,
}


def main() -> None:
    """Get ready, then work whenever told to."""
    torch.set_num_threads(1)
    name, order = sys.argv[1], json.loads(sys.argv[2])
    folder = Path(order["folder"])
    answers = sys.stdout
    # Trainers print what they like.
    with contextlib.redirect_stdout(sys.stderr):
        work = json.loads((folder / "work.json").read_text())
        run = CONTENDERS[name, order["work"]](folder, work, order["dtype"])
        run()  # warm
        print(json.dumps({"told": 1}), file=answers, flush=True)
        for line in sys.stdin:
            if line.strip() != "run":
                break
            wall, cpu = time.perf_counter(), time.process_time()
            told = run()
            taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
            taken["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
            print(json.dumps({"told": 1, **taken, **told}), file=answers, flush=True)


if __name__ == "__main__":
    main()
