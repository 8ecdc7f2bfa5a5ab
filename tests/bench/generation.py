"""Generation beside transformers, litgpt and llama.cpp: tokens a second, memory, ratios.

    python tests/bench/generation.py [--python PEERS_PYTHON] [--rounds N] [--batches 1 32]

One small Llama (288 wide, 6 layers, 32,000 pieces, 15.2M weights in bf16, from a seed) is written
to a folder and opened by each tool in a process of its own, with as many threads. By turns they
continue the same prompts of 64 tokens greedily by 128, which is timed; the first run of each is not
counted. Also llamakit's default sampling, which peers do not do in a batch by one rule.

Peers are imported by the interpreter PEERS_PYTHON (`pip install transformers litgpt
llama-cpp-python`); those that are not there are named and left out. llama.cpp reads a GGUF file
(`--gguf`, as `llamakit export --format gguf --dtype bf16` writes it from the folder that `--keep`
keeps); what its build was compiled for is printed, since without the processor's widest vectors it
is a fraction as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROMPT, NEW, CONTEXT = 64, 128, 256
SHAPE = {
    "dim": 288, "n_layers": 6, "n_heads": 6, "n_kv_heads": 6, "ffn_dim": 768, "vocab_size": 32_000,
    "max_seq_len": CONTEXT, "tie_embeddings": True,
}  # fmt: skip
Write = Callable[[list[list[int]]], list[list[int]]]
"""Continues prompts of ids; returns the new ids."""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="an interpreter with the peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--only", nargs="+", choices=[*WRITERS], default=[*WRITERS])
    parser.add_argument("--gguf", type=Path, help="the same model for llama.cpp")
    parser.add_argument("--keep", type=Path, help="where to put the model's folder")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.worker, asked.keep, asked.threads)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch) / "model"
        if not (folder / "config.json").is_file():
            make_model(folder)
        gguf = asked.gguf or folder / "model.gguf"
        workers = {}
        for name in asked.only:
            own = name.startswith("llamakit")
            where = gguf if name.startswith("llama.cpp") else folder
            python = sys.executable if own else asked.python
            if worker := started(python, name, where, asked.threads):
                workers[name] = worker
        for batch in asked.batches:
            table(batch, timed(workers, batch, asked.rounds), asked.rounds)
        for name, worker in workers.items():
            peak = tell(worker, {"batch": 0})["megabytes"]
            worker.wait()
            print(f"{name:<26} peak memory {peak:,.0f} MB")


def make_model(folder: Path) -> None:
    """A random model in bf16, with a vocabulary of made-up words."""
    import random

    import torch

    from llamakit.model.config import ModelConfig
    from llamakit.model.transformer import Transformer
    from llamakit.model.weights import save_model
    from llamakit.text.vocabulary import train_vocabulary

    draws = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    lines = [
        " ".join("".join(draws.choices(letters, k=draws.randint(2, 9))) for _ in range(12))
        for _ in range(30_000)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = train_vocabulary(lines, Path(scratch), SHAPE["vocab_size"])
        model = Transformer(ModelConfig(**SHAPE), seed=0)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(4.0)  # so that logits are not all alike
            model.head_weight[vocabulary.eos] = 0.0  # never the likeliest: no text ends early
        folder.mkdir(parents=True, exist_ok=True)
        save_model(folder, model.bfloat16(), vocabulary, chat=False, card="")


def started(python: str, name: str, where: Path, threads: int) -> subprocess.Popen[str] | None:
    """A process of one tool with its model loaded; None, and said, where it does not come up."""
    command = [
        python,
        "-W",
        "ignore",
        __file__,
        "--worker",
        name,
        "--keep",
        where,
        "--threads",
        threads,
    ]
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe that nobody reads would fill)
    worker = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )  # fmt: skip
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if line:
        print(f"{name:<26} {json.loads(line)['version']}")
        return worker
    said.seek(0)
    print(f"{name:<26} left out: {(said.read().strip() or 'it said nothing').splitlines()[-1]}")
    return None


def tell(worker: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
    """One answer of a worker."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    print(json.dumps(request), file=worker.stdin, flush=True)
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"{worker.args} ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def timed(
    workers: dict[str, subprocess.Popen[str]], batch: int, rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Seconds and CPU-seconds of each tool in each round, in turns."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    texts: dict[str, list[int]] = {}
    for turn in range(rounds + 1):
        for name, worker in workers.items():
            answer = tell(worker, {"batch": batch})
            if turn:
                found[name].append(answer)
            texts[name] = answer["first"]
    own = texts.get("llamakit")
    for name, text in texts.items():
        same = next((n for n, (a, b) in enumerate(zip(text, own or [])) if a != b), NEW)  # noqa: B905
        if own and not name.startswith("llamakit"):
            print(f"batch {batch}: {name} writes the same first {same} tokens of {NEW}")
    return found


def table(batch: int, found: dict[str, list[dict[str, float]]], rounds: int) -> None:
    """Medians, and the ratio of llamakit to each in the same round."""
    print(f"\nbatch {batch}, {rounds} rounds")
    print(f"{'':<26} {'tokens/s':>9} {'a CPU-s':>9}   llamakit is faster by, pairwise")
    own = [answer["seconds"] for answer in found.get("llamakit", [])]
    for name, answers in found.items():
        rate = batch * NEW / statistics.median(answer["seconds"] for answer in answers)
        work = batch * NEW / statistics.median(answer["processor"] for answer in answers)
        line = f"{name:<26} {rate:>9,.0f} {work:>9,.0f}"
        if own and name != "llamakit":
            pairs = sorted(a["seconds"] / b for a, b in zip(answers, own, strict=True))
            line += f"   {statistics.median(pairs):.2f} ({pairs[0]:.2f} to {pairs[-1]:.2f})"
        print(line)
    print()


def work(name: str, where: Path, threads: int) -> None:
    """Be one tool: load, then answer a line of JSON with a line of JSON."""
    version, write = WRITERS[name](where, threads)
    print(json.dumps({"version": version}), flush=True)
    for line in sys.stdin:
        batch = json.loads(line)["batch"]
        if batch == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"megabytes": peak}), flush=True)
            return
        prompts = [
            [1, *(3 + (n * 7919 + row * 104_729) % 31_997 for n in range(1, PROMPT))]
            for row in range(batch)
        ]
        began, spent = time.perf_counter(), time.process_time()
        texts = write(prompts)
        seconds, processor = time.perf_counter() - began, time.process_time() - spent
        assert [len(text) for text in texts] == [NEW] * batch, "a text ended early"
        answer = {"seconds": seconds, "processor": processor, "first": texts[0]}
        print(json.dumps(answer), flush=True)


def llamakit(folder: Path, threads: int, **settings: Any) -> tuple[str, Write]:
    """This project's `generate`."""
    import torch

    import llamakit
    from llamakit.model.generation import Sampling, generate
    from llamakit.model.weights import load_model, load_vocabulary

    torch.set_num_threads(threads)
    model, vocabulary = load_model(folder, "bf16"), load_vocabulary(folder)
    sampling = Sampling(NEW, **{"temperature": 0.0, **settings})

    def write(prompts: list[list[int]]) -> list[list[int]]:
        found = generate(model, vocabulary, prompts, sampling, range(len(prompts)))
        return [text.ids for text in found]

    return llamakit.__version__, write


def llamakit_sampling(folder: Path, threads: int) -> tuple[str, Write]:
    """Temperature and nucleus, as Llama 2-Chat's defaults."""
    return llamakit(folder, threads, temperature=0.6, top_p=0.9)


def transformers(folder: Path, threads: int) -> tuple[str, Write]:
    """`generate` of transformers, with its default cache."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.generation_config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=0, eos_token_id=2
    )

    def write(prompts: list[list[int]]) -> list[list[int]]:
        ids_BL = torch.tensor(prompts)
        found = model.generate(ids_BL, attention_mask=torch.ones_like(ids_BL))
        return [row[PROMPT:] for row in found.tolist()]

    return f"{transformers.__version__}, torch {torch.__version__}", write


def litgpt(folder: Path, threads: int, *, compiled: bool = False) -> tuple[str, Write]:
    """litgpt's generate functions, of one prompt and of a batch, with a static cache."""
    from importlib import metadata

    import torch
    from litgpt.config import Config
    from litgpt.generate.base import batched_generate_fn, generate_fn
    from litgpt.model import GPT
    from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    config = Config(
        name="bench", hf_config={}, block_size=CONTEXT, vocab_size=SHAPE["vocab_size"],
        padded_vocab_size=SHAPE["vocab_size"], n_layer=SHAPE["n_layers"], n_head=SHAPE["n_heads"],
        n_embd=SHAPE["dim"], n_query_groups=SHAPE["n_kv_heads"], rotary_percentage=1.0,
        parallel_residual=False, bias=False, norm_class_name="RMSNorm", norm_eps=1e-5,
        mlp_class_name="LLaMAMLP", intermediate_size=SHAPE["ffn_dim"], rope_base=10_000,
    )  # fmt: skip
    read = {
        name: weight for file in folder.glob("*.safetensors")
        for name, weight in load_file(file).items()
    }  # fmt: skip
    read.setdefault("lm_head.weight", read["model.embed_tokens.weight"])
    weights: dict[str, Any] = {}
    copy_weights_hf_llama(config, {}, weights, read)
    model = GPT(config).bfloat16().eval()
    model.load_state_dict(weights)
    model.lm_head.weight = model.transformer.wte.weight
    model.max_seq_length = CONTEXT

    @torch.inference_mode()
    def write(prompts: list[list[int]]) -> list[list[int]]:
        model.set_kv_cache(len(prompts), max_seq_length=CONTEXT, dtype=torch.bfloat16)
        if len(prompts) == 1:
            steps = generate_fn(
                model, torch.tensor(prompts[0]), PROMPT + NEW, temperature=0.0,
                include_prompt=False, include_eos=True,
            )  # fmt: skip
            rows = [[int(token) for step in steps for token in step.view(-1)]]
        else:
            several = batched_generate_fn(
                model, torch.tensor(prompts), PROMPT + NEW, sample_args={"temperature": 0.0},
                include_prompt=False, include_eos=True,
            )  # fmt: skip
            columns = [[int(token) for token in step] for step in several]
            rows = [list(row) for row in zip(*columns, strict=True)]
        return [row[:NEW] for row in rows]

    return f"{metadata.version('litgpt')}, torch {torch.__version__}", write


def llama_cpp(gguf: Path, threads: int) -> tuple[str, Write]:
    """llama.cpp through its own interface: one batch of all rows a step, its greedy sampler."""
    import llama_cpp
    from llama_cpp import _internals

    if not gguf.is_file():
        raise SystemExit(f"no GGUF file {gguf}")
    llama_cpp.llama_backend_init()
    model = _internals.LlamaModel(
        path_model=str(gguf), params=llama_cpp.llama_model_default_params(), verbose=False
    )

    def write(prompts: list[list[int]]) -> list[list[int]]:
        rows = len(prompts)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = CONTEXT * rows, rows
        settings.n_batch = settings.n_ubatch = max(512, rows)
        settings.n_threads = settings.n_threads_batch = threads
        context = llama_cpp.llama_init_from_model(model.model, settings)
        sampler = llama_cpp.llama_sampler_init_greedy()
        batch = llama_cpp.llama_batch_init(max(512, rows), 0, 1)

        def decode(tokens: Sequence[tuple[int, int, int, bool]]) -> None:
            batch.n_tokens = len(tokens)
            for n, (token, place, row, wanted) in enumerate(tokens):
                batch.token[n], batch.pos[n], batch.logits[n] = token, place, wanted
                batch.n_seq_id[n], batch.seq_id[n][0] = 1, row
            assert llama_cpp.llama_decode(context, batch) == 0

        texts: list[list[int]] = [[] for _ in prompts]
        for first in range(0, rows, 8):
            part = range(first, min(first + 8, rows))
            decode(
                [
                    (token, place, row, place == PROMPT - 1)
                    for row in part for place, token in enumerate(prompts[row])
                ]
            )  # fmt: skip
            for n, row in enumerate(part):
                at = (n + 1) * PROMPT - 1
                texts[row].append(llama_cpp.llama_sampler_sample(sampler, context, at))
        for step in range(1, NEW):
            decode([(text[-1], PROMPT + step - 1, row, True) for row, text in enumerate(texts)])
            for row in range(rows):
                texts[row].append(llama_cpp.llama_sampler_sample(sampler, context, row))
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_sampler_free(sampler)
        llama_cpp.llama_free(context)
        return texts

    told = llama_cpp.llama_print_system_info().decode()
    features = [part.split("=")[0].strip() for part in told.split("|") if part.strip()[-1:] == "1"]
    return f"{llama_cpp.__version__}, built for {' '.join(features)}", write


WRITERS: dict[str, Callable[[Path, int], tuple[str, Write]]] = {
    "llamakit": llamakit,
    "llamakit, top-p 0.9": llamakit_sampling,
    "transformers": transformers,
    "litgpt": litgpt,
    "llama.cpp": llama_cpp,
}


if __name__ == "__main__":
    main()
