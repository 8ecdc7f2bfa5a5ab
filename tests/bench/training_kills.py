"""`llamakit pretrain` killed at random many times, against a run that nobody touched.

    python tests/bench/training_kills.py [--kills 20] [--terms 5] [--preset toy] [--steps 60] \
        [--batch-tokens 2048] [--checkpoint-every 3] [--docs 1500] [--seed 0] [--home FOLDER]

Makes tokens of the embedded world once. Trains on them undisturbed; then again in a copy of the
store with SIGKILL a random time after the run has begun to train, and with SIGTERM, as often as
asked, until a last run finishes. Says whether both models have the same digest; how many kills fell
into the writing of a checkpoint; how long a SIGTERM took to its end, and with which exit code; and
which share of the time the undisturbed run waited for batches.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_POLL_S = 0.005


def command(store: Path, *words: str) -> list[str]:
    """The words of a command on a store."""
    return [sys.executable, "-m", "llamakit", *words, "--store", str(store), "--quiet"]


def make_tokens(store: Path, docs: int) -> None:
    """World, documents, vocabulary, tokens."""
    for words in (
        ("world", "--docs", str(docs)),
        ("ingest", "world", "--as", "documents"),
        ("tokenizer", "ingest", "--vocab-size", "2048"),
        ("tokenize", "ingest", "tokenizer"),
    ):
        subprocess.run(command(store, *words), check=True, stdout=subprocess.DEVNULL)


def rows(store: Path) -> int:
    """Bytes in the metrics log of the draft at work."""
    return sum(p.stat().st_size for p in store.glob(".drafts/*/version/log/metrics.jsonl"))


def attempt(
    words: list[str], store: Path, number: signal.Signals | None, after: float
) -> tuple[int, float]:
    """Train; send a signal `after` seconds of training. The exit code, and the seconds from the
    signal to the end."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before: int | None = None
    sent: float | None = None
    begun: float | None = None
    while process.poll() is None:
        time.sleep(_POLL_S)
        try:
            size = rows(store)
        except FileNotFoundError:  # rewritten, or made a version, at this very moment
            continue
        before = size if before is None or size < before else before
        if begun is None and size > before:
            begun = time.monotonic()
        if number and sent is None and begun and time.monotonic() - begun > after:
            sent = time.monotonic()
            process.send_signal(number)
    return process.returncode, time.monotonic() - sent if sent else 0.0


def record(store: Path) -> dict[str, object]:
    """The record of the one model there must be, and nothing left of drafts."""
    versions = sorted((store / "pretrain").iterdir())
    assert [path.name for path in versions] == ["v1"], versions
    drafts = [path.name for path in (store / ".drafts").iterdir() if path.is_dir()]
    assert not drafts, drafts
    told: dict[str, object] = json.loads((versions[0] / "artifact.json").read_text())
    return told


def main() -> None:
    """Run the study and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--preset", default="toy")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--checkpoint-every", type=int, default=3)
    parser.add_argument("--docs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, default=None)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory(dir=given.home) as home:
        whole, killed = Path(home) / "whole", Path(home) / "killed"
        make_tokens(whole, given.docs)
        shutil.copytree(whole, killed)
        training = (
            "pretrain", "tokenize", "--preset", given.preset, "--steps", str(given.steps),
            "--batch-tokens", str(given.batch_tokens), "--validation-tokens", "4096",
            "--checkpoint-every", str(given.checkpoint_every), "--log-every", "1",
            "--device", "cpu",
        )  # fmt: skip
        started = time.monotonic()
        code, _ = attempt(command(whole, *training), whole, None, 0.0)
        assert code == 0, f"the undisturbed run ended with {code}"
        log = (whole / "pretrain" / "v1" / "log" / "metrics.jsonl").read_text().splitlines()
        shares = [json.loads(line)["wait_share"] for line in log]
        print(
            f"undisturbed: {time.monotonic() - started:.0f} s, waited for batches "
            f"{statistics.mean(shares):.4%} of the time (worst step {max(shares):.2%})"
        )
        signals = [signal.SIGKILL] * given.kills + [signal.SIGTERM] * given.terms
        draw.shuffle(signals)
        pace = given.steps / len(signals)  # steps an attempt may make, about
        step_s = statistics.median(
            json.loads(line)["tokens"] / given.steps / max(json.loads(line)["tokens_per_s"], 1)
            for line in log[-1:]
        )
        kills, half_saved, stops = 0, 0, []
        for number in signals:
            wait = draw.uniform(0, 1.5 * pace * step_s)
            code, seconds = attempt(command(killed, *training), killed, number, wait)
            if code == 0:
                print("it came to its end before all signals were sent: take more --steps")
                break
            if number == signal.SIGKILL:
                kills += 1
                half_saved += any(killed.glob(".drafts/*/work/checkpoints/saving-*"))
            else:
                assert code == 128 + signal.SIGTERM, f"SIGTERM ended with {code}"
                stops.append(seconds)
        else:
            code, _ = attempt(command(killed, *training), killed, None, 0.0)
        same = record(killed)["digest"] == record(whole)["digest"]
        print(f"killed {kills} times, {half_saved} of them while a checkpoint was written")
        if stops:
            print(
                f"SIGTERM {len(stops)} times: {min(stops):.1f} to {max(stops):.1f} s to exit 143 "
                f"(median {statistics.median(stops):.1f} s; a step takes {step_s:.1f} s)"
            )
        print(f"then {code}: {'the same' if same else 'ANOTHER'} digest")
        sys.exit(0 if same and code == 0 else 1)


if __name__ == "__main__":
    main()
