"""A training step on the processor beside other trainers: tokens/s, MFU, memory, CPU-seconds.

    python tests/bench/training.py [--rounds 5] [--python PYTHON] [--llama2c FOLDER] [--peers …]

Random tokens, bf16, one optimizer step a batch. llamakit is its own loop, `training.loop.fit`, with
reading ahead, clipping and log; a peer is its model, loss and optimizer as its own script has them
(`training_contenders.py`). Each runs in a process of its own, so that peak memory is its own, and
is warm before the clock. A round is a few steps of llamakit, as many of a peer and the machine's
own rate of bf16 matrix products; ratios and MFU are made inside a round, and medians are taken over
rounds, so that other work on the machine falls on both. MFU counts the FLOPs of a token as
`docs/methods/pretraining.md` does, the same for all, over that measured rate.

Peers may live in another environment:

    python -m venv peers && peers/bin/pip install torch && peers/bin/pip install litgpt transformers
    git clone https://github.com/karpathy/llama2.c
    python tests/bench/training.py --python peers/bin/python --llama2c llama2.c

litgpt and transformers may ask for different versions of huggingface-hub; both models run with the
newer (`peers/bin/pip install -U huggingface-hub`). nanochat is no package: its model and optimizers
are written again. NAME+compile is the same under torch.compile, which needs a C++ compiler. What is
missing is named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from llamakit.model.config import ModelConfig

CONTENDERS = Path(__file__).with_name("training_contenders.py")
PEERS = [
    f"{name}{way}"
    for name in ("litgpt", "llama2.c", "transformers", "nanochat")
    for way in ("", "+compile")
]


class Contender:
    """A process that takes steps when it is told to."""

    def __init__(self, python: str, name: str, options: dict[str, Any], llama2c: str) -> None:
        self.name = name
        environment = {**os.environ, "BENCH_LLAMA2C": llama2c}
        self._process = subprocess.Popen(
            [python, str(CONTENDERS), name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.rounds: list[dict[str, float]] = []

    def answer(self) -> dict[str, float] | None:
        """Its next answer; None if it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, order: str) -> dict[str, float]:
        """Give an order and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self.answer()
        if answer is None:
            raise SystemExit(f"{self.name} ended in the middle: {self.why()}")
        return answer

    def why(self) -> str:
        """The last line of what it said on its way out."""
        assert self._process.stderr is not None
        lines = self._process.stderr.read().strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.wait()}"

    def end(self) -> float:
        """Stop it; its peak memory in bytes."""
        peak = self.ask("memory")["peak"]
        self._process.communicate("end\n")
        return peak


def compare(
    ours: Contender, peer: Contender | None, rounds: int, tokens: int, flops: float
) -> list[dict[str, float]]:
    """Rounds of both by turns, who begins changing; figures of each round."""
    measured = []
    for number in range(rounds):
        pair = [ours] if peer is None else [ours, peer]
        took = {one: one.ask("steps") for one in (pair if number % 2 else pair[::-1])}
        rate = ours.ask("rate")["rate"]
        figures = {"rate": rate}
        for who, one in zip(("ours", "peer"), pair, strict=False):
            speed = tokens / took[one]["wall"]
            figures |= {
                f"{who} tokens/s": speed,
                f"{who} mfu": speed * flops / rate,
                f"{who} cpu": took[one]["cpu"],
                f"{who} loss": took[one]["loss"],
            }
        measured.append(figures)
    return measured


def row(name: str, who: str, rounds: Sequence[dict[str, float]], peak: float, steps: int) -> str:
    """A line of the table."""

    def middle(figure: str) -> float:
        return median(one[f"{who} {figure}"] for one in rounds)

    line = (
        f"{name:22} {middle('tokens/s'):>9,.0f} {middle('mfu'):>6.1%} {peak / 1e6:>9,.0f}"
        f" {middle('cpu') / steps:>7.2f}"
    )
    if who == "peer":
        wall = [one["ours tokens/s"] / one["peer tokens/s"] for one in rounds]
        cpu = [one["peer cpu"] / one["ours cpu"] for one in rounds]
        line += f" {median(wall):>6.2f} ({min(wall):.2f}-{max(wall):.2f}) {median(cpu):>8.2f}"
    return line


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds with each peer")
    parser.add_argument("--steps", type=int, default=4, help="steps a round, and of warming up")
    parser.add_argument("--python", default=sys.executable, help="the peers' interpreter")
    parser.add_argument("--llama2c", default="", metavar="FOLDER")
    parser.add_argument(
        "--peers", nargs="*", default=PEERS, choices=[*PEERS, "llamakit+compile"], metavar="PEER",
        help=", ".join([*PEERS, "llamakit+compile"]),
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    for name, value in {
        "dim": 288, "layers": 6, "heads": 6, "ffn": 768, "vocab": 32_000, "seq-len": 256,
        "batch": 16,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    names = ("dim", "layers", "heads", "ffn", "vocab", "seq_len", "batch")
    shape = {name: getattr(given, name) for name in names}
    options = {"shape": shape, "threads": given.threads, "steps": given.steps}
    tokens = given.batch * given.seq_len * given.steps
    flops = ModelConfig(
        dim=given.dim, n_layers=given.layers, n_heads=given.heads, n_kv_heads=given.heads,
        ffn_dim=given.ffn, vocab_size=given.vocab, max_seq_len=given.seq_len,
    ).flops_per_token(given.seq_len)  # fmt: skip
    print(f"{shape}, {given.rounds} rounds of {given.steps} steps, {flops / 1e6:.1f} MFLOP a token")
    ours = Contender(sys.executable, "llamakit", options, given.llama2c)
    if ours.answer() is None:
        raise SystemExit(f"llamakit: {ours.why()}")
    lines, all_rounds = [], []
    for name in given.peers:
        python = sys.executable if name.startswith("llamakit") else given.python
        peer = Contender(python, name, options, given.llama2c)
        if peer.answer() is None:
            print(f"{name} is left out: {peer.why()}", flush=True)
            continue
        rounds = compare(ours, peer, given.rounds, tokens, flops)
        lines.append(row(name, "peer", rounds, peer.end(), given.steps))
        print(lines[-1], flush=True)
        all_rounds += rounds
    if not all_rounds:
        all_rounds = compare(ours, None, given.rounds, tokens, flops)
    rates = [one["rate"] / 1e9 for one in all_rounds]
    print(
        f"\nbf16 matrix products of these shapes: {median(rates):,.0f} GFLOP/s"
        f" ({min(rates):,.0f}-{max(rates):,.0f})\n\n"
        f"{'':22} {'tokens/s':>9} {'MFU':>6} {'peak MB':>9} {'CPU-s':>7}"
        " llamakit is faster by, and in CPU"
    )
    print(row("llamakit", "ours", all_rounds, ours.end(), given.steps))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
