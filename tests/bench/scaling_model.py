"""What measured runs foretell of larger ones: the cost model of docs/scale.md.

    hours = start + text / (rate x efficiency x cores) + driver x text

rate and driver are processor time, which other work on the machine hardly changes, and slopes
between the smallest and the largest size measured, so that what a run costs however small it is
stands in `start`. The driver's part of dedup sorts, and grows by n log n. Waiting for the store
comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CORES = (64, 256, 1024)
NODE = 64
TEXTS = (1e12, 15e12)


@dataclass(frozen=True)
class Run:
    """One measured run; sizes in bytes, times in seconds. `sharded` and `cpu_sharded` are the parts
    spent on shards, `cpu_driver` is all other processor time; of workers it is not known."""

    stage: str
    engine: str
    text: int
    documents: int
    shards: int
    workers: int
    elapsed: float
    sharded: float
    cpu_sharded: float
    cpu_driver: float
    peak: int
    payload: int
    scratch: int
    digest: str

    @property
    def driver(self) -> float:
        """Seconds outside of shards."""
        return self.elapsed - self.sharded


@dataclass(frozen=True)
class Constants:
    """What is known of a stage.

    `rate`: bytes of text a core-second on shards. `efficiency`: of that rate, what several workers
    kept. `driver`: core-seconds of the driver by byte of text, with `documents` documents.
    `start`: those of a run of no text. `payload`, `scratch`: bytes on disk by byte of text.
    """

    rate: float
    efficiency: float
    driver: float
    start: float
    documents: int
    payload: float
    scratch: float
    sorts: bool

    def hours(self, text: float, documents: float, cores: int) -> tuple[float, float]:
        """Hours on shards, and of the driver alone."""
        growth = math.log(documents) / math.log(self.documents) if self.sorts else 1.0
        shards = text / (self.rate * self.efficiency * cores)
        return shards / 3600, (self.start + text * self.driver * growth) / 3600


def constants_of(runs: Sequence[Run]) -> dict[str, Constants]:
    """By stage, from the runs with the most shards."""
    shards = max(run.shards for run in runs)
    found = {}
    for stage in dict.fromkeys(run.stage for run in runs):
        mine = [run for run in runs if run.stage == stage and run.shards == shards]
        alone = sorted((run for run in mine if run.workers == 1), key=lambda run: run.text)
        small, large = alone[0], alone[-1]
        grown = large.text - small.text if len(alone) > 1 else large.text
        worked = large.cpu_sharded - (small.cpu_sharded if len(alone) > 1 else 0.0)
        drove = large.cpu_driver - (small.cpu_driver if len(alone) > 1 else 0.0)
        together = [run for run in mine if run.workers > 1 and run.text == large.text]
        shares = [large.cpu_sharded / (run.sharded * run.workers) for run in together]
        found[stage] = Constants(
            rate=grown / max(worked, 1e-9),
            efficiency=min(1.0, max(shares, default=1.0)),
            driver=max(drove, 0.0) / grown,
            start=max(0.0, large.cpu_driver - max(drove, 0.0) / grown * large.text),
            documents=large.documents,
            payload=large.payload / large.text,
            scratch=large.scratch / large.text,
            sorts=stage == "dedup",
        )
    return found


def told(runs: Sequence[Run]) -> str:
    """The constants, and the tables for each size of `TEXTS`, as Markdown."""
    largest = max(runs, key=lambda run: run.text)
    page = largest.text / largest.documents
    constants = constants_of(runs)
    lines = [
        f"Constants, from {largest.text / 1e6:,.0f} MB in {largest.shards} shards, pages of"
        f" {page:,.0f} bytes:",
        "",
        "| stage | MB a core-second | efficiency | driver, s a GB | start, s | payload, bytes a"
        " byte | at most on disk |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage, c in constants.items():
        lines.append(
            f"| `{stage}` | {c.rate / 1e6:.1f} | {c.efficiency:.2f} | {c.driver * 1e9:.1f} | "
            f"{c.start:.1f} | {c.payload:.2f} | {c.scratch:.2f} |"
        )
    for text in TEXTS:
        lines += ["", *_table(constants, text, text / page)]
    return "\n".join(lines)


def _table(constants: dict[str, Constants], text: float, documents: float) -> list[str]:
    lines = [
        f"{text / 1e12:.0f} TB, {documents:.2g} documents; hours on shards + of the driver:",
        "",
        "| stage | " + " | ".join(f"{cores:,} cores" for cores in CORES) + " |",
        "|---" * (len(CORES) + 1) + "|",
    ]
    totals = [0.0] * len(CORES)
    for stage, known in constants.items():
        cells = [known.hours(text, documents, cores) for cores in CORES]
        totals = [total + sum(cell) for total, cell in zip(totals, cells, strict=True)]
        lines.append(f"| `{stage}` | " + " | ".join(f"{a:.1f} + {b:.1f}" for a, b in cells) + " |")
    nodes = [total * cores / NODE for total, cores in zip(totals, CORES, strict=True)]
    lines.append("| hours in all | " + " | ".join(f"{total:,.0f}" for total in totals) + " |")
    lines.append(
        f"| node-hours (nodes of {NODE} cores) | " + " | ".join(f"{n:,.0f}" for n in nodes) + " |"
    )
    return lines
