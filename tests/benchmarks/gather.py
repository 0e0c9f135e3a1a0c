"""What summing a minute costs with 5 steps of 500 segments, without pairs and with them:
`python -m tests.benchmarks.gather`. Time is that of `Gather.apply` for one shard's cohorts of a minute, of
the processor: what else runs on the machine is not in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.cohorts import COHORT, NOW
from pipeline.core.detect.gather import PAIRS_MAX, SEGMENTS_MAX, Gather, Settled
from pipeline.core.detect.sums import KINDS, PAIRS_FROM, summed
from schemas.journeys import Journey, Stage

STEPS: Final = 5
BEGIN: Final = 29_000_000
CHANNELS, COUNTRIES, DEVICES = 20, 477, 3
"""Together 500 values."""
WORDS: Final = ["", *(f"w{n:03}" for n in range(CHANNELS + COUNTRIES + DEVICES))]


def journey() -> Journey:
    """Of five steps."""
    stages = tuple(Stage(f"step {rank}", rank, False, (), None) for rank in range(1, STEPS + 1))
    return Journey("shop", 1, "visitor", stages, STEPS, ())


def cohorts(at: int, cells: int, draw: np.random.Generator) -> NDArray[np.void]:
    """The rows of a minute: of so many cells in each step, for each horizon."""
    rows = np.zeros((STEPS, NOW + 1, cells), COHORT)
    rows["minute"], rows["journey"] = at, 0
    rows["rank"] = np.arange(1, STEPS + 1)[:, None, None]
    rows["horizon"] = np.arange(NOW + 1)[:, None]
    first = 1
    for name, values in (("channel", CHANNELS), ("country", COUNTRIES), ("device", DEVICES)):
        common = 1.0 / np.arange(1, values + 1)
        rows[name] = first + draw.choice(values, rows.shape, p=common / common.sum())
        first += values
    rows["entered"] = draw.poisson(2.0, rows.shape)
    rows["went_on"] = rows["entered"] // 3
    return rows.reshape(-1)


def took(gather: Gather, minutes: int, cells: int) -> tuple[list[float], int]:
    """Milliseconds of each minute, and how many scopes the last one has."""
    draw, times, scopes = np.random.default_rng(1), [], 0
    for at in range(BEGIN, BEGIN + minutes):
        part = Settled(0, cohorts(at, cells, draw), WORDS, at)
        began = time.process_time()
        (minute,) = gather.apply([part])
        times.append((time.process_time() - began) * 1000)
        scopes = len(minute.scopes)
    return times, scopes


def summing(kinds: range, cells: int) -> float:
    """Milliseconds of `summed` alone, median."""
    draw, times = np.random.default_rng(2), []
    for _ in range(20):
        rows = cohorts(BEGIN, cells, draw)
        began = time.process_time()
        summed(rows, BEGIN, kinds)
        times.append((time.process_time() - began) * 1000)
    return float(np.median(times))


def lines(minutes: int, cells: int) -> Iterator[str]:
    """A table, line by line."""
    yield f"{cells} cells a minute in each of {STEPS} steps, {STEPS * (NOW + 1) * cells:,} rows"
    for name, kinds in (("without pairs", PAIRS_FROM), ("with pairs", len(KINDS))):
        yield f"  summed {name:<14} {summing(range(kinds), cells):7.2f} ms"
    times, scopes = took(Gather([journey()], 1, SEGMENTS_MAX, PAIRS_MAX), minutes, cells)
    later = times[minutes // 2 :]
    yield f"  a minute in all {np.median(later):13.2f} ms, at most {max(times):.2f} ms; {scopes:,} scopes"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--cells", type=int, nargs="*", default=[100, 1_000, 3_000])
    arguments = parser.parse_args()
    for cells in arguments.cells:
        print("\n".join(lines(arguments.minutes, cells)))


if __name__ == "__main__":
    main()
