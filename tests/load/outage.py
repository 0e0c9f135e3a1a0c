"""ClickHouse is away for minutes while events keep coming: nothing is lost, memory is bounded, it catches up.

    python -m tests.load.outage --minutes 10 --rate 10000

A producer at a constant rate → a broker → `pathline run` → a proxy that misbehaves → what stands for a
ClickHouse server (tests/sinks). After a warm-up the proxy takes turns: it refuses connections, answers 503,
hangs, or passes on and loses the reply. Then it is as it was. Lag and memory are sampled each second. In the
end the run is stopped and drained, and all views, and the memory that it took, are compared with those of a
run over the same topic in which nothing happened. Exit 1 where the verdict is no.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sinks.clickhouse.query import Reader
from tests.load.live import Engine, Live, LoadFailed, Producer, broker_at, closing_all, until
from tests.load.plot import Band, Panel, Series, svg
from tests.load.report import HERE, Asked, conclude, megabytes, page, prose, table
from tests.load.samples import Sample, Sampler, column, metrics
from tests.load.trend import Trend, trend
from tests.sinks import clickhouse_server
from tests.sinks.faults import BUSY, LOST_REPLY, Fault, FaultProxy

CATCH_UP_LEAST: Final = 3.0
EPOCH_BYTES_MAX: Final = 512 << 20
"""The setting of that name: what an epoch may take in, for each partition. The bound on memory is that much
more than without an outage: catching up, epochs are as full as they may be. What it had before the outage
says little, for all that time visits, carts and orders have been coming that have to be kept.
"""

FLAT_SHARE_MOST: Final = 0.1
"""While ClickHouse is away nothing may gather: so little of the median may memory grow meanwhile, along a
line through the last two thirds of that time (by then what may wait does wait).
"""

TROUBLES: Final = ("refused", "503", "hanging", "reply lost")
TROUBLE_SECONDS: Final = 15.0
CAUGHT_UP_SECONDS: Final = 2.0
"""The run has caught up when what waits in the topic is what comes in so long."""

VIEWS: Final = "SELECT name FROM system.tables WHERE database = 'bi' AND name != 'freshness' ORDER BY name"
CONTENT: Final = (
    "SELECT count() AS n, toString(sum(sipHash64(formatRow('JSONEachRow', *)))) AS hash FROM bi.{view}"
)
COUNTED: Final = "SELECT sum(received) AS received, sum(abs(balance)) AS balance FROM bi.conservation"


class Trouble:
    """A proxy that is away in turns, from `begin` to `restore`."""

    def __init__(self, upstream: int, seed: int) -> None:
        self.proxy = FaultProxy(upstream)
        self.proxy.inserts = deque(maxlen=0)  # type: ignore[assignment]  # nobody looks, and they are large
        self._random = random.Random(seed)
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.told: list[str] = []

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def restore(self) -> None:
        """As it was; whatever hangs is let go."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        self.restore()
        self.proxy.down()

    def _run(self) -> None:
        kinds = [*TROUBLES]
        self._random.shuffle(kinds)
        for kind in itertools.cycle(kinds):
            self.told.append(kind)
            with self._as(kind):
                if self._done.wait(self._random.uniform(0.5, 1.5) * TROUBLE_SECONDS):
                    return

    @contextmanager
    def _as(self, kind: str) -> Iterator[None]:
        if kind == "refused":
            self.proxy.down()
        else:
            hanging = Fault(hang_seconds=5.0)
            self.proxy.always = {"503": BUSY, "hanging": hanging, "reply lost": LOST_REPLY}[kind]
            self.proxy.everything = True
        yield
        self.proxy.always, self.proxy.everything = None, False
        if kind == "refused":
            self.proxy.up()


@dataclass
class Times:
    """Unix seconds of what happened."""

    began: float = 0.0
    cut: float = 0.0
    restored: float = 0.0
    caught_up: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What was found. Rates in events a second, sizes in bytes."""

    produced: int
    received: int
    balance: int
    differing: list[str]
    views: dict[str, int]
    arrival: float
    caught_up_at: float
    backlog: int
    before: float
    most: float
    calm: float
    most_allowed: float
    away: Trend
    restarts: int
    retries: int


def verdicts(found: Outcome) -> list[Asked]:
    """What issue 4 asks for."""
    views = ", ".join(found.differing) if found.differing else f"all {len(found.views)} views are equal"
    times = found.caught_up_at / found.arrival
    more = found.most - found.calm
    return [
        Asked(
            "nothing lost: received = produced",
            f"{found.received:,} of {found.produced:,}",
            found.received == found.produced > 0,
        ),
        Asked("`bi.conservation` balances", f"{found.balance:,}", found.balance == 0),
        Asked("the views of a run without an outage", views, bool(found.views) and not found.differing),
        Asked(
            "memory bounded: at most what an epoch may take in more than without an outage, "
            f"{megabytes(found.most_allowed)}",
            f"{megabytes(found.calm)} without, {megabytes(found.most)} with it",
            more < found.most_allowed,
        ),
        Asked(
            f"while ClickHouse is away memory grows by less than {FLAT_SHARE_MOST:.0%}",
            f"{found.away.share:.1%} of {megabytes(found.away.median)}",
            found.away.share < FLAT_SHARE_MOST,
        ),
        Asked(
            "catches up at 3 times the arrival rate or more",
            f"{found.caught_up_at:,.0f} events/s for {found.arrival:,.0f}: {times:.1f} times",
            times >= CATCH_UP_LEAST,
        ),
    ]  # fmt: skip


def content(reader: Reader) -> dict[str, tuple[int, str]]:
    """Of every view, the rows and a hash of all of them."""
    names = reader.query(VIEWS).column("name").to_pylist()
    out = {}
    for name in names:
        (row,) = reader.query(CONTENT.format(view=name)).to_pylist()
        out[name] = int(row["n"]), str(row["hash"])
    return out


def without_outage(folder: Path, live: Live) -> tuple[dict[str, tuple[int, str]], float]:
    """What all views hold after a run over the same topic, and the most memory that it took."""
    engine = Engine(folder / "calm-engine")
    calm = Live(
        folder / "calm", live.source, clickhouse_server.dsn(engine.port), live.options, live.partitions
    )
    with closing_all(engine, calm):
        calm.start("--until-drained")
        assert calm.popen is not None
        sampler = Sampler(0.5, {"pathline": calm.popen.pid}, dict)
        with closing_all(sampler):
            calm.ended()
        with Reader(calm.clickhouse) as reader:
            return content(reader), max(one["rss.pathline"] for one in sampler.samples)


def observed(live: Live, producer: Producer) -> Sample:
    """What a sample of this run says beside memory and CPU."""
    out = metrics(live.port) | {"sent": float(producer.sent)}
    received = live.received()
    if received is not None:
        out["received"] = float(received)
        out["waiting"] = max(0.0, producer.sent - received)
    return out


def told(sample: Sample) -> str:
    """A line of progress."""
    return (
        f"  sent {sample.get('sent', 0):,.0f}, waiting {sample.get('waiting', 0):,.0f}, "
        f"pathline {megabytes(sample['rss.pathline'])}"
    )


def through(
    live: Live, producer: Producer, trouble: Trouble, sampler: Sampler, arguments: argparse.Namespace
) -> Times:
    """Warm-up, outage, catching up, and as long again as the warm-up."""
    times = Times(began=time.time())
    enough = CAUGHT_UP_SECONDS * arguments.rate

    def waiting() -> float:
        live.require_alive()
        return sampler.samples[-1].get("waiting", float("inf")) if sampler.samples else float("inf")

    until(lambda: _has_written(sampler) and waiting() < enough, "the run to keep up")
    time.sleep(arguments.warm_seconds)
    times.cut = time.time()
    print(f"ClickHouse is away for {arguments.minutes:g} minutes", flush=True)
    trouble.begin()
    time.sleep(arguments.minutes * 60)
    trouble.restore()
    times.restored = time.time()
    print(f"ClickHouse is back; it was {', '.join(trouble.told)}", flush=True)
    patience = 60 + 2 * arguments.minutes * 60
    until(lambda: waiting() < enough, "the run to catch up", patience)
    times.caught_up = time.time()
    time.sleep(arguments.warm_seconds)
    live.require_alive()
    times.ended = time.time()
    return times


def _has_written(sampler: Sampler) -> bool:
    """Whether rows were acknowledged: the run is up, and its kernels are compiled."""
    return bool(sampler.samples) and sampler.samples[-1].get("sink_rows_total", 0) > 0


def outcome(
    produced: int,
    counted: dict[str, Any],
    rows: list[dict[str, tuple[int, str]]],
    calm: float,
    times: Times,
    sampler: Sampler,
    partitions: int,
) -> Outcome:
    """What the samples and both databases say."""
    ours, fault_free = rows
    before = sampler.between(times.began, times.cut)
    during = sampler.between(times.cut, times.ended)
    catching = sampler.between(times.restored, times.caught_up)
    arriving = [one for one in during if "sent" in one]
    arrived = arriving[-1]["sent"] - arriving[0]["sent"]
    boarded = [one for one in catching if "received" in one]
    # from when it is back: also the time until the next attempt counts against the run
    applied = boarded[-1]["received"] - boarded[0]["received"] if boarded else 0.0
    _, retries = column(during, "sink_retries_total")
    _, restarts = column(during, "restarts_total")
    away = sampler.between(times.cut + (times.restored - times.cut) / 3, times.restored)
    return Outcome(
        produced=produced,
        received=int(counted["received"] or 0),
        balance=int(counted["balance"] or 0),
        differing=sorted(name for name in {*ours, *fault_free} if ours.get(name) != fault_free.get(name)),
        views={name: n for name, (n, _) in ours.items()},
        arrival=arrived / (arriving[-1]["at"] - arriving[0]["at"]),
        caught_up_at=applied / max(times.caught_up - times.restored, 1e-3),
        backlog=int(max(one.get("waiting", 0) for one in during)),
        before=max(one["rss.pathline"] for one in before),
        most=max(one["rss.pathline"] for one in during),
        calm=calm,
        most_allowed=partitions * EPOCH_BYTES_MAX,
        away=trend(*column(away, "rss.pathline")),
        restarts=int(max(restarts, default=0)),
        retries=int(max(retries, default=0)),
    )


def plot(sampler: Sampler, times: Times) -> str:
    """Lag and memory over time."""

    def series(name: str, key: str, unit: float) -> Series:
        at, values = column(sampler.samples, key)
        return Series(name, [(one - times.began) / 60 for one in at], [value / unit for value in values])

    cut, back, caught = ((one - times.began) / 60 for one in (times.cut, times.restored, times.caught_up))
    return svg(
        "An outage of ClickHouse",
        [
            Panel("records that wait in the topic, thousands", [series("waiting", "waiting", 1e3)]),
            Panel(
                "memory, MB",
                [series("pathline", "rss.pathline", 1e6), series("ClickHouse", "rss.engine", 1e6)],
            ),
            Panel("oldest row not acknowledged, seconds", [series("", "oldest_unacknowledged_seconds", 1)]),
        ],
        [Band("ClickHouse is away", cut, back), Band("catching up", back, caught)],
    )


def parts(
    found: Outcome, times: Times, trouble: Trouble, arguments: argparse.Namespace, picture: Path
) -> list[str]:
    """The rest of the report."""
    figures = [
        ["events produced", f"{found.produced:,}"],
        ["arrival", f"{found.arrival:,.0f} events/s"],
        ["ClickHouse away", f"{times.restored - times.cut:,.0f} s"],
        ["records waiting, at most", f"{found.backlog:,}"],
        ["time until caught up", f"{times.caught_up - times.restored:,.0f} s"],
        ["while catching up", f"{found.caught_up_at:,.0f} events/s"],
        ["blocks sent again", f"{found.retries:,}"],
        ["restarts of the worker", f"{found.restarts:,}"],
        ["memory of pathline, most before", megabytes(found.before)],
        ["memory of pathline, most since", megabytes(found.most)],
        ["memory of pathline, most of a run without an outage", megabytes(found.calm)],
    ]
    rows = [[f"`bi.{name}`", f"{n:,}"] for name, n in found.views.items()]
    return [
        prose(
            f"Simulated shoppers at {arguments.rate:,.0f} events/s over {arguments.partitions}",
            "partitions, one",
            f"worker, journey `checkout` with objects and orders, seed {arguments.seed}.",
            "ClickHouse was, in turns",
            f"of some {TROUBLE_SECONDS:g} s: {', '.join(dict.fromkeys(trouble.told))}. What stands",
            "for it is the",
            "embedded engine served over HTTP (tests/sinks). All run on the same cores.",
        ),
        f"![lag and memory over time]({picture.name})",
        table(["", "figure"], figures),
        prose(
            "The rate while catching up counts from the moment at which ClickHouse was back, the",
            "wait for the next",
            "attempt included; to catch up is to have read all but what comes in",
            f"{CAUGHT_UP_SECONDS:g} s. Beyond",
            f"`--clickhouse-retry` ({arguments.clickhouse_retry}) a run starts anew from its",
            "snapshot, and waits",
            "again: those are the restarts.",
        ),
        "## Rows, equal to those of a run over the same topic without an outage",
        table(["view", "rows"], rows),
    ]


def run(folder: Path, arguments: argparse.Namespace) -> int:
    """All of it, in `folder`."""
    with broker_at(arguments.servers, folder / "broker") as (broker, processes):
        topic = broker.topic(arguments.partitions)
        source = f"kafka://{broker.servers}/{topic}"
        options = (
            "--epoch", arguments.epoch, "--idle-after", "1h",
            "--allowed-lateness", arguments.allowed_lateness,
            "--clickhouse-retry", arguments.clickhouse_retry,
        )  # fmt: skip
        engine = Engine(folder / "engine")
        trouble = Trouble(engine.port, arguments.seed)
        producer = Producer(
            broker.servers, topic, arguments.rate, partitions=arguments.partitions, seed=arguments.seed,
            hurry=arguments.hurry,
        )  # fmt: skip
        dsn = clickhouse_server.dsn(trouble.proxy.port)
        live = Live(folder / "live", source, dsn, options, arguments.partitions)
        with closing_all(engine, trouble, live, producer):
            live.start()
            assert live.popen is not None
            pids = processes | {"pathline": live.popen.pid, "engine": engine.popen.pid}
            sampler = Sampler(1.0, pids, lambda: observed(live, producer), told)
            with closing_all(sampler):
                times = through(live, producer, trouble, sampler, arguments)
            live.stop()
            produced = producer.stop()
            highs = sum(broker.watermarks(topic, one)[1] for one in range(arguments.partitions))
            if highs != produced:
                raise LoadFailed(f"the broker has {highs:,} records of {produced:,}")
            print(f"draining; then the same {produced:,} events without an outage", flush=True)
            live.drain()
            with Reader(live.clickhouse) as reader:
                ours = content(reader)
                (counted,) = reader.query(COUNTED).to_pylist()
        fault_free, calm = without_outage(folder, live)
        broker.delete_topic(topic)
    found = outcome(produced, counted, [ours, fault_free], calm, times, sampler, arguments.partitions)
    picture = arguments.report.with_name("outage.svg")
    asked = verdicts(found)
    text = page("An outage of ClickHouse under load", "tests.load.outage", asked,
                *parts(found, times, trouble, arguments, picture))  # fmt: skip
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(plot(sampler, times))
    return conclude(arguments.report, text, asked)


def main() -> int:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long ClickHouse is away")
    parser.add_argument("--rate", type=float, default=10_000, help="events a second")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--warm-seconds", type=float, default=60.0, help="before the outage, and after it")
    parser.add_argument("--epoch", default="2s")
    parser.add_argument(
        "--clickhouse-retry", default="5m", help="then the run starts anew (the default of a run)"
    )
    parser.add_argument("--allowed-lateness", default="10s")
    parser.add_argument("--hurry", type=float, default=1.0, help="shoppers pause so many times shorter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", help="a broker that runs (one of our own)")
    parser.add_argument("--report", type=Path, default=HERE / "OUTAGE.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-outage-") as name:
        return run(Path(name), arguments)


if __name__ == "__main__":
    sys.exit(main())
