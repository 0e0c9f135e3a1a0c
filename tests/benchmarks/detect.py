"""What the detector costs with 5 steps of 500 segments each: `python -m tests.benchmarks.detect`.

One process is told of minutes as full as they get: most segments have entrants in most minutes. Time is that
of `Detector.apply` alone; its ratio to real time is what one deployment's detection takes of a core. Memory
is what Python and numpy hold for it (`tracemalloc`), and what a snapshot writes.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.cli.compiled import keep_compiled
from pipeline.core.detect import HORIZONS_MINUTES, Detector, Minute, Scope
from pipeline.core.snapshot import pack
from tests.benchmarks.__main__ import HERE, commit, machine

STEPS: Final = 5
SEGMENTS: Final = 500
DAY: Final = 24 * 60
BEGIN: Final = 2_600 * 7 * DAY
RATE: Final = 0.3
PACE: Final = np.array((0.35, 0.6, 0.85, 0.95, 0.98, 0.99, 1.0))
"""Of those who go on within an hour: by each horizon."""


def scopes(steps: int = STEPS, segments: int = SEGMENTS) -> list[Scope]:
    """Steps, each whole and by that many values of one dimension."""
    names: list[tuple[tuple[str, str], ...]] = [(), *((("country", f"{n:03}"),) for n in range(segments))]
    return [Scope("shop", 1, rank, f"step {rank}", name) for rank in range(1, steps + 1) for name in names]


def minutes(first: int, count: int, named: list[Scope], per_minute: float, seed: int = 1) -> Iterator[Minute]:
    """Minutes in which `per_minute` enter each segment, and the sum of them their step."""
    rng, width = np.random.default_rng(seed), sum(scope.rank == 1 for scope in named)
    steps = len(named) // width

    def whole(counts: np.ndarray) -> np.ndarray:
        """The counts of the segments of each step with their sum before them, as rows."""
        table = counts.reshape(steps, width - 1, -1)
        return np.concatenate((table.sum(axis=1, keepdims=True), table), axis=1).reshape(len(named), -1)

    for at in range(first, first + count):
        came = rng.poisson(per_minute, (steps * (width - 1), len(HORIZONS_MINUTES)))
        on = rng.binomial(came, RATE * PACE)
        one, zero = whole(came[:, :1])[:, 0], np.zeros(len(named), np.int64)
        yield Minute(at, named, one, whole(came), whole(on), zero, one * 500_000)


@dataclass(frozen=True)
class Cost:
    """Of one detector, after it has been told of all minutes."""

    scopes: int
    held_bytes: int  # by tracemalloc, with names and indexes
    peak_bytes: int  # while minutes are applied
    array_bytes: int  # of its records alone
    snapshot_bytes: int
    snapshot_ms: float
    minute_ms: tuple[float, float, float]  # mean, median, highest
    episodes: int


def told(count: int, named: list[Scope], per_minute: float) -> tuple[Detector, list[float], int]:
    """A detector that knows so many minutes; milliseconds of each, and how many episodes it told of."""
    detector, took, episodes = Detector(), [], 0
    for minute in minutes(BEGIN, count, named, per_minute):
        began = time.perf_counter()
        episodes += len(detector.apply(minute))
        took.append((time.perf_counter() - began) * 1000)
    return detector, took, episodes


def held(count: int, named: list[Scope], per_minute: float) -> tuple[int, int]:
    """(bytes held after so many minutes, at most meanwhile), of all that the detector has allocated."""
    told(2, named[:2], per_minute)  # kernels and imports are not state
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        detector, peak = Detector(), 0
        for minute in minutes(BEGIN, count, named, per_minute):
            tracemalloc.reset_peak()
            start = tracemalloc.get_traced_memory()[0]
            detector.apply(minute)
            peak = max(peak, tracemalloc.get_traced_memory()[1] - start)
        del minute
        now = tracemalloc.get_traced_memory()[0] - before
        assert detector is not None
        return now, now + peak
    finally:
        tracemalloc.stop()


def cost(count: int, per_minute: float, steps: int = STEPS, segments: int = SEGMENTS) -> Cost:
    """Measures it all."""
    named = scopes(steps, segments)
    now, peak = held(min(count, 1_000), named, per_minute)
    detector, took, episodes = told(count, named, per_minute)
    dumped = detector.dump()
    began = time.perf_counter()
    packed = pack("detect", detector.dump())
    packing = (time.perf_counter() - began) * 1000
    return Cost(
        len(named),
        now,
        peak,
        dumped["rows"].nbytes + dumped["steps"].nbytes,
        len(packed),
        packing,
        (float(np.mean(took)), float(np.median(took)), max(took)),
        episodes,
    )


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=30)
    parser.add_argument("--per-minute", type=float, default=2.0, help="entrants of each segment")
    parser.add_argument("--report", type=Path, default=HERE / "COST_DETECT.md")
    arguments = parser.parse_args()
    told(120, scopes(1, 3), 2.0)  # loads the kernels
    small, full = (cost(arguments.hours * 60, arguments.per_minute, 5, n) for n in (50, SEGMENTS))
    rows = [
        ("scopes", *(f"{one.scopes:,}" for one in (small, full))),
        ("held, with names and indexes", *(f"{one.held_bytes / 1e6:.1f} MB" for one in (small, full))),
        ("of it records", *(f"{one.array_bytes / 1e6:.1f} MB" for one in (small, full))),
        ("at most, while a minute is applied", *(f"{one.peak_bytes / 1e6:.1f} MB" for one in (small, full))),
        ("a snapshot", *(f"{one.snapshot_bytes / 1e6:.2f} MB" for one in (small, full))),
        ("packing it", *(f"{one.snapshot_ms:.1f} ms" for one in (small, full))),
        ("a minute, on average", *(f"{one.minute_ms[0]:.2f} ms" for one in (small, full))),
        ("a minute, median", *(f"{one.minute_ms[1]:.2f} ms" for one in (small, full))),
        ("the longest minute (an hour begins)", *(f"{one.minute_ms[2]:.1f} ms" for one in (small, full))),
        ("of a core, as time passes", *(f"{one.minute_ms[0] / 600:.4f} %" for one in (small, full))),
        ("times as fast as time", *(f"{60_000 / one.minute_ms[0]:,.0f}" for one in (small, full))),
    ]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    arguments.report.write_text(
        "# What drop-off detection costs\n\n"
        f"{arguments.hours} hours of minutes in which {arguments.per_minute:g} people enter each segment; "
        "the detector alone,\nwithout the counting of its minutes.\n"
        f"{machine()}; commit {commit()}; `python -m tests.benchmarks.detect`.\n\n"
        "| | 5 steps × 50 segments | 5 steps × 500 segments |\n|---|--:|--:|\n" + "\n".join(lines) + "\n"
    )
    print(arguments.report.read_text())


if __name__ == "__main__":
    keep_compiled()
    main()
