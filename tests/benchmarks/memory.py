"""What open sessions cost, and that a longer stream costs no more: `python -m tests.benchmarks.memory`.

State is measured in the core at the moment when W1 has the most open sessions. Memory is the peak of whole
runs: over one day of W1, and over ten, which have the same sessions open at any time.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.core.admit.admit import Admission, Admit, Partition
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.route import route
from pipeline.core.track.layout import Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import Track
from pipeline.rehearse import Rehearsal
from pipeline.settings import Settings
from pipeline.sources.files import JsonLinesReader
from schemas.journeys import load_journeys
from schemas.mappings import load_mapping
from schemas.orders import USUAL
from tests import w1
from tests.benchmarks.__main__ import HERE, commit, machine

SHARDS = 8
DAYS = 10
SIZES = ("bytes_without_text", "bytes_of_text")
DAY = re.compile(rb'"ts":"(\d{4}-\d\d-\d\d)T')
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def state(path: Path) -> tuple[int, float, float]:
    """(most open sessions, bytes of each beside texts, bytes of texts of each) in the file's course."""
    journeys, mapping = load_journeys(["w1"]), load_mapping("w1")
    reader = JsonLinesReader(
        path, Decoder(mapping, needed_fields(journeys), TimeBounds(2**62)), growing=False
    )
    admit = Admit(Partition("w1", 0, 0), Admission(10_000, 600_000, 10_000_000, mapping.filters))
    enrich, limits = Enrich(journeys), Limits(1_800_000, 86_400_000, False, False)
    tracks = [Track(compile_rules(journeys), limits, 1, None) for _ in range(SHARDS)]
    most = (0, 0.0, 0.0)
    while (block := reader.read(65_536)) is not None:
        admitted = admit.apply(block.decoded, block.position)
        pieces = route(enrich.apply(admitted, 0), SHARDS)
        for track, piece in zip(tracks, pieces, strict=True):
            for _ in track.apply([piece], np.array([admitted.watermark])):
                pass
        states = [track.state for track in tracks]
        count = sum(state.open_sessions for state in states)
        own, text = (sum(getattr(state, name) for state in states) / count for name in SIZES)
        most = max(most, (count, own, text))
    return most


def objects(path: Path) -> tuple[int, float, int, float]:
    """(most open objects, bytes of each, abandoned chains at the end, bytes of each) of `checkout`."""
    journeys, mapping = load_journeys(["checkout"]), replace(load_mapping("w1"), orders=USUAL)
    rehearsal = Rehearsal(journeys, mapping, Settings())
    (kept,) = rehearsal.track.objects
    most = (0, 0.0)
    with path.open("rb") as lines:
        while block := [line.rstrip() for line in islice(lines, 65_536)]:
            rehearsal.read(0, block)
            most = max(most, (kept.open, kept.bytes / max(kept.open, 1)))
    follow = rehearsal.follow
    return *most, follow.remembered, follow.bytes / follow.remembered


def days(path: Path, to: Path, count: int) -> None:
    """The same day `count` times, one after the other."""
    first = np.datetime64(DAY.search(path.read_bytes()[:4096])[1].decode())  # type: ignore[index]
    now = b'"ts":"%s' % str(first).encode()
    with to.open("wb") as out:
        for day in range(count):
            then = b'"ts":"%s' % str(first + np.timedelta64(day, "D")).encode()
            with path.open("rb") as lines:
                out.writelines(line.replace(now, then) for line in lines)


def peak_mb(path: Path, folder: Path) -> int:
    """Megabytes that a run over the file takes at most."""
    command = [
        sys.executable, "-c", "from pipeline.cli import main; main()", "run", "--input", str(path),
        "--mapping", "w1", "--journey", "w1", "--clickhouse", "null:", "--state", str(folder),
    ]  # fmt: skip
    out = subprocess.run([sys.executable, "-c", PEAK, *command], check=True, capture_output=True, text=True)
    return int(out.stdout)


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=400_000)
    parser.add_argument("--report", type=Path, default=HERE / "MEMORY.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-memory-") as name:
        folder = Path(name)
        day, week = folder / "day.jsonl", folder / "days.jsonl"
        events = w1.write([day], arguments.sessions)
        count, own, text = state(day)
        things, each, chains, chain = objects(day)
        one = peak_mb(day, folder / "state-1")
        days(day, week, DAYS)
        ten = peak_mb(week, folder / "state-10")
    arguments.report.write_text(
        "# What open sessions and objects cost\n\n"
        f"W1 with {events:,} events, journey `w1`, {SHARDS} shards. {machine()}; commit {commit()};\n"
        "`python -m tests.benchmarks.memory`.\n\n"
        f"- At the peak of {count:,} open sessions: {own:.1f} bytes each for the session, its stages,\n"
        f"  timers and the index, with the room kept for the next batch; and {text:.1f} bytes of texts.\n"
        f"- `checkout`: at the peak of {things:,} open objects {each:.0f} bytes each, texts included;\n"
        f"  and of {chains:,} abandoned ones {chain:.0f} bytes each, until their window has passed.\n"
        f"- A whole run into the null sink takes {one} MB at most; over the same day {DAYS} times in a row\n"
        f"  ({DAYS * events:,} events) {ten} MB.\n"
    )
    print(arguments.report.read_text())


if __name__ == "__main__":
    main()
