"""What snapshots and a restart cost at size: `python -m tests.benchmarks.recovery`.

Five million open sessions over eight shards, made in the core; each epoch some of them have an event.
Snapshots are made as the runtime makes them, segment files and their fsync included, but for bytewax's own
store, which gets a few kilobytes. Then all shards are loaded anew and apply events: the first output. For
comparison the same state is packed whole once. Other work on the machine shows: look at medians and at CPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.core.events import Events, Text
from pipeline.core.route import route
from pipeline.core.snapshot import pack
from pipeline.core.track.layout import Limits
from pipeline.core.track.rules import compile_rules
from pipeline.core.track.track import Emitted, Track
from pipeline.runtime.kept import Kept
from schemas.journeys import load_journeys
from tests.benchmarks.__main__ import HERE, commit, machine

BATCH = 50_000
START_MS = 1_767_225_600_000
KNOWN = ["", "shop", "desktop", "mobile", "organic", "paid", *(f"campaign {k}" for k in range(50))]
JOURNEYS = load_journeys(["w1"])


@dataclass
class Shards:
    """The shards, how they are kept, and their last snapshots."""

    tracks: list[Track]
    kept: list[Kept]
    snapshots: list[bytes] = field(default_factory=list)

    @classmethod
    def fresh(cls, count: int, folder: Path) -> Shards:
        rules, limits = compile_rules(JOURNEYS), Limits(1_800_000, 86_400_000, False, False)
        tracks = [Track(rules, limits, 1, None) for _ in range(count)]
        return cls(tracks, [Kept("track", folder) for _ in tracks])

    def feed(self, events: Events) -> int:
        """Applies all of a batch; how many rows that told."""
        told = 0
        until = np.array([int(events.at.max()) + 1])
        for track, piece in zip(self.tracks, route(events, len(self.tracks)), strict=True):
            told += sum(
                len(one.transitions) for one in track.apply([piece], until) if isinstance(one, Emitted)
            )
        return told

    def tell(self) -> None:
        """As the runtime does every second."""
        for track in self.tracks:
            for _ in track.tell():
                pass

    def snapshot(self) -> tuple[float, float]:
        """Seconds by the clock and of CPU that the snapshots of all shards take."""
        wall, cpu = time.perf_counter(), time.process_time()
        pairs = enumerate(zip(self.tracks, self.kept, strict=True))
        promised = [kept.dump(track, f"track-{shard}", {}) for shard, (track, kept) in pairs]
        self.snapshots = [one.kept() for one in promised]
        return time.perf_counter() - wall, time.process_time() - cpu

    def load(self, snapshots: list[bytes]) -> None:
        for track, kept, snapshot in zip(self.tracks, self.kept, snapshots, strict=True):
            kept.load(snapshot, track)


def views(visitors: np.ndarray, at: int, span_ms: int, rng: np.random.Generator) -> Events:
    """A page view of each visitor, within `span_ms` from `at`; some enter a stage."""
    n = len(visitors)
    words = np.zeros((n, 8), np.int32)
    words[:, 0] = 1
    words[:, 1] = 2 + visitors % 2
    words[:, 2] = 4 + visitors % 2
    words[:, 5] = 6 + visitors % 50
    key = visitors.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
    pages = rng.integers(0, 40_000, n)
    nothing = Text(np.zeros(n + 1, np.int32), np.zeros(0, np.uint8))
    return Events(
        at=np.sort(rng.integers(at, at + span_ms, n)),
        key=key ^ key >> np.uint64(29),
        id_hash=np.zeros(n, np.uint64),
        value_e4=np.zeros(n, np.int64),
        partition=np.zeros(n, np.int32),
        position=np.arange(n),
        fate=np.zeros(n, np.uint8),
        match=rng.integers(0, 4, (n, 1)).astype(np.uint8),
        bits=np.zeros((n, 0), np.uint32),
        back=np.zeros((n, 1), np.uint16),
        intent=np.zeros((n, 0), np.uint8),
        words=words,
        event_id=nothing,
        visitor=texts([f"{v * 2654435761 % 2**64:016x}-{v:012x}" for v in visitors.tolist()]),
        user=nothing,
        url=texts([f"https://shop.example/p/category-{p % 97}/{p:06}" for p in pages.tolist()]),
        detail=nothing,
        known=KNOWN,
    )


def texts(words: list[str]) -> Text:
    return Text.of(pa.array(words, pa.string()))


@dataclass
class Found:
    """What was measured; times in seconds, sizes in bytes."""

    first: tuple[float, float]
    epochs: list[tuple[float, float]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    kept: int = 0  # on the disk in the end
    pointers: int = 0
    whole: tuple[float, float] = (0.0, 0.0)
    whole_bytes: int = 0
    loaded: float = 0.0
    output: float = 0.0
    loaded_cpu: float = 0.0


def measure(folder: Path, sessions: int, count: int, share: float, epochs: int) -> Found:
    """Opens the sessions, lives through the epochs, and starts again from what these left."""
    rng = np.random.default_rng(1)
    shards = Shards.fresh(count, folder)
    opening_ms = 600_000
    for first in range(0, sessions, BATCH):
        visitors = np.arange(first, min(first + BATCH, sessions))
        shards.feed(views(visitors, START_MS + first * opening_ms // sessions, 1000, rng))
    shards.tell()
    found = Found(shards.snapshot())
    for epoch in range(epochs):
        dirty = rng.choice(sessions, int(sessions * share), replace=False)
        before = written()
        for first in range(0, len(dirty), BATCH):
            at = START_MS + opening_ms + 2_000 + epoch * 1_000
            shards.feed(views(dirty[first : first + BATCH], at, 1_000, rng))
        shards.tell()
        before = written()
        found.epochs.append(shards.snapshot())
        found.written.append(written() - before)
    found.kept = sum(path.stat().st_size for path in folder.iterdir())
    found.pointers = sum(map(len, shards.snapshots))
    wall, cpu = time.perf_counter(), time.process_time()
    dumps = [pack("track", track.dump()) for track in shards.tracks]
    found.whole = time.perf_counter() - wall, time.process_time() - cpu
    found.whole_bytes = sum(map(len, dumps))
    snapshots, opened = shards.snapshots, sum(track.state.open_sessions for track in shards.tracks)
    del shards, dumps
    wall, cpu = time.perf_counter(), time.process_time()
    again = Shards.fresh(count, folder)
    again.load(snapshots)
    found.loaded, found.loaded_cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert sum(track.state.open_sessions for track in again.tracks) == opened
    told = again.feed(views(np.arange(BATCH), START_MS + opening_ms + 2_000 + epochs * 1_000, 1_000, rng))
    assert told, "there must be an output"
    found.output = time.perf_counter() - wall
    return found


def written() -> int:
    """Bytes that this process has handed to the system to write."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["wchar"])


def report(found: Found, arguments: argparse.Namespace) -> str:
    """The page."""
    wall, cpu = ([1000 * epoch[k] for epoch in found.epochs] for k in (0, 1))
    tenth = sorted(wall)[-max(1, len(wall) // 10)]
    setting = (
        f"{arguments.sessions:,} open sessions over {arguments.shards} shards in one process, journey `w1`; "
        f"in each of {arguments.epochs} epochs\n{arguments.dirty:.0%} of them have an event. {machine()},\n"
        f"shared with other work: medians. Commit {commit()}; `python -m tests.benchmarks.recovery`."
    )
    rows = [
        ("", "logged in segments", "packed whole"),
        ("---", "--:", "--:"),
        (
            "an epoch, all shards, by the clock",
            f"{statistics.median(wall):,.0f} ms (nine in ten under {tenth:,.0f})",
            f"{1000 * found.whole[0]:,.0f} ms, and the store's write",
        ),
        ("of CPU", f"{statistics.median(cpu):,.0f} ms", f"{1000 * found.whole[1]:,.0f} ms"),
        (
            "written",
            f"{statistics.median(found.written) / 1e6:,.1f} MB",
            f"{found.whole_bytes / 1e6:,.0f} MB",
        ),
        ("the first snapshot", f"{found.first[0]:,.1f} s", ""),
        ("on the disk in the end", f"{found.kept / 1e6:,.0f} MB", f"{2 * found.whole_bytes / 1e6:,.0f} MB"),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"# What snapshots and a restart cost at size\n\n{setting}\n\n{table}\n\n"
        f"bytewax's store gets {found.pointers / 1000:,.1f} kB an epoch. A restart loads all shards in "
        f"{found.loaded:.1f} s ({found.loaded_cpu:.1f} s of CPU)\n"
        f"and has its first output after {found.output:.1f} s, with one process; "
        "the start of Python and bytewax is not in it.\n"
    )


def main() -> None:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5_000_000)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--dirty", type=float, default=0.05, help="share of the sessions, per epoch")
    parser.add_argument("--epochs", type=int, default=90)
    parser.add_argument("--folder", type=Path, default=None, help="where segments go (a temporary folder)")
    parser.add_argument("--report", type=Path, default=HERE / "RECOVERY.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-recovery-", dir=arguments.folder) as name:
        found = measure(Path(name), arguments.sessions, arguments.shards, arguments.dirty, arguments.epochs)
    arguments.report.write_text(report(found, arguments))
    print(arguments.report.read_text())


if __name__ == "__main__":
    main()
