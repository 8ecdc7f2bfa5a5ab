"""Other near-duplicate tools on a folder of parquet files, each in a process of its own.

    python tests/bench/near_duplicate_peers.py TOOL FOLDER

Each finds groups by 16 bands of 8 MinHash values over word 5-grams (the settings their own examples
use for a similarity of about 0.8), joins groups that share a document, and prints how many
documents go. None verifies anything, and only text-dedup writes the texts back: that is spared the
others.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

BANDS, ROWS = 16, 8
_WORD = re.compile(r"\w+")


def texts(folder: Path) -> list[str]:
    """All texts, in order."""
    import pyarrow.parquet as pq

    return [
        t for p in sorted(folder.glob("*.parquet")) for t in pq.read_table(p)["text"].to_pylist()
    ]


def ngrams(text: str) -> list[str]:
    """Word 5-grams as strings."""
    words = _WORD.findall(text.lower())
    return [" ".join(words[n : n + 5]) for n in range(max(1, len(words) - 4))]


def redundant(groups: Iterable[Iterable[Any]]) -> int:
    """How many documents go when one of each connected component stays."""
    parent: dict[Any, Any] = {}

    def root(item: Any) -> Any:
        parent.setdefault(item, item)
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for group in groups:
        first = None
        for item in group:
            if first is None:
                first = root(item)
            else:
                parent[root(item)] = first
    return sum(root(item) != item for item in list(parent))


def daft(folder: Path) -> int:
    """Daft's minhash expression; the bands are grouped in numpy."""
    import daft
    import numpy as np

    frame = daft.read_parquet(f"{folder}/*.parquet")
    words = frame["text"].lower().regexp_replace(r"[^\w]+", " ")
    table = frame.select(words.minhash(num_hashes=BANDS * ROWS, ngram_size=5, seed=1)).to_arrow()
    values = table.column(0).combine_chunks()
    values = getattr(values, "storage", values).flatten().to_numpy(zero_copy_only=False)
    bands = np.ascontiguousarray(values.astype(np.uint32)).reshape(-1, BANDS, ROWS)
    groups = []
    for band in range(BANDS):
        keys = np.ascontiguousarray(bands[:, band]).view(f"V{4 * ROWS}").ravel()
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        groups += np.stack([order[same], order[same + 1]], axis=1).tolist()
    return redundant(groups)


def gaoya(folder: Path) -> int:
    """gaoya's index over strings."""
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(
        hash_size=32,
        num_bands=BANDS,
        band_size=ROWS,
        jaccard_threshold=0.8,
        analyzer="word",
        lowercase=True,
        ngram_range=(5, 5),
    )
    documents = texts(folder)
    index.par_bulk_insert_docs(list(range(len(documents))), documents)
    found = index.par_bulk_query(documents)
    return redundant([number, *near] for number, near in enumerate(found))


def rensa(folder: Path) -> int:
    """rensa's R-MinHash and its index."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.8, num_perm=BANDS * ROWS, num_bands=BANDS)
    groups = []
    for number, text in enumerate(texts(folder)):
        one = RMinHash(num_perm=BANDS * ROWS, seed=1)
        one.update(ngrams(text))
        groups.append([number, *index.query(one)])
        index.insert(number, one)
    return redundant(groups)


def datasketch(folder: Path) -> int:
    """datasketch's bulk signatures and its index."""
    import xxhash
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(params=(BANDS, ROWS), num_perm=BANDS * ROWS)
    sets = ([gram.encode() for gram in ngrams(text)] for text in texts(folder))
    groups = []
    signatures = MinHash.generator(sets, num_perm=BANDS * ROWS, hashfunc=xxhash.xxh32_intdigest)
    with index.insertion_session() as session:
        for number, one in enumerate(signatures):
            groups.append([number, *index.query(one)])
            session.insert(number, one)
    return redundant(groups)


def datatrove(folder: Path) -> int:
    """datatrove's four stages, words by `split()`, its fastest; two processes."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import HashConfig, MinhashConfig
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils import word_tokenizers

    class Split(word_tokenizers.WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return []

    word_tokenizers.load_word_tokenizer = lambda *_: Split()
    import datatrove.pipeline.dedup.minhash as stage

    stage.load_word_tokenizer = lambda *_: Split()
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    files = len(list(folder.glob("*.parquet")))
    with tempfile.TemporaryDirectory() as home:

        def run(pipeline: list[Any], tasks: int) -> None:
            LocalPipelineExecutor(
                pipeline,
                tasks=tasks,
                workers=min(2, tasks),
                start_method="fork",
                skip_completed=False,
                logging_dir=f"{home}/logs",
            ).run()

        reader = ParquetReader(str(folder))
        run([reader, MinhashDedupSignature(f"{home}/s", config)], files)
        run([MinhashDedupBuckets(f"{home}/s", f"{home}/b", config=config)], 14)
        run([MinhashDedupCluster(f"{home}/b", f"{home}/r", config=config)], 1)
        removed = JsonlWriter(f"{home}/removed", compression=None)
        run([reader, MinhashDedupFilter(f"{home}/r", exclusion_writer=removed)], files)
        return sum(
            sum(1 for _ in path.open(encoding="utf-8"))
            for path in Path(home, "removed").rglob("*.jsonl")
        )


def text_dedup(folder: Path) -> int:
    """text-dedup's command, with the faster of its hashes; two processes. It writes the texts."""
    import pyarrow as pa

    with tempfile.TemporaryDirectory() as home:
        settings = {
            "path": "parquet", "data_files": f"{folder}/*.parquet", "split": "train",
            "column": "text", "batch_size": 10_000, "num_proc": 2, "hash_func": "xxh3",
            "hash_bits": 32, "ngram": 5, "num_perm": BANDS * ROWS, "b": BANDS, "r": ROWS,
            "output": f"{home}/out", "cache_dir": f"{home}/cache",
        }  # fmt: skip
        words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
        subprocess.run(
            [sys.executable, "-m", "text_dedup.minhash", *words],
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": home},
        )
        kept = 0
        for file in Path(home, "out").rglob("*.arrow"):
            with pa.memory_map(str(file)) as source:
                kept += pa.ipc.open_stream(source).read_all().num_rows
    return len(texts(folder)) - kept


TOOLS = {tool.__name__: tool for tool in (daft, gaoya, rensa, datasketch, datatrove, text_dedup)}

if __name__ == "__main__":
    print(TOOLS[sys.argv[1]](Path(sys.argv[2])))
