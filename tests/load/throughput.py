"""Throughput from a real broker beside that from a file, and how long events take to be seen under half of
it.

    python -m tests.load.throughput [--rounds 3] [--lag-seconds 60]

A stream lies in a topic and in a file; one worker reads it from both in turn, into the null sink. There are
two: W1 with its journey (tests/w1.py), and simulated shoppers with `checkout`, its objects and orders
(`crowd.py`). Then shoppers come as time passes, at half the rate that their topic gave, with ClickHouse
embedded (`lag.py`). Where the machine cannot carry that, less is tried as well.
Exit 1 where a verdict is no. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests import w1
from tests.kafka.topics import Record, Topics
from tests.load.crowd import Crowd
from tests.load.lag import Lag, LagAsked, measure
from tests.load.live import PATHLINE, Live, LoadFailed, broker_at, environment
from tests.load.report import HERE, Asked, conclude, page, prose, table

RATIO_LEAST: Final = 0.6
P99_SECONDS_MOST: Final = 2.0
SHARES: Final = (1 / 2, 3 / 8, 1 / 4, 1 / 8)
SHOPPERS_PER_SECOND: Final = 10_000
"""Those that are drained: as many as open sessions allow that look like those of a run."""


@dataclass(frozen=True)
class Stream:
    """Events in a file, and how they are read."""

    name: str
    file: Path
    events: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class Took:
    """One run, net of start-up."""

    wall: float
    cpu: float


Taken = list[tuple[Stream, dict[str, list[Took]]]]


def w1_in(folder: Path, sessions: int, seed: int) -> Stream:
    """W1, with its mapping and its journey."""
    file = folder / "w1.jsonl"
    return Stream("W1", file, w1.write([file], sessions, seed), ("--mapping", "w1", "--journey", "w1"))


def shoppers_in(folder: Path, count: int, seed: int) -> Stream:
    """About `count` events of shoppers until now, with `checkout`."""
    file = folder / "shoppers.jsonl"
    crowd = Crowd(SHOPPERS_PER_SECOND, seed=seed)
    seconds = max(1, count // SHOPPERS_PER_SECOND)
    begin = int(time.time() - seconds) * 1000
    crowd.begin(begin)
    events = 0
    with file.open("wb") as out:
        for second in range(1, seconds + 1):
            for line in crowd.until(begin + second * 1000):
                out.write(line + b"\n")
                events += 1
    return Stream("shoppers", file, events, ("--journey", "checkout"))


def once(source: str, folder: Path, options: tuple[str, ...]) -> Took:
    """One run over all of `source`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = subprocess.run(
        [
            *PATHLINE, "run", "--input", source, *options, "--until-drained", "--clickhouse",
            "null:", "--state", str(folder / "state"), "--partitioned-by", "visitor", "--listen", "none",
        ],
        env=environment(), cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise LoadFailed(f"pathline ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    took = json.loads((folder / "state" / "steps-0.json").read_text())
    return Took(took["ended"] - took["began"], took["cpu_seconds"])


def rounds(servers: Topics, folder: Path, stream: Stream, count: int, warm: int) -> dict[str, list[Took]]:
    """What each round took, by where the events lay, after some that warm up and are not counted."""
    topic = servers.topic(1)
    records = [Record(line, partition=0) for line in stream.file.read_bytes().splitlines()]
    servers.produce(topic, records, **{"compression.type": "lz4", "linger.ms": 50})
    assert servers.watermarks(topic) == (0, stream.events)
    sources = {"file": str(stream.file), "broker": f"kafka://{servers.servers}/{topic}"}
    taken: dict[str, list[Took]] = {name: [] for name in sources}
    for number in range(1 - warm, count + 1):
        for name, source in sources.items():
            took = once(source, folder / f"from-{name}", stream.options)
            print(
                f"{stream.name}, round {number}: {name}: {stream.events / took.wall:,.0f} events/s",
                flush=True,
            )
            if number > 0:
                taken[name].append(took)
    servers.delete_topic(topic)
    return taken


def rate_of(stream: Stream, runs: list[Took]) -> float:
    """Events a second, by the clock."""
    return stream.events / statistics.median(run.wall for run in runs)


def lags(
    broker: Topics, processes: dict[str, int], folder: Path, first: float, arguments: argparse.Namespace
) -> list[Lag]:
    """The sweep: until the lag is as asked."""
    found: list[Lag] = []
    lateness = f"{arguments.lateness:g}s"
    options = ("--epoch", arguments.epoch, "--start", "latest", "--allowed-lateness", lateness)
    for share in SHARES[: arguments.sweep]:
        rate = round(first * share / SHARES[0])
        topic = broker.topic(arguments.partitions)
        live = Live(
            folder / f"lag-{rate}",
            f"kafka://{broker.servers}/{topic}",
            f"chdb://{folder / f'lag-{rate}' / 'db'}",
            options,
            arguments.partitions,
        )
        print(f"lag at {rate:,} events/s", flush=True)
        asked = LagAsked(arguments.lag_seconds, arguments.lateness, arguments.seed, arguments.hurry)
        found.append(measure(live, broker.servers, topic, rate, asked, processes))
        broker.delete_topic(topic)
        shutil.rmtree(live.folder)
        if holds(found[-1]):
            break
    return found


def holds(lag: Lag) -> bool:
    """Whether a rate is carried with the lag that is asked for."""
    return lag.is_carried and lag.seen.percentile(0.99) < P99_SECONDS_MOST


def verdicts(ratios: dict[str, float], found: list[Lag]) -> list[Asked]:
    """What is promised. Only the first of the sweep is half the load."""
    half = found[0]
    p99 = half.seen.percentile(0.99)
    told = f"{p99:.2f} s at {half.sent:,.0f} events/s"
    return [
        *(
            Asked(f"{name}: broker at least 0.6 times the file", f"{ratio:.2f}", ratio >= RATIO_LEAST)
            for name, ratio in ratios.items()
        ),
        Asked(
            f"p99 of the lag under 2 s beyond `allowed_lateness`, at {half.rate:,.0f} events/s",
            told if half.is_carried else f"{told}: that load was not reached",
            holds(half),
        ),
    ]


def throughput_table(taken: Taken) -> str:
    rows = [
        [
            stream.name,
            name,
            f"{rate_of(stream, runs):,.0f}",
            f"{stream.events / statistics.median(one.cpu for one in runs):,.0f}",
        ]
        for stream, sources in taken
        for name, runs in sources.items()
    ]
    return table(["stream", "from", "events/s", "events per CPU second"], rows)


def lag_tables(found: list[Lag]) -> str:
    rows = [
        [
            f"{lag.rate:,.0f}", f"{lag.sent:,.0f}", f"{lag.behind:.1f} s", f"{lag.seen.rows:,}",
            *(f"{lag.seen.percentile(share):.2f} s" for share in (0.5, 0.9, 0.99, 1.0)),
            f"{lag.poll_seconds:.2f} s",
        ]
        for lag in found
    ]  # fmt: skip
    head = [
        "events/s asked", "sent", "producer behind", "rows seen", "p50", "p90", "p99", "most", "longest poll",
    ]  # fmt: skip
    names = list(found[0].cores)
    cores = [
        [
            f"{lag.rate:,.0f}",
            *(f"{lag.cores.get(name, 0.0):.2f}" for name in names),
            f"{sum(lag.cores.values()):.2f}",
        ]
        for lag in found
    ]
    steps = "; ".join(f"{name} {share:.2f}" for name, share in found[0].steps.items() if share >= 0.005)
    return "\n\n".join(
        [
            table(head, rows),
            "Cores in use meanwhile, by process:",
            table(["events/s asked", *names, "all"], cores),
            prose(
                f"Of pathline's, by step, at the first rate: {steps}. The rest is the threads of the",
                "engine, of the",
                "consumer and of the sink.",
            ),
        ]
    )


def main() -> int:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-rounds", type=int, default=1, help="before them, not counted")
    parser.add_argument("--sessions", type=int, default=400_000, help="of W1; some 3.5 events each")
    parser.add_argument("--shoppers", type=int, default=1_200_000, help="events of them")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--lag-seconds", type=float, default=60.0, help="how long the lag is measured")
    parser.add_argument("--rate", type=float, default=None, help="events/s (half of what the broker gave)")
    parser.add_argument(
        "--sweep", type=int, default=len(SHARES), help="rates to try: the first, half of it, ..."
    )
    parser.add_argument("--lateness", type=float, default=10.0, help="seconds that are allowed (10)")
    parser.add_argument("--servers", help="a broker that runs (one of our own)")
    parser.add_argument("--epoch", default="1s", help="of the run whose lag is measured")
    parser.add_argument("--partitions", type=int, default=1, help="of the topic whose lag is measured")
    parser.add_argument("--hurry", type=float, default=1.0, help="shoppers pause so many times shorter")
    parser.add_argument("--report", type=Path, default=HERE / "THROUGHPUT.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-throughput-") as name:
        folder = Path(name)
        streams = [
            w1_in(folder, arguments.sessions, arguments.seed),
            shoppers_in(folder, arguments.shoppers, arguments.seed),
        ]
        with broker_at(arguments.servers, folder / "broker") as (broker, processes):
            taken = [
                (stream, rounds(broker, folder, stream, arguments.rounds, arguments.warm_rounds))
                for stream in streams
            ]
            half = arguments.rate or round(rate_of(streams[-1], taken[-1][1]["broker"]) * SHARES[0])
            found = lags(broker, processes, folder, half, arguments)
    ratios = {
        stream.name: rate_of(stream, runs["broker"]) / rate_of(stream, runs["file"]) for stream, runs in taken
    }
    asked = verdicts(ratios, found)
    text = page(
        "From the broker, and how soon", "tests.load.throughput", asked, *told(taken, found, arguments)
    )
    return conclude(arguments.report, text, asked)


def told(taken: Taken, found: list[Lag], arguments: argparse.Namespace) -> list[str]:
    """The parts of the report."""
    sizes = " and ".join(f"{stream.events:,} events of {stream.name}" for stream, _ in taken)
    return [
        "## From the broker and from a file",
        prose(
            f"{sizes}, one partition, one worker, null sink; medians of {arguments.rounds} rounds, in turn,",
            "net of start-up. The broker runs on the same cores. W1 runs with its journey of four stages;",
            "shoppers with `checkout`, its objects and orders.",
        ),
        throughput_table(taken),
        "## From an event to its row",
        prose(
            "Shoppers (some 400 bytes an event, W1 has 270), sent as time passes by a producer on the same",
            "cores; one worker, ClickHouse embedded, journey `checkout` with objects and orders, epochs of",
            f"{arguments.epoch}, partitions: {arguments.partitions}; {arguments.lag_seconds:g} s at each",
            "rate. The lag is from `event_at` (with the simulated way to the server) to when its row in",
            "`transitions` has been read by another process, less the",
            f"{arguments.lateness:g} s of `allowed_lateness`; polled every 200 ms, so each figure is an",
            "upper bound.",
        ),
        lag_tables(found),
    ]


if __name__ == "__main__":
    sys.exit(main())
