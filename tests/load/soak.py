"""Half an hour at constant load: memory, epochs and the recovery store must stay as they are.

    python -m tests.load.soak --minutes 30 --rate 5000

A producer at a constant rate → a broker → `pathline run` with ClickHouse embedded, journey `checkout` with
objects and orders. All that expires does so within minutes here (sessions, ids, deadlines), so that what is
open is in equilibrium before the first third is over; the rest is judged. What grows by design, because it is
kept for a year, is told beside it. Exit 1 where the verdict is no.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from sinks.clickhouse.query import Reader
from tests.load.live import Live, LoadFailed, Producer, broker_at, closing_all, until
from tests.load.plot import Panel, Series, svg
from tests.load.report import HERE, Asked, conclude, megabytes, page, prose, table
from tests.load.samples import Sample, Sampler, column, folder_bytes, metrics, used
from tests.load.trend import Trend, trend

WARM_SHARE: Final = 1 / 3
"""Of the time; not judged."""

GROWTH_MOST: Final = 0.10
"""Of the median: so little may a series grow over the time that is judged, along the line through it."""

ORDER_BYTES: Final = 32
"""What an order takes in memory for 365 days: 16 bytes, and as much again for the table
(pipeline/README.md).
"""

JUDGED: Final[Mapping[str, str]] = {
    "rss.pathline": "memory of pathline and its engine",
    "epoch_seconds": "time of an epoch",
    "recovery_less_orders": "recovery store, without the share of orders",
}
"""What must be flat."""

BESIDE: Final[Mapping[str, str]] = {
    "recovery_bytes": "recovery store, all",
    "snapshot_seconds": "time of the snapshots of an epoch",
    "snapshot_bytes": "snapshots of an epoch",
    "orders_bytes": "of these, orders",
    "open_sessions": "open sessions",
    "open_objects": "open objects",
    "events_held": "events held",
    "waiting": "records that wait in the topic",
    "state_bytes": "state folder, all",
}
"""What shows that the load was constant and the state in equilibrium."""

COUNTED: Final = "SELECT sum(received) AS received, sum(abs(balance)) AS balance FROM bi.conservation"
ORDERS: Final = "SELECT count() AS orders FROM bi.orders"


@dataclass(frozen=True)
class Outcome:
    """What was found; trends over the time that is judged."""

    produced: int
    received: int
    balance: int
    orders: int
    minutes: float
    sent: float  # a second, over the time that is judged
    trends: Mapping[str, Trend]
    cores: Mapping[str, float]


def quick_checkout(folder: Path) -> str:
    """A file with the journey `checkout` whose objects are settled within minutes instead of days."""
    text = (resources.files("schemas") / "definitions" / "journeys" / "checkout.yaml").read_text()
    quick = {"recovery_window: 7d": "recovery_window: 2m", "at_risk_after: 10m": "at_risk_after: 30s"}
    for long, short in quick.items():
        assert long in text, f"the journey no longer says {long}"
        text = text.replace(long, short)
    text, count = re.subn(r"abandon_after: \S+", "abandon_after: 1m", text)
    assert count == 3, "the journey has other objects by now"
    path = folder / "checkout-quick.yaml"
    path.write_text(text)
    return str(path)


def trends(samples: Sequence[Sample], begin: float, end: float) -> dict[str, Trend]:
    """Of all series, over what comes after the warm-up."""
    judged = [one for one in samples if begin + WARM_SHARE * (end - begin) <= one["at"] <= end]
    out = {}
    for name in (*JUDGED, *BESIDE):
        at, values = column(judged, name)
        if len(at) < 2:
            raise LoadFailed(f"there are {len(at)} samples of {name}: too short a time")
        out[name] = trend(at, values)
    return out


def verdicts(found: Outcome) -> list[Asked]:
    """What issue 4 asks for, and that nothing was lost meanwhile."""
    flat = []
    for name, what in JUDGED.items():
        one = found.trends[name]
        told = f"{one.share:+.1%} of {shown(name, one.median)}"
        flat.append(Asked(f"{what}: grows by less than {GROWTH_MOST:.0%}", told, one.share < GROWTH_MOST))
    return [
        *flat,
        Asked(
            "received = produced, in balance",
            f"{found.received:,} of {found.produced:,}, balance {found.balance}",
            found.received == found.produced > 0 and found.balance == 0,
        ),
    ]


def shown(name: str, value: float) -> str:
    """A value in its unit."""
    if name.startswith("rss.") or name.endswith(("_bytes", "_less_orders")):
        return f"{value / 1e6:,.1f} MB"
    if name.endswith("_seconds"):
        return f"{value * 1000:,.0f} ms"
    return f"{value:,.0f}"


class Look:
    """What a sample of the run says beside memory and CPU. Snapshots are told as totals: per epoch they are
    what came since the sample before. The share of orders in the recovery store is theirs in the snapshots.
    """

    TOTALS: Final = {
        "snapshot_seconds_total": "snapshot_seconds",
        "snapshot_bytes_total": "snapshot_bytes",
        "bytes.orders": "orders_bytes",
    }

    def __init__(self, live: Live, producer: Producer) -> None:
        self._live = live
        self._producer = producer
        self._before: Sample = {}

    def __call__(self) -> Sample:
        out = metrics(self._live.port)
        if "epochs_total" in out:
            out |= self._of_an_epoch(out)
        out["sent"] = float(self._producer.sent)
        out["recovery_bytes"] = folder_bytes(self._live.state / "recovery")
        out["state_bytes"] = folder_bytes(self._live.state)
        if out.get("snapshot_bytes"):
            share = out["orders_bytes"] / out["snapshot_bytes"]
            out["recovery_less_orders"] = out["recovery_bytes"] * (1 - share)
        received = self._live.received()
        if received is not None:
            out["waiting"] = max(0.0, self._producer.sent - received)
        return out

    def _of_an_epoch(self, out: Sample) -> Sample:
        before, more = self._before, out["epochs_total"] - self._before.get("epochs_total", 0.0)
        if before and more <= 0:
            return {}
        self._before = out
        if not before:
            return {}
        return {
            name: (out.get(total, 0.0) - before.get(total, 0.0)) / more for total, name in self.TOTALS.items()
        }


def told(sample: Sample) -> str:
    """A line of progress."""
    return (
        f"  sent {sample.get('sent', 0):,.0f}, waiting {sample.get('waiting', 0):,.0f}, "
        f"epoch {sample.get('epoch_seconds', 0):.2f} s, pathline {megabytes(sample['rss.pathline'])}, "
        f"recovery store {megabytes(sample['recovery_bytes'])}, "
        f"open sessions {sample.get('open_sessions', 0):,.0f}"
    )


def plot(samples: Sequence[Sample], begin: float, minutes: float) -> str:
    """The picture that is kept."""

    def series(label: str, name: str, unit: float = 1.0) -> Series:
        at, values = column(list(samples), name)
        return Series(label, [(one - begin) / 60 for one in at], [value / unit for value in values])

    return svg(
        f"{minutes:g} minutes at constant load",
        [
            Panel(
                "memory, MB",
                [series("pathline", "rss.pathline", 1e6), series("broker", "rss.broker", 1e6)],
            ),
            Panel(
                "an epoch, seconds",
                [series("epoch", "epoch_seconds"), series("snapshots", "snapshot_seconds")],
            ),
            Panel(
                "on the disk, MB",
                [series("recovery", "recovery_bytes", 1e6), series("state", "state_bytes", 1e6)],
            ),
            Panel(
                "open, thousands",
                [series("sessions", "open_sessions", 1e3), series("objects", "open_objects", 1e3)],
            ),
            Panel("records that wait, thousands", [series("waiting", "waiting", 1e3)]),
        ],
    )


def parts(found: Outcome, arguments: argparse.Namespace, picture: Path) -> list[str]:
    """The rest of the report."""
    rows = [
        [what, shown(name, found.trends[name].median), shown(name, found.trends[name].growth)]
        for name, what in {**JUDGED, **BESIDE}.items()
    ]
    cores = ", ".join(f"{name} {share:.2f}" for name, share in found.cores.items())
    return [
        prose(
            f"Simulated shoppers at {found.sent:,.0f} events/s over {arguments.partitions} partitions for",
            f"{found.minutes:,.1f} minutes, one worker, ClickHouse embedded, epochs of",
            f"{arguments.epoch}, seed",
            f"{arguments.seed}; a sample every {arguments.every:g} s. So that what is open is in",
            "equilibrium soon:",
            f"`--session-gap {arguments.session_gap}`, `--dedup-window {arguments.dedup_window}`, and a",
            "`checkout` in which a minute abandons and two minutes recover; its objects and",
            "orders are in play.",
        ),
        f"![memory, epochs and sizes over time]({picture.name})",
        prose(
            "Judged is what comes after the first third: the growth along the line through all",
            "points (Theil-Sen)",
            "from the begin to the end of that time, against the median.",
        ),
        table(["", "median", "growth meanwhile"], rows),
        prose(
            f"Grows by design: an order is remembered for 365 days. There were {found.orders:,},",
            "which take some",
            f"{found.orders * ORDER_BYTES / 1e6:.1f} MB of memory, and half of it in each snapshot: at",
            "constant load that goes on for a year, up to 10,000,000 orders. So the recovery store is",
            "judged without their share, which is theirs in the snapshots. The embedded engine keeps all",
            "rows. An epoch",
            "begins by the clock, and takes longer only when its work does not fit: the snapshots' own time",
            "stands beside it.",
        ),
        f"Cores in use: {cores}.",
    ]


def run(folder: Path, arguments: argparse.Namespace) -> int:
    """All of it, in `folder`."""
    journey = quick_checkout(folder)
    with broker_at(arguments.servers, folder / "broker") as (broker, processes):
        topic = broker.topic(arguments.partitions)
        options = (
            "--journey", journey, "--epoch", arguments.epoch, "--session-gap", arguments.session_gap,
            "--dedup-window", arguments.dedup_window, "--idle-after", "1h",
            "--allowed-lateness", arguments.allowed_lateness,
        )  # fmt: skip
        source = f"kafka://{broker.servers}/{topic}"
        live = Live(
            folder / "live", source, f"chdb://{folder / 'live' / 'db'}", options, arguments.partitions
        )
        producer = Producer(
            broker.servers, topic, arguments.rate, partitions=arguments.partitions, seed=arguments.seed,
            hurry=arguments.hurry,
        )  # fmt: skip
        with closing_all(live, producer):
            live.start()
            assert live.popen is not None
            pids = processes | {"pathline": live.popen.pid, "producer": producer.popen.pid}
            sampler = Sampler(arguments.every, pids, Look(live, producer), told, 30.0)
            with closing_all(sampler):
                begin, end = under_load(live, sampler, arguments.minutes)
            live.stop()
            produced = producer.stop()
        live.drain()
        with Reader(live.clickhouse) as reader:
            (counted,) = reader.query(COUNTED).to_pylist()
            (orders,) = reader.query(ORDERS).to_pylist()
        broker.delete_topic(topic)
    judged = sampler.between(begin + WARM_SHARE * (end - begin), end)
    found = Outcome(
        produced=produced,
        received=int(counted["received"] or 0),
        balance=int(counted["balance"] or 0),
        orders=int(orders["orders"]),
        minutes=(end - begin) / 60,
        sent=used(judged, "sent")[""],
        trends=trends(sampler.samples, begin, end),
        cores=used(judged, "cpu."),
    )
    picture = arguments.report.with_name("soak.svg")
    asked = verdicts(found)
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(plot(sampler.samples, begin, arguments.minutes))
    text = page("At constant load", "tests.load.soak", asked, *parts(found, arguments, picture))
    return conclude(arguments.report, text, asked)


def under_load(live: Live, sampler: Sampler, minutes: float) -> tuple[float, float]:
    """From the first rows on, for so long."""

    def written() -> bool:
        live.require_alive()
        return bool(sampler.samples) and sampler.samples[-1].get("sink_rows_total", 0) > 0

    until(written, "the first rows")
    begin = time.time()
    print(f"the first rows are written; {minutes:g} minutes from here", flush=True)
    while time.time() < begin + minutes * 60:
        live.require_alive()
        time.sleep(0.2)
    return begin, time.time()


def main() -> int:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=5_000, help="events a second")
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--epoch", default="2s")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples")
    parser.add_argument("--session-gap", default="1m")
    parser.add_argument("--dedup-window", default="1m")
    parser.add_argument("--allowed-lateness", default="10s")
    parser.add_argument("--hurry", type=float, default=1.0, help="shoppers pause so many times shorter")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", help="a broker that runs (one of our own)")
    parser.add_argument("--report", type=Path, default=HERE / "SOAK.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pathline-soak-") as name:
        return run(Path(name), arguments)


if __name__ == "__main__":
    sys.exit(main())
