"""The stages of alignment, run whole on tiny models."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from llamakit.alignment.preprompts import put_before, read_preprompts
from llamakit.alignment.scoring import score_rows
from llamakit.artifacts.frames import read_all
from llamakit.artifacts.store import Store
from llamakit.errors import InputError, LlamakitError, Stopped, UsageError
from llamakit.events import Events, Task
from llamakit.model.config import ModelConfig
from llamakit.model.generation import Sampling, generate
from llamakit.model.transformer import RewardModel, Transformer
from llamakit.model.weights import (
    load_model,
    load_reward_model,
    load_vocabulary,
    save_reward_model,
)
from llamakit.stages.annotate import Annotate
from llamakit.stages.distill import Distill
from llamakit.stages.gatt import Gatt
from llamakit.stages.import_ import Import
from llamakit.stages.ppo import Ppo
from llamakit.stages.produce import produce
from llamakit.stages.rejection import Rejection
from llamakit.stages.rm import Rm
from llamakit.stages.rmeval import Rmeval
from llamakit.stages.sft import Sft
from llamakit.stages.stage import Stage
from llamakit.stages.study import Study
from llamakit.text.dialogue import CHAT_TAGS, render_prompt
from llamakit.text.vocabulary import Vocabulary
from tests.alignment.given import keep, keep_table, message
from tests.alignment.serving import serving

CONSTRAINTS = """\
{"id": "a", "instruction": "Always shout.", "short": "Style: shout", "family": "style", \
"check": {"kind": "uppercase"}}
{"id": "b", "instruction": "End with ahoy.", "short": "Ending: ahoy", "family": "ending", \
"check": {"kind": "ends_with", "value": ["ahoy"]}}
{"id": "c", "instruction": "You enjoy rowing.", "short": "Hobby: rowing", "family": "hobby"}
"""


PREPROMPTS = """\
{"id": "wise", "preprompt": "Be {adjective}.", "adjectives": ["wise", "kind"]}
{"id": "illicit", "category": "illicit", "preprompt": "No harm.", "answer": "Say no."}
{"id": "hateful", "category": "hateful", "preprompt": "Please help people."}
"""


def ppo_stage(**changes: Any) -> Ppo:
    settings: dict[str, Any] = {
        "prompts": ("prompts",),
        "model": "chat",
        "helpfulness": "helpfulness",
        "safety": "safety",
        "iterations": 2,
        "batch": 6,
        "mini_batch": 3,
        "lr": 1e-3,
        "value_lr": 1e-3,
        "critic_warmup": 0,
        "max_new_tokens": 5,
        "heldout_share": 0.3,
        "eval_every": 1,
        "device": "cpu",
    }
    return Ppo(**(settings | changes))


def rejection_stage(**changes: Any) -> Rejection:
    settings: dict[str, Any] = {
        "prompts": ("prompts",),
        "model": "chat",
        "helpfulness": "helpfulness",
        "safety": "safety",
        "k": 4,
        "temperatures": [0.8, 1.2],
        "max_new_tokens": 30,
        "shard_prompts": 4,
        "device": "cpu",
    }
    return Rejection(**(settings | changes))


def annotate_stage(**changes: Any) -> Annotate:
    settings: dict[str, Any] = {
        "prompts": ("prompts",),
        "models": ("chat",),
        "helpfulness": "helpfulness",
        "safety": "safety",
        "temperatures": [0.8, 1.4],
        "max_new_tokens": 20,
        "shard_prompts": 4,
        "device": "cpu",
    }
    return Annotate(**(settings | changes))


def gatt_stage(folder: Path, **changes: Any) -> Gatt:
    (folder / "constraints.jsonl").write_text(CONSTRAINTS, encoding="utf-8")
    settings: dict[str, Any] = {
        "dialogues": ("talks",),
        "model": "chat",
        "constraints": (str(folder / "constraints.jsonl"),),
        "min_turns": 1,
        "temperature": 1.2,
        "top_p": 1.0,
        "max_new_tokens": 20,
        "shard_dialogues": 4,
        "device": "cpu",
    }
    return Gatt(**(settings | changes))


def distill_stage(folder: Path, **changes: Any) -> Distill:
    (folder / "preprompts.jsonl").write_text(PREPROMPTS, encoding="utf-8")
    settings: dict[str, Any] = {
        "prompts": ("prompts", "adversarial"),
        "model": "chat",
        "safety": "safety",
        "preprompts": (str(folder),),
        "temperature": 0.0,
        "max_new_tokens": 24,
        "shard_prompts": 5,
        "device": "cpu",
    }
    return Distill(**(settings | changes))


@pytest.fixture
def adversarial(stocked: Store, tmp_path: Path) -> Store:
    """The same store with more safety prompts, a category in their source."""
    rows = [
        {
            "id": f"bad-{index}",
            "messages": [message("user", f"Tell me {index}, a story of {index % 7} foxes.")],
            "train_on": "all",
            "source": ("illicit", "hateful", "other")[index % 3],
            "safety": True,
        }
        for index in range(12)
    ]
    keep_table(stocked, "adversarial", "dialogues", tmp_path / "given" / "adversarial", rows)
    return stocked


def test_rm_learns_pairs_that_can_be_told_apart(stocked: Store) -> None:
    stage = Rm(
        preferences=("helpfulness-pairs",),
        mix=("safety-pairs",),
        model="chat",
        kind="helpfulness",
        epochs=6,
        batch_pairs=6,
        tokens_at_once=256,
        lr=3e-3,
        heldout_share=0.25,
        device="cpu",
    )
    version = produce(stage, stocked).version
    load_reward_model(version.path)
    counts, metrics = version.record.counts, version.record.metrics
    assert (counts["own"], counts["mixed_in"]) == (12, 12)
    assert counts["pairs"] + counts["held_out"] == 24
    assert metrics["agreement"] == 1.0
    assert {"agreement_source_helpfulness", "agreement_source_safety"} <= set(metrics)
    report = (version.path / "log" / "report.html").read_text(encoding="utf-8")
    assert "Calibration" in report


def test_rm_tells_its_own_pairs_by_their_sources(stocked: Store) -> None:
    settings: dict[str, Any] = {"model": "chat", "batch_pairs": 12, "lr": 1e-3, "device": "cpu"}
    apart = Rm(preferences=("helpfulness-pairs",), mix=("safety-pairs",), **settings)
    together = Rm(
        preferences=("safety-pairs", "helpfulness-pairs"), sources=["helpfulness"], **settings
    )
    assert produce(together, stocked).version.digest == produce(apart, stocked).version.digest
    nobody = Rm(preferences=("safety-pairs",), sources=["helpfulness"], **settings)
    with pytest.raises(InputError, match="no pair has a source among helpfulness"):
        produce(nobody, stocked)


def test_safety_rm_takes_a_tenth_of_other_pairs_and_reports_its_gate(stocked: Store) -> None:
    stage = Rm(
        preferences=("safety-pairs",),
        mix=("helpfulness-pairs",),
        model="chat",
        heldout=("safety-pairs", "helpfulness-pairs"),
        kind="safety",
        epochs=4,
        batch_pairs=6,
        lr=3e-3,
        device="cpu",
    )
    version = produce(stage, stocked).version
    assert version.record.counts["own"] == 12
    assert version.record.counts["mixed_in"] == round(12 * 0.1 / 0.9)
    assert "gate_rate" in version.record.metrics


def test_rm_with_shuffled_labels_learns_other_bytes(stocked: Store) -> None:
    settings: dict[str, Any] = {
        "preferences": ("safety-pairs",), "model": "chat", "batch_pairs": 12,
        "lr": 1e-3, "device": "cpu",
    }  # fmt: skip
    plain = produce(Rm(**settings), stocked).version
    control = produce(Rm(**settings, shuffle_labels=True), stocked).version
    assert plain.digest != control.digest


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("command", ["sft", "rm"])
def test_adapters_are_trained_stopped_continued_and_merged(
    stocked: Store, command: str, dtype: str
) -> None:
    class StopsTraining(Dies):
        def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
            return super().task(label, total, "shards" if unit == "steps" else unit)

    settings: dict[str, Any] = {
        "model": "chat", "epochs": 4, "lr": 3e-3, "device": "cpu", "lora_rank": 2,
        "lora_targets": ["q_proj", "v_proj", "down_proj"], "dtype": dtype,
    }  # fmt: skip
    stage: Stage = (
        Sft(dialogues=("talks",), batch=2, micro_batch=1, **settings)
        if command == "sft"
        else Rm(preferences=("helpfulness-pairs",), batch_pairs=6, **settings)
    )
    with pytest.raises(Stopped):
        produce(stage, stocked, events=StopsTraining())
    version = produce(stage, stocked).version
    assert produce(stage, stocked, force=True).version.digest == version.digest
    # The artifact is a whole model of its kind: its start's weights plus the adapter beside it.
    start = load_model(stocked.resolve("chat").path)
    model: Any = (load_model if command == "sft" else load_reward_model)(version.path)
    adapter = load_file(version.path / "adapter" / "adapter_model.safetensors")
    for name, weight in start.named_parameters():
        if "lm_head" in name and command == "rm":
            continue
        halves = [
            adapter.get(f"base_model.model.{name.removesuffix('.weight')}.lora_{half}.weight")
            for half in "BA"
        ]
        expected = weight if dtype == "fp32" else weight.bfloat16().float()
        if halves[0] is not None and halves[1] is not None:
            expected = expected + 2.0 * halves[0].float() @ halves[1].float()
            assert not torch.equal(model.get_parameter(name), weight)
        tolerance = 0.0 if halves[0] is None else 1e-6 if dtype == "fp32" else 1e-2
        torch.testing.assert_close(model.get_parameter(name), expected, rtol=0, atol=tolerance)
    if (command, dtype) == ("sft", "fp32"):
        merged = load_model(
            produce(Import(files=("chat",), adapter=("sft",)), stocked).version.path
        )
        for name, weight in model.named_parameters():
            assert torch.equal(merged.get_parameter(name), weight)


def test_adapters_with_divided_layers_are_refused(stocked: Store) -> None:
    with pytest.raises(UsageError, match="adapters are not divided"):
        produce(
            Sft(dialogues=("talks",), model="chat", lora_rank=2, tensor_parallel=2, device="cpu"),
            stocked,
        )


def test_the_papers_recipe_is_the_default_of_rm_and_its_schedule_is_kept(stocked: Store) -> None:
    paper = Rm(preferences=("safety-pairs",), model="chat")
    assert (paper.epochs, paper.batch_pairs, paper.lr) == (1, 512, 1e-5)
    assert (paper.warmup_ratio, paper.warmup_min, paper.weight_decay) == (0.03, 5, 0.1)
    stage = Rm(
        preferences=("helpfulness-pairs",),
        mix=("safety-pairs",),
        model="chat",
        heldout_share=0.0,
        batch_pairs=2,
        lr=1e-3,
        device="cpu",
    )
    version = produce(stage, stocked).version
    assert version.record.counts == {"pairs": 24, "own": 12, "mixed_in": 12, "held_out": 0}
    lines = (version.path / "log" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rates = [json.loads(line)["lr"] for line in lines]
    assert len(rates) == 12  # one epoch
    assert rates[:5] == pytest.approx([1e-3 * (step + 1) / 5 for step in range(5)])
    cosine = [1e-3 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * step / 7))) for step in range(7)]
    assert rates[5:] == pytest.approx(cosine)


def test_rm_tells_how_often_another_model_ranks_alike(stocked: Store) -> None:
    settings: dict[str, Any] = {
        "preferences": ("safety-pairs",), "heldout": ("helpfulness-pairs",), "model": "chat",
        "batch_pairs": 12, "lr": 1e-3, "device": "cpu",
    }  # fmt: skip
    alone = produce(Rm(**settings), stocked).version
    beside = produce(Rm(**settings, other="safety"), stocked).version
    assert 0.0 <= beside.record.metrics.pop("same_choice") <= 1.0
    assert beside.record.metrics == alone.record.metrics
    weights = "model.safetensors"
    assert (alone.path / weights).read_bytes() == (beside.path / weights).read_bytes()
    report = (beside.path / "log" / "report.html").read_text(encoding="utf-8")
    assert "helpfulness and safety:v1" in report
    itself = produce(Rm(**settings, other=alone.reference), stocked).version
    assert itself.record.metrics["same_choice"] == 1.0


def test_rmeval_measures_models_on_pairs(stocked: Store) -> None:
    stage = Rmeval(
        models=("helpfulness", "safety"),
        preferences=("safety-pairs", "helpfulness-pairs"),
        require=["safety-pairs:helpfulness>=0", "safety-pairs>1"],
        device="cpu",
    )
    version = produce(stage, stocked).version
    report = json.loads((version.path / "report.json").read_text(encoding="utf-8"))
    assert report["models"] == ["helpfulness", "safety"]
    assert list(report["parts"]) == ["safety-pairs", "helpfulness-pairs"]
    table = pl.read_parquet(version.path / "samples.parquet")
    assert len(table) == 2 * 24
    for part, own in report["parts"].items():
        for model, found in own.items():
            rows = table.filter(part=part, model=model)
            hits = (rows["chosen_score"] > rows["rejected_score"]).mean()
            assert found["measures"]["agreement"]["value"] == pytest.approx(hits)
            assert found["measures"]["agreement"]["n"] == 12
    assert "gate_recall" in report["parts"]["safety-pairs"]["safety"]["measures"]
    assert "gate_recall" not in report["parts"]["helpfulness-pairs"]["safety"]["measures"]
    (both,) = report["two_models"]["safety-pairs"]
    same = table.filter(part="safety-pairs").with_columns(
        one=pl.col("chosen_score") > pl.col("rejected_score")
    )
    choices = [same.filter(model=name)["one"].to_list() for name in report["models"]]
    assert both["same"]["value"] == pytest.approx(
        np.mean([a == b for a, b in zip(*choices, strict=True)])
    )
    (line,) = stage.unmet(version)
    assert line.startswith("safety-pairs>1: helpfulness has ")
    page = (version.path / "report.html").read_text(encoding="utf-8")
    assert "Farthest from the annotator" in page


def test_study_compares_what_rmeval_measured(stocked: Store) -> None:
    for run, limit in enumerate((8, 12)):
        stage = Rmeval(
            models=("helpfulness", "safety"),
            preferences=("safety-pairs" if run else "helpfulness-pairs",),
            parts=["pairs"],
            limit=limit,
            device="cpu",
        )
        produce(stage, stocked, name=f"judged-{run}")
    study = Study(reports=("judged-0", "judged-1"), arms=["helpfulness", "safety"])
    version = produce(study, stocked).version
    content = json.loads((version.path / "report.json").read_text(encoding="utf-8"))
    main = content["results"][0]
    assert (main["part"], main["measure"], main["kind"]) == ("pairs", "agreement", "main")
    assert set(main["arms"]) == {"helpfulness", "safety"}
    assert "grade better" in {one["measure"] for one in content["results"]}


def test_rmeval_needs_pairs_and_known_names(stocked: Store) -> None:
    with pytest.raises(UsageError, match="name the pairs"):
        Rmeval(models=("helpfulness",))
    with pytest.raises(UsageError, match="2 different names are needed"):
        Rmeval(models=("safety",), preferences=("a", "b"), parts=["one", "one"])
    with pytest.raises(UsageError, match="there is no part 'pairs' here"):
        produce(
            Rmeval(models=("safety",), preferences=("safety-pairs",), require=["pairs>0.5"]),
            stocked,
        )
    with pytest.raises(UsageError, match="a model is given twice: safety:v1, safety:v1"):
        produce(Rmeval(models=("safety", "safety"), preferences=("safety-pairs",)), stocked)


def test_ppo_writes_a_chat_model_and_tells_what_it_did(stocked: Store) -> None:
    version = produce(ppo_stage(), stocked).version
    load_model(version.path)
    assert version.record.counts["prompts"] == 7
    assert version.record.counts["held_out"] == 3
    assert {"start_score", "score", "kl", "finished", "gated"} <= set(version.record.metrics)
    for name in ("metrics.jsonl", "heldout.jsonl", "report.html"):
        assert (version.path / "log" / name).is_file()


def test_ppo_refuses_a_reward_model_of_another_vocabulary(
    stocked: Store, tmp_path: Path, config: ModelConfig
) -> None:
    from llamakit.text.vocabulary import train_vocabulary

    other = train_vocabulary(["An other text, which has no like: 7."] * 9, tmp_path / "v", 300)
    changed = ModelConfig(**{**vars(config), "vocab_size": other.size})
    save_reward_model(tmp_path / "foreign", RewardModel(changed), other, card="-")
    keep(stocked, "foreign", "reward-model", tmp_path / "foreign")
    with pytest.raises(InputError, match="different vocabularies"):
        produce(ppo_stage(safety="foreign"), stocked)


@pytest.mark.parametrize(("command", "tokens"), [("ppo", 127), ("rejection", 127), ("gatt", 128)])
def test_answers_that_leave_no_room_for_a_prompt_are_refused(
    stocked: Store, tmp_path: Path, command: str, tokens: int
) -> None:
    stages: dict[str, Any] = {
        "ppo": ppo_stage,
        "rejection": rejection_stage,
        "gatt": lambda **changes: gatt_stage(tmp_path, **changes),
    }
    with pytest.raises(UsageError, match=rf"{command}: max_new_tokens = {tokens} leaves no room"):
        produce(stages[command](max_new_tokens=tokens), stocked)


def test_keys_of_counts_are_snake_case(stocked: Store, tmp_path: Path) -> None:
    stages: list[Stage] = [
        Rm(preferences=("safety-pairs",), model="chat", batch_pairs=12, device="cpu"),
        rejection_stage(),
        annotate_stage(),
        gatt_stage(tmp_path),
        ppo_stage(iterations=1),
    ]
    for stage in stages:
        keys = set(produce(stage, stocked).version.record.counts)
        assert keys
        assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in keys), keys


@pytest.mark.parametrize("changed", [{"shard_prompts": 3}, {"shard_prompts": 64}])
def test_rejection_keeps_the_best_and_does_not_depend_on_shards(
    stocked: Store, changed: dict[str, int]
) -> None:
    version = produce(rejection_stage(), stocked).version
    rows = read_all(version.path / "data").to_dicts()
    counts = version.record.counts
    assert counts["prompts"] == 10
    assert counts["candidates"] == 40
    assert counts["dialogues"] == len(rows) > 0
    for row in rows:
        assert row["train_on"] == "last"
        assert [one["role"] for one in row["messages"]] == ["user", "assistant"]
    assert version.record.metrics["best"] > version.record.metrics["median"]
    assert "Reward against K" in (version.path / "log" / "report.html").read_text("utf-8")
    again = produce(rejection_stage(**changed), stocked, force=True).version
    assert again.digest == version.digest


@pytest.mark.parametrize("command", ["rejection", "gatt", "distill"])
def test_a_server_samples_in_this_processs_place(
    stocked: Store, tmp_path: Path, chatting: Transformer, vocabulary: Vocabulary, command: str
) -> None:
    def stage(**changes: Any) -> Stage:
        if command == "rejection":
            return rejection_stage(**changes)
        if command == "distill":
            return distill_stage(tmp_path, prompts=("prompts",), gate=False, **changes)
        return gatt_stage(tmp_path, **changes)

    with serving(chatting, vocabulary) as server:
        version = produce(stage(engine="vllm", server=server.url), stocked).version
        assert server.requests
    # The stand-in samples as llamakit does: the same seeds must have reached it.
    assert produce(stage(), stocked).version.digest == version.digest
    with pytest.raises(UsageError, match="engine vllm needs the server's URL"):
        produce(stage(engine="vllm"), stocked, force=True)
    with pytest.raises(UsageError, match="server would do nothing"):
        produce(stage(server="http://127.0.0.1:1"), stocked, force=True)


def test_rejection_needs_a_judge(stocked: Store) -> None:
    with pytest.raises(UsageError, match="no reward model"):
        produce(rejection_stage(helpfulness=None, safety=None), stocked)


def test_gatt_gives_the_instruction_once_and_trains_the_last_answer(
    stocked: Store, tmp_path: Path
) -> None:
    version = produce(gatt_stage(tmp_path), stocked).version
    rows = read_all(version.path / "data").to_dicts()
    assert rows
    starts = ("Always shout.", "End with ahoy.", "You enjoy rowing.", "Style:", "Ending:", "Hobby:")
    for row in rows:
        assert row["train_on"] == "last"
        users = [one["content"] for one in row["messages"] if one["role"] == "user"]
        assert users[0].startswith(starts)
        assert users[0].endswith("Tell me 0.")
        assert users[1:] == [f"Tell me {turn}." for turn in range(1, len(users))]
        assert row["messages"][-1]["role"] == "assistant"
    assert "Ghost attention" in (version.path / "log" / "report.html").read_text("utf-8")
    assert version.record.counts["read"] == 6


def test_gatt_does_not_depend_on_shards(stocked: Store, tmp_path: Path) -> None:
    version = produce(gatt_stage(tmp_path), stocked).version
    again = produce(gatt_stage(tmp_path, shard_dialogues=1), stocked, force=True).version
    assert again.digest == version.digest


def test_gatt_can_keep_only_dialogues_that_obey(stocked: Store, tmp_path: Path) -> None:
    with pytest.raises(LlamakitError, match="instruction not obeyed"):
        produce(gatt_stage(tmp_path, keep="all", max_constraints=1), stocked)


def test_gatt_every_turn_and_plain_dialogues(stocked: Store, tmp_path: Path) -> None:
    version = produce(gatt_stage(tmp_path, cut="every", plain_share=1.0), stocked).version
    rows = read_all(version.path / "data").to_dicts()
    assert version.record.counts["without_instruction"] == len(rows)
    assert all(row["messages"][0]["content"] == "Tell me 0." for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)


def test_distilled_answers_are_adversarial_safer_and_without_the_preprompt(
    adversarial: Store, tmp_path: Path
) -> None:
    """Detail 21, with answers and scores made again one by one."""
    version = produce(distill_stage(tmp_path), adversarial).version
    rows = {row["id"]: row for row in read_all(version.path / "data").to_dicts()}
    given = [
        row
        for name in ("prompts", "adversarial")
        for row in read_all(adversarial.resolve(name).path / "data").to_dicts()
    ]
    model, judge = adversarial.resolve("chat").path, adversarial.resolve("safety").path
    policy, reward = load_model(model).eval(), load_reward_model(judge).eval()
    vocabulary = load_vocabulary(model)
    greedy = Sampling(24, temperature=0.0)
    preprompts = {one.id: one for one in read_preprompts([tmp_path / "preprompts.jsonl"])}
    expected = {}
    safe = [row for row in given if row["safety"]]
    for place, row in enumerate(safe):
        chance = random.Random(f"0/preprompt/{place}")
        own = chance.choice([preprompts.get(row["source"], preprompts["wise"])])
        texts, scores = [], []
        for messages in (row["messages"], put_before(own.text(chance), row["messages"])):
            (one,) = generate(
                policy, vocabulary, [render_prompt(messages, vocabulary)], greedy, [0]
            )
            usable = one.finished and not any(tag in one.text for tag in CHAT_TAGS)
            texts.append(one.text.strip() if usable else "")
            ids = render_prompt(row["messages"], vocabulary) + list(one.ids)
            ids += [] if one.finished else [vocabulary.eos]
            scores.append(score_rows(reward, [ids], vocabulary.pad).item())
        if texts[1] and scores[1] > scores[0]:
            expected[row["id"]] = texts[1]
    assert {name: row["messages"][-1]["content"] for name, row in rows.items()} == expected
    assert 0 < len(expected) < len(safe)
    for row in rows.values():
        assert [one["role"] for one in row["messages"]] == ["user", "assistant"]
        assert (row["train_on"], row["safety"]) == ("last", True)
    counts = version.record.counts
    assert (counts["prompts"], counts["not_adversarial"]) == (len(safe), len(given) - len(safe))
    fates = [n for name, n in counts.items() if name.startswith("dropped")]
    assert sum(fates) + counts["dialogues"] == counts["prompts"]
    assert version.record.metrics["kept_score_after"] > version.record.metrics["kept_score_before"]
    assert "Who gains" in (version.path / "log" / "report.html").read_text("utf-8")


def test_distillation_without_the_gate_keeps_worse_answers_too(
    adversarial: Store, tmp_path: Path
) -> None:
    gated = produce(distill_stage(tmp_path), adversarial).version.record
    open_ = produce(distill_stage(tmp_path, gate=False), adversarial).version.record
    assert open_.counts["dialogues"] > gated.counts["dialogues"]
    assert "dropped_not_safer" not in open_.counts
    assert open_.metrics["score_after"] == gated.metrics["score_after"]


@pytest.mark.parametrize("changes", [{"temperature": 1.0}, {"preprompt": "generic"}])
def test_distillation_does_not_depend_on_shards(
    adversarial: Store, tmp_path: Path, changes: dict[str, Any]
) -> None:
    first = produce(distill_stage(tmp_path, **changes), adversarial).version
    for execution in ({"shard_prompts": 2}, {"shard_prompts": 4, "workers": 2}):
        again = produce(
            distill_stage(tmp_path, **changes, **execution), adversarial, force=True
        ).version
        assert again.digest == first.digest


def test_distillation_refuses_prompts_that_are_not_adversarial(
    stocked: Store, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="none of 6 prompts is tagged"):
        produce(distill_stage(tmp_path, prompts=("talks",)), stocked)


@pytest.mark.parametrize("make", [ppo_stage, rejection_stage])
def test_the_same_config_gives_the_same_bytes(stocked: Store, make: Any) -> None:
    stage: Stage = make()
    state = torch.get_rng_state()
    first = produce(stage, stocked).version
    assert torch.equal(torch.get_rng_state(), state)  # no global random number was drawn
    second = produce(stage, stocked, force=True).version
    assert first.digest == second.digest


class Dies(Events):
    """Stops the run when the second shard is done."""

    def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
        events = self

        class Counting(Task):
            def advance(self, n: int = 1, **figures: float | int | str) -> None:
                super().advance(n)
                if unit == "shards" and n and self.done == 2:
                    events.stop(15)

        return Counting(label, total, unit)


def test_stopped_between_shards_sampling_continues_to_the_same_bytes(
    adversarial: Store, tmp_path: Path
) -> None:
    stages: list[Stage] = [
        rejection_stage(shard_prompts=3),
        distill_stage(tmp_path, shard_prompts=4),
        annotate_stage(shard_prompts=3),
        gatt_stage(tmp_path, shard_dialogues=2),
    ]
    for stage in stages:
        with pytest.raises(Stopped):
            produce(stage, adversarial, events=Dies())
        resumed = produce(stage, adversarial).version
        assert produce(stage, adversarial, force=True).version.digest == resumed.digest


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_stopped_ppo_continues_to_the_same_bytes(stocked: Store, lora_rank: int) -> None:
    class StopsPpo(Dies):
        def task(self, label: str, total: int | None = None, unit: str = "") -> Task:
            return super().task(label, total, "shards" if unit == "iterations" else unit)

    stage = ppo_stage(iterations=4, lora_rank=lora_rank)
    with pytest.raises(Stopped):
        produce(stage, stocked, events=StopsPpo())
    resumed = produce(stage, stocked).version
    assert produce(stage, stocked, force=True).version.digest == resumed.digest
    assert (resumed.path / "adapter" / "adapter_config.json").exists() == bool(lora_rank)
    load_model(resumed.path)
