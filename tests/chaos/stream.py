"""What the shoppers of a chaos run send: records for every partition, the same for the same seed.

Two kinds of shoppers meet in one shop: those of the simulator, who each tell a story with a known end, and
those of `tests/independent`, who wander at random and whose shop's server reports orders, refunds and copies
by another partition. What they send is disordered, doubled, late, poisoned and now and then far too large.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from random import Random
from typing import Any, Final

from pipeline.simulate import Settings, simulate
from schemas.rejects import RECORD_BYTES_MAX
from tests.independent.shopper import DAY, HOUR, MINUTE, Shopper
from tests.kafka.topics import Record
from tests.oracle_walk import Row

START_MS: Final = 1_767_571_200_000  # 2026-01-05
DAYS: Final = 10
"""Longer than the recovery window of 7 days: abandonments expire, too."""

RECORDS_PER_STORY: Final = 8.0
RECORDS_PER_WANDERER: Final = 12.8
"""Means, to come near to the number of records that is asked for."""

REPEATED: Final = 0.02
POISONED: Final = 0.02
DELAYED: Final = 0.01
UNSTAMPED: Final = 0.05
SILLY_VALUES: Final = 0.01
"""Shares of the records: sent again, followed by poison, late by minutes, without `received_at`, and with a
value that is none."""

BAD_VALUES: Final = (-3.5, 1e300)


@dataclass(frozen=True)
class Sent:
    """One record of the topic, what the oracle is told of it (None: it can be no event), and its kind."""

    partition: int
    arrival_ms: int
    value: bytes | None
    event: Row | None
    kind: str = "plain"

    def record(self) -> Record:
        return Record(self.value, partition=self.partition, timestamp_ms=self.arrival_ms)


@dataclass(frozen=True)
class Stream:
    """All records in the order of their arrival, which is the order in which they are produced."""

    sent: list[Sent]
    partitions: int
    kinds: Counter[str] = field(default_factory=Counter)

    def events(self) -> list[list[Row | None]]:
        """What the oracle is told, by partition and offset."""
        told: list[list[Row | None]] = [[] for _ in range(self.partitions)]
        for one in self.sent:
            told[one.partition].append(one.event)
        return told

    def values(self) -> list[list[bytes | None]]:
        """The payloads, by partition and offset."""
        payloads: list[list[bytes | None]] = [[] for _ in range(self.partitions)]
        for one in self.sent:
            payloads[one.partition].append(one.value)
        return payloads


def stream(seed: int, records: int, partitions: int = 4) -> Stream:
    """About so many records, half of them by each kind of shopper. `partitions` is even."""
    assert partitions % 2 == 0, "shoppers of tests/independent use two partitions each"
    plain = chain(_stories(seed, records // 2, partitions), _wanderers(seed, records // 2, partitions))
    random = Random(f"chaos/{seed}")
    whole = [sent for partition, at, line in plain for sent in _mishaps(random, partition, at, line)]
    whole += _far_too_large(random, partitions)
    whole.sort(key=lambda one: one.arrival_ms)
    return Stream(whole, partitions, Counter(one.kind for one in whole))


# --- who sends --------------------------------------------------------------------------------------------

Line = tuple[int, int, bytes]


def _stories(seed: int, records: int, partitions: int) -> Iterator[Line]:
    """The simulator's shoppers, each in the partition of their number, in the order of arrival."""
    visitors = max(1, round(records / RECORDS_PER_STORY))
    asked = Settings(seed, visitors, START_MS, DAYS * DAY, duplicates=REPEATED, finish=True)
    found = []
    latest = START_MS
    for lines in simulate(asked):
        for line in lines:
            record = json.loads(line)
            latest = max(latest, _ms(record["received_at"]))  # repeats come after their first
            number = int(record["visitor_id"][5:13], 16)
            found.append((number % partitions, latest, line))
    return iter(sorted(found, key=lambda one: one[1]))


def _wanderers(seed: int, records: int, partitions: int) -> Iterator[Line]:
    """The shoppers of `tests/independent`: each in one of a pair of partitions, their server in the other."""
    random = Random(f"wanderers/{seed}")
    found = []
    for number in range(max(1, round(records / RECORDS_PER_WANDERER))):
        shopper = Shopper(seed, number, START_MS + random.randrange(DAYS * DAY))
        pair = number // 2 % (partitions // 2)
        found += [(2 * pair + sent.partition, sent.arrival, sent.line) for sent in shopper.live()]
    return iter(sorted(found, key=lambda one: one[1]))


# --- what happens on the way ------------------------------------------------------------------------------


def _mishaps(random: Random, partition: int, at: int, line: bytes) -> Iterator[Sent]:
    """The record, or what has become of it; and what comes with it."""
    kind = "plain"
    if random.random() < DELAYED:
        at, kind = at + random.randrange(MINUTE, 3 * HOUR), "delayed"
    event = _event(line)
    if random.random() < UNSTAMPED:  # the message's own time counts
        record = json.loads(line)
        del record["received_at"]
        line, kind = json.dumps(record).encode(), "unstamped"
        event |= {"received_at": at}
    if random.random() < SILLY_VALUES and "value" in event:
        line = json.dumps(json.loads(line) | {"value": random.choice(BAD_VALUES)}).encode()
        event, kind = event | {"value": 0}, "silly value"
    yield Sent(partition, at, line, event, kind)
    if random.random() < REPEATED:
        again = at + random.choice((random.randrange(8_000), random.randrange(40 * MINUTE)))
        repeated = event if json.loads(line).get("received_at") else event | {"received_at": again}
        yield Sent(partition, again, line, repeated, "sent again")
    if random.random() < POISONED:
        name = random.choice(tuple(POISON))
        yield Sent(partition, at, POISON[name](line), None, f"poison: {name}")


def _changed(line: bytes, **values: Any) -> bytes:
    record = json.loads(line) | values
    return json.dumps({name: value for name, value in record.items() if value is not None}).encode()


POISON: Final[dict[str, Callable[[bytes], bytes | None]]] = {
    "cut": lambda line: line[: len(line) // 2],
    "html": lambda line: b"<html>502 Bad Gateway</html>",
    "null byte": lambda line: line.replace(b":", b":\x00", 1),
    "not UTF-8": lambda line: line.replace(b'"shop', b'"sh\xffop').replace(b'"outlet', b'"out\xfflet'),
    "wrong type": lambda line: _changed(line, event={}),
    "no visitor": lambda line: _changed(line, visitor_id=None),
    "no time": lambda line: _changed(line, event_at=None),
    "absurd time": lambda line: _changed(line, event_at="1926-01-05T00:00:00Z"),
    "no such day": lambda line: _changed(line, event_at="2026-02-30T00:00:00Z"),
    "empty": lambda line: b"",
    "blank": lambda line: b" \n ",
    "tombstone": lambda line: None,
    "two in one": lambda line: line + b"\n" + line,
}
"""What goes wrong with a record until it can be no event."""


def _far_too_large(random: Random, partitions: int) -> Iterator[Sent]:
    """One record over the bound for each partition, in good JSON."""
    for partition in range(partitions):
        at = START_MS + random.randrange(DAYS * DAY)
        value = json.dumps({"event_at": at, "visitor_id": "v", "url": "x" * RECORD_BYTES_MAX}).encode()
        yield Sent(partition, at, value, None, "poison: too large")


def _event(line: bytes) -> Row:
    """The canonical event, times in ms and money in 1/10,000."""
    event: Row = json.loads(line)
    event |= {"event_at": _ms(event["event_at"]), "received_at": _ms(event["received_at"])}
    if "value" in event:
        event["value"] = round(event["value"] * 10_000)
    return event


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
