"""How long after an event what it caused can be read in ClickHouse, less the lateness that is allowed.

Events are sent as time passes while `pathline run` writes to its embedded engine. The rows of `transitions`
tell the time of the event that caused each. Whoever reads the database while it runs asks, every 200 ms, how
many there are for each hundredth of a second; those that were not there the last time came since. A row's lag
is from the begin of its hundredth to when the answer is here: never less than it was, and up to some 200 ms
more.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sinks.clickhouse.query import Reader
from sinks.clickhouse.serve_file import served
from tests.load.live import Live, LoadFailed, Producer, closing_all, until
from tests.load.samples import Sample, Sampler, metrics, used
from tests.load.trend import percentile

POLL_SECONDS: Final = 0.2
SLOT_MS: Final = 10
LOOK_BACK_SECONDS: Final = 6.0
"""So long after its time is over, at most, a poll looks for more rows of a hundredth; the last one for
all.
"""

GRACE_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 5.0
"""After the last event: rows are waited for so long at most, and until so long no more has come."""

CALM_SECONDS: Final = 5.0
"""The run is up when its lag has not become less for so long."""

COUNTS: Final = """
SELECT intDiv(toUnixTimestamp64Milli(at), {slot}) AS slot, count() AS n
FROM pathline.transitions WHERE time >= fromUnixTimestamp({since}) AND time < fromUnixTimestamp({until})
GROUP BY slot
"""


@dataclass
class Seen:
    """Rows as they appeared: how many of each slot, and for each appearance its lag in seconds."""

    lateness: float  # seconds that are allowed
    slots: dict[int, int] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def look(self, slots: Sequence[int], counts: Sequence[int], now: float) -> int:
        """Takes an answer that was here at `now`: new rows in it."""
        fresh = 0
        for slot, count in zip(slots, counts, strict=True):
            more = count - self.slots.get(slot, 0)
            if more > 0:
                self.slots[slot] = count
                self.lags.append(now - slot * SLOT_MS / 1000 - self.lateness)
                self.counts.append(more)
                fresh += more
        return fresh

    @property
    def rows(self) -> int:
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Seconds beyond the allowed lateness; endless where there are no rows."""
        return percentile(self.lags, self.counts, share) if self.counts else float("inf")


@dataclass(frozen=True)
class Lag:
    """What a rate led to."""

    rate: float  # asked for
    sent: float  # a second, while it was measured
    behind: float  # most seconds that the producer was behind the time
    seen: Seen
    poll_seconds: float  # the longest between two answers
    cores: dict[str, float]
    steps: dict[str, float]

    @property
    def is_carried(self) -> bool:
        """Whether the events came at that rate at all."""
        return self.sent >= 0.95 * self.rate and self.behind < 1.0


def ask(reader: Reader, seen: Seen, since: float, until_: float) -> int:
    """One poll: new rows of events within a stretch of time."""
    sql = COUNTS.format(slot=SLOT_MS, since=int(since), until=int(until_))
    found = reader.query(sql)
    return seen.look(found.column("slot").to_pylist(), found.column("n").to_pylist(), time.time())


def measure(live: Live, servers: str, topic: str, rate: float, args: LagAsked, others: dict[str, int]) -> Lag:
    """Runs `live` under `rate` events a second for so long, and ends it."""
    producer = Producer(servers, topic, rate, partitions=live.partitions, seed=args.seed, hurry=args.hurry)
    sampler: Sampler | None = None
    with closing_all(live, producer):
        live.start()
        assert live.popen is not None
        database = Path(live.clickhouse.removeprefix("chdb://"))
        until(lambda: served(database) is not None, "the database to be served")
        until(lambda: producer.sent > 0, "the first events")
        _calm(live, args.lateness)
        processes = others | {
            "pathline with its engine": live.popen.pid,
            "producer": producer.popen.pid,
        }
        sampler = Sampler(1.0, processes, lambda: metrics(live.port) | {"sent": producer.sent})
        with Reader(live.clickhouse) as reader, closing_all(sampler):
            begin = float(int(time.time()) + 1)
            seen, gap = watch(reader, begin, begin + args.seconds, live, Seen(args.lateness))
            taken = sampler.between(begin, begin + args.seconds)
        behind = max((said["behind"] for said in producer.said if said["at"] >= begin), default=0.0)
        live.stop()
        producer.stop()
    return Lag(rate, _rate(taken), behind, seen, gap, used(taken, "cpu."), used(taken, "step."))


@dataclass(frozen=True)
class LagAsked:
    """How it is measured."""

    seconds: float
    lateness: float  # seconds that are allowed
    seed: int
    hurry: float


def watch(reader: Reader, begin: float, end: float, live: Live, seen: Seen) -> tuple[Seen, float]:
    """Polls until all rows of events between two times are there, or nothing more comes; also the longest
    time between two answers.
    """
    gap, answered = 0.0, time.time()
    came = told = answered
    last = end + seen.lateness
    while (now := time.time()) < last or (now < last + GRACE_SECONDS and now - came < QUIET_SECONDS):
        since = max(begin, now - seen.lateness - LOOK_BACK_SECONDS) if now < last else begin
        if ask(reader, seen, since, end):
            came = time.time()
        gap, answered = max(gap, time.time() - answered), time.time()
        if now - told >= 10:
            told = now
            print(f"  {now - begin:.0f} s: {seen.rows:,} rows, p99 {seen.percentile(0.99):.2f} s", flush=True)
        live.require_alive()
        time.sleep(max(0.0, now + POLL_SECONDS - time.time()))
    ask(reader, seen, begin, end)
    return seen, gap


def _calm(live: Live, lateness: float) -> None:
    """Waits until what came before the run was up has been worked off, or it is plain that it never will
    be.
    """
    least, since = float("inf"), time.monotonic()
    while time.monotonic() - since < CALM_SECONDS and least > 0.5:
        live.require_alive()
        said = metrics(live.port)
        if said.get("watermark_lag_seconds"):
            beyond = said["watermark_lag_seconds"] / live.partitions - lateness
            if beyond < least - 0.1:
                least, since = beyond, time.monotonic()
        time.sleep(0.25)
    if least == float("inf"):
        raise LoadFailed(f"the run tells no lag:\n{live.last_words()}")


def _rate(samples: list[Sample]) -> float:
    first, last = samples[0], samples[-1]
    return (last["sent"] - first["sent"]) / (last["at"] - first["at"])
