"""Learning and using a vocabulary: speed and peak memory beside sentencepiece and tokenizers.

    python tests/bench/tokenizer.py [--data FOLDER] [--megabytes N] [--only learn|encode|hostile]

FOLDER holds `*.jsonl` or `*.jsonl.gz` files with a `text`, and for Llama 2's own vocabulary a
`tokenizer.model` (else one is learned). Without it, text of made-up words in Zipf's proportions is
generated from a seed. `tokenizers` is measured where it is installed (`pip install tokenizers`).

Learning: whole processes, from files on disk to the written vocabulary. Encoding: seconds of
encoding alone, models loaded before; then whole runs of `llamakit tokenize` on one part of
documents, with one worker and with two. All in MB of UTF-8 text a second of wall time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, islice
from pathlib import Path

import sentencepiece

from llamakit.artifacts.store import Store
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce
from llamakit.stages.tokenizer import Tokenizer
from llamakit.text.encoder import Encoder
from llamakit.text.vocabulary import Vocabulary
from llamakit.text.words import split_sentences

LLAMAKIT = [sys.executable, "-m", "llamakit"]
PLAIN = """
import sys
import sentencepiece
from llamakit.text.vocabulary import SETTINGS
sentencepiece.SentencePieceTrainer.Train(
    input=sys.argv[1], model_prefix=sys.argv[2], vocab_size=int(sys.argv[3]), **SETTINGS
)
"""

# From a small process of its own: a child's peak starts with the size of what it was forked from.
MEASURED = """
import json, resource, subprocess, sys, time
started = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
spent = time.monotonic() - started
print(json.dumps([spent, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
sys.exit(done.returncode)
"""


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--only", choices=["learn", "encode", "hostile"])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        texts = corpus(asked.data, asked.megabytes * 1_000_000)
        if asked.only in (None, "learn"):
            for share in (4, 1):
                learn(work / str(share), texts[: len(texts) // share], asked.vocab_size)
        model = vocabulary(asked.data, work, texts, asked.vocab_size)
        if asked.only in (None, "encode"):
            encode(work, texts, model)
        if asked.only in (None, "hostile"):
            hostile(model)


def corpus(folder: Path | None, size: int) -> list[str]:
    """Texts of about `size` bytes, shuffled."""
    draws = random.Random(0)
    texts = list(until(_read(folder) if folder else _made_up(draws), size))
    draws.shuffle(texts)
    print(f"{len(texts):,} texts, {megabytes(texts):.1f} MB")
    return texts


def until(texts: Iterator[str], size: int) -> Iterator[str]:
    """Texts up to so many bytes."""
    for text in texts:
        size -= len(text.encode())
        yield text
        if size < 0:
            return


def megabytes(texts: Sequence[str]) -> float:
    """MB of UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def _read(folder: Path) -> Iterator[str]:
    paths = sorted([*folder.rglob("*.jsonl"), *folder.rglob("*.jsonl.gz")])
    streams = [_texts(path) for path in paths]
    while streams:
        # Some of each file in turn, so that a part of the data has all of its sources.
        for stream in [*streams]:
            some = list(islice(stream, 200))
            yield from some
            if not some:
                streams.remove(stream)


def _texts(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if text := json.loads(line).get("text"):
                yield text


def _made_up(draws: random.Random) -> Iterator[str]:
    syllables = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "en", "ar")]
    words = ["".join(draws.choices(syllables, k=draws.randrange(1, 5))) for _ in range(200_000)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(words))))
    while True:
        lines = []
        for _ in range(draws.randrange(1, 30)):
            some = draws.choices(words, cum_weights=weights, k=draws.randrange(4, 40))
            end = draws.choice([".", ".", "?", f" {draws.randrange(3000)}."])
            lines.append(" ".join(some).capitalize() + end)
        yield "\n".join(lines)


# --- learning -----------------------------------------------------------------------------------


def learn(work: Path, texts: Sequence[str], size: int) -> None:
    """Whole processes: SentencePiece from a file of lines, and `llamakit tokenizer`."""
    store = stored(work, texts)
    lines = work / "lines.txt"
    sentences = (each for text in texts for each in split_sentences(text))
    lines.write_text("\n".join(sentences) + "\n", encoding="utf-8")
    runs = {
        "sentencepiece": [sys.executable, "-c", PLAIN, str(lines), str(work / "plain"), str(size)],
        "llamakit tokenizer": [
            *LLAMAKIT, "tokenizer", "texts", "--force", f"--store={store}", f"--vocab-size={size}"
        ],
    }  # fmt: skip
    found = {name: measured(command) for name, command in runs.items()}
    print(f"\nlearning {size:,} pieces from {megabytes(texts):.0f} MB")
    print(f"{'':24}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}")
    for name, (wall, cpu, peak) in found.items():
        print(f"{name:24}{wall:8.1f}{cpu:8.1f}{peak:9.0f}")
    plain, ours = found.values()
    ratios = [a / b for a, b in zip(plain, ours, strict=True)]
    print(f"{'ratio':24}{ratios[0]:8.2f}{ratios[1]:8.2f}{ratios[2]:9.2f}")


def stored(work: Path, texts: Sequence[str]) -> Path:
    """A store with the artifact `texts`: documents in parts as `ingest` makes them."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / "texts.jsonl"
    with path.open("w", encoding="utf-8") as target:
        target.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    produce(Ingest(files=(str(path),), as_="documents"), Store(work / "store"), name="texts")
    path.unlink()
    return work / "store"


def measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds of a process and its children, and the largest one's peak in MB."""
    words = [sys.executable, "-c", MEASURED, *command]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    wall, cpu, peak = json.loads(done.stdout)
    return wall, cpu, peak


# --- encoding -----------------------------------------------------------------------------------


def vocabulary(folder: Path | None, work: Path, texts: Sequence[str], size: int) -> Path:
    """A vocabulary's folder: Llama 2's where the data has it, else one learned from some text."""
    store = Store(work / "vocabulary")
    given = sorted(folder.rglob("tokenizer.model")) if folder else []
    if given:
        stage = Tokenizer(from_=(str(given[0]),))
    else:
        some = stored(work / "some", texts[: max(1, len(texts) // 4)])
        stage = Tokenizer(documents=str(some / "texts" / "v1"), vocab_size=size)
    version = produce(stage, store).version
    print(f"\nvocabulary: {given[0] if given else 'learned'}, {version.record.headline}")
    return version.path


def encode(work: Path, texts: Sequence[str], model: Path) -> None:
    """Encoding alone by each library, of little text and of more, then whole runs of the stage."""
    encode_alone(list(until(iter(texts), 5_000_000)), model, rounds=3)
    encode_alone(list(until(iter(texts), 50_000_000)), model, rounds=1)
    encode_whole(work, texts, model)


def encode_alone(some: list[str], model: Path, rounds: int) -> None:
    """Encoding in memory by each library. llamakit's begins with a table that knows no word."""
    size = megabytes(some)
    pieces = Vocabulary.load(model)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model / "tokenizer.model"))
    ways: dict[str, Callable[[], object]] = {
        "sentencepiece, one thread": lambda: processor.encode(some, num_threads=1),
        "sentencepiece, 2 threads": lambda: processor.encode(some, num_threads=2),
        **hugging_face(model, some),
        "llamakit, one thread": lambda: list(Encoder(pieces).encode(some)),
    }
    runs = [{name: timed(way) for name, way in ways.items()} for _ in range(rounds)]
    print(
        f"\nencoding {size:.0f} MB, rounds: {rounds}, medians; ratio: llamakit's speed to the way's"
    )
    print(f"{'':28}{'MB/s':>8}{'ratio':>8}{'MB/CPU s':>11}{'ratio':>8}")
    for name in ways:
        columns = []
        for each in (0, 1):
            ratios = [run[name][each] / run["llamakit, one thread"][each] for run in runs]
            columns += [size / statistics.median(run[name][each] for run in runs)]
            columns += [statistics.median(ratios)]
        print(f"{name:28}{columns[0]:8.2f}{columns[1]:8.2f}{columns[2]:11.2f}{columns[3]:8.2f}")


def encode_whole(work: Path, texts: Sequence[str], model: Path) -> None:
    """Whole runs of the stage with one worker and with two."""
    store = stored(work / "whole", texts)
    whole = megabytes(texts)
    print(f"\nllamakit tokenize, whole runs on {whole:.0f} MB in"
          f" {len(Store(store).resolve('texts').parts())} part(s)")  # type: ignore[arg-type]  # fmt: skip
    found = []
    for workers in (1, 2):
        command = [*LLAMAKIT, "tokenize", "texts", str(model), "--force"]
        wall, cpu, peak = measured([*command, f"--store={store}", f"--workers={workers}"])
        print(f"{workers} worker(s): {wall:6.1f} s {whole / wall:6.2f} MB/s, {cpu:.1f} CPU s, "
              f"largest process {peak:.0f} MB")  # fmt: skip
        found.append(wall)
    print(f"2 workers to one: {found[0] / found[1]:.2f}")


def hugging_face(model: Path, texts: list[str]) -> dict[str, Callable[[], object]]:
    """The `tokenizers` library on the same vocabulary, with one thread and with two."""
    try:
        import tokenizers
    except ImportError:
        print("tokenizers is not installed: skipped")
        return {}
    tokenizer = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))

    def with_threads(on: str) -> Callable[[], object]:
        def way() -> object:
            os.environ["TOKENIZERS_PARALLELISM"] = on
            return tokenizer.encode_batch_fast(texts, add_special_tokens=False)

        return way

    return {
        "tokenizers, one thread": with_threads("false"),
        "tokenizers, all threads": with_threads("true"),
    }


def timed(way: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    started, cpu = time.monotonic(), time.process_time()
    way()
    return time.monotonic() - started, time.process_time() - cpu


def encoded(pieces: Vocabulary, text: str) -> list[bytes]:
    """One text by an encoder that knows no word yet."""
    return list(Encoder(pieces).encode([text]))


# --- hostile texts ------------------------------------------------------------------------------


def hostile(model: Path) -> None:
    """Texts made to be slow, at a size and at twice the size: a ratio of 2 is linear."""
    pieces = Vocabulary.load(model)
    kinds: dict[str, Callable[[int], str]] = {
        "letters without a space": lambda n: "".join(random.Random(0).choices("abcdefgh", k=n)),
        "one letter": lambda n: "a" * n,
        "spaces": lambda n: " " * n,
        "line breaks": lambda n: "\n" * n,
        "digits": lambda n: "0123456789" * (n // 10),
        "words": lambda n: "the river runs north\n" * (n // 21),
    }
    print(f"\n{'one text':26}{'1 MB, CPU s':>13}{'2 MB, CPU s':>13}{'ratio':>7}")
    for kind, make in kinds.items():
        spent = []
        for size in (1_000_000, 2_000_000):
            text = make(size)
            spent.append(min(timed(partial(encoded, pieces, text))[1] for _ in range(2)))
        print(f"{kind:26}{spent[0]:13.3f}{spent[1]:13.3f}{spent[1] / spent[0]:7.2f}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    text = "the river runs north of Alder, twelve miles on\n" * (50_000_000 // 47)
    spent_all = timed(partial(encoded, pieces, text))[1]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"one document of 50 MB: {spent_all:.1f} CPU s, peak {grown / 1000:.0f} MB more")


if __name__ == "__main__":
    main()
