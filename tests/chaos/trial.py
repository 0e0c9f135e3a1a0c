"""A chaos run from begin to end: a stream is produced, the run is killed, and what is left is compared."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos import oracle
from tests.chaos.beside import MESSAGE_BYTES_MAX, Asker, Feed
from tests.chaos.killer import Dealt, Killer, plan
from tests.chaos.left import left
from tests.chaos.run import Deployment, Operator
from tests.chaos.stream import Stream, stream
from tests.e2e.runs import Rows, same
from tests.kafka.broker import Broker
from tests.kafka.docker import DockerBroker

AnyBroker = Broker | DockerBroker

PARTITIONS: Final = 4
PROCESSES: Final = 2
HURRIED: Final = ("--epoch", "100ms", "--workers", str(PROCESSES))
SMALL_STEPS: Final = {"PATHLINE_BATCH_ROWS": "40", "PATHLINE_LOOK_AHEAD": "12h"}
"""Small blocks; by the usual look-ahead a partition would wait for the others after each."""


@dataclass(frozen=True)
class Asked:
    """What to do. Everything that is drawn is drawn from the seed."""

    kills: int
    seed: int
    records_per_kill: int = 250
    partitioned_by: str = "visitor"


@dataclass
class Outcome:
    """What was done and found."""

    kinds: Counter[str] = field(default_factory=Counter)
    partitions: list[int] = field(default_factory=list)
    dealt: list[Dealt] = field(default_factory=list)
    victims: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    refused: int = 0
    gave_up: int = 0
    restarts: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    lost_questions: int = 0
    killing_seconds: float = 0.0
    calm_seconds: float = 0.0
    views: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return sum(self.partitions)


def trial(broker: AnyBroker, folder: Path, asked: Asked, tell: Callable[[str], None] = print) -> Outcome:
    """Raises AssertionError with what differs, where something does."""
    said = Outcome()
    whole = stream(asked.seed, (asked.kills + 2) * asked.records_per_kill, PARTITIONS)
    said.kinds, said.partitions = whole.kinds, [len(own) for own in whole.values()]
    topic = broker.topic(PARTITIONS, max_message_bytes=MESSAGE_BYTES_MAX)
    tell(f"{said.records:,} records in {PARTITIONS} partitions; {dict(said.kinds)}")
    killed = _deployment(broker, topic, folder / "killed", asked, *HURRIED)
    began = time.monotonic()
    _kill_on_and_on(broker, topic, killed, whole, asked, said, tell)
    found = left(killed.dsn, folder / "killed-left")
    said.killing_seconds, began = time.monotonic() - began, time.monotonic()
    in_topic = [(one.partition, one.value) for one in broker.read(topic)]
    sent = [(number, value) for number, own in enumerate(whole.values()) for value in own]
    assert in_topic == sent, "the topic does not hold what was sent: nothing can be said"
    calm = _deployment(broker, topic, folder / "calm", asked)
    calm.drain()
    wanted = left(calm.dsn, folder / "calm-left")
    said.calm_seconds = time.monotonic() - began
    tell(f"fault-free run: {said.calm_seconds:.0f} s")
    balanced(wanted.views, said.partitions)
    same(found.views, wanted.views)
    balanced(found.views, said.partitions)
    assert not wanted.views["incidents"] + wanted.views["limits"], "records were lost, or something forgotten"
    said.views = {view: len(rows) for view, rows in found.views.items()}
    tell(f"views equal to the fault-free run: {said.views}")
    said.tables = oracle.compare(found, whole, topic, asked.partitioned_by)
    tell(f"tables equal to the oracle: {said.tables}")
    return said


def _options(asked: Asked) -> tuple[str, ...]:
    # Silence must not pass time: how long it lasts is up to the machine, and would be part of the input.
    return (
        "--mapping", "canonical", "--journey", *oracle.JOURNEYS, "--store-events",
        "--partitioned-by", asked.partitioned_by, "--idle-after", "24h",
    )  # fmt: skip


def _deployment(broker: AnyBroker, topic: str, folder: Path, asked: Asked, *hurried: str) -> Deployment:
    """One that is `hurried` writes small epochs, small blocks and segments even of small states."""
    folder.mkdir(parents=True)
    source = f"kafka://{broker.servers}/{topic}"
    return Deployment(
        folder,
        (source,),  # type: ignore[arg-type]
        (*_options(asked), *hurried),
        env=SMALL_STEPS if hurried else {},
        partitions=PARTITIONS,
        logs_small_states=bool(hurried),
    )


def _kill_on_and_on(
    broker: AnyBroker,
    topic: str,
    place: Deployment,
    whole: Stream,
    asked: Asked,
    said: Outcome,
    tell: Callable[[str], None],
) -> None:
    """The killed run, up to the end of the topic."""
    feed = Feed(broker, topic, whole)
    operator = Operator(place, lambda: killer.may_find_no_broker)
    killer = Killer(operator, broker, feed)
    asker = Asker(operator.bridge, lambda: feed.asked)
    operator.start()
    try:
        last = 1
        with feed, asker:
            for dealt in killer.deal(plan(asked.seed, asked.kills, said.records), said.records):
                said.dealt.append(dealt)
                last = min(max(last, dealt.received + 1), said.records)
                tell(line(dealt, asked.kills))
                asker.check()
            killer.broker_is_back()
            feed.allow(said.records)
            operator.until(lambda: killer.is_at(last), "some records after the last kill")
            operator.until(lambda: feed.is_done or feed.check(), "the last records to be produced")
        operator.stop()
    finally:
        operator.close()
        killer.settle()
    said.restarts, said.starts = operator.restarts(), operator.starts
    said.refused, said.gave_up = operator.refused, operator.gave_up
    said.answers, said.lost_questions, said.victims = asker.answers, killer.lost_questions, killer.victims
    place.drain()


def line(dealt: Dealt, kills: int) -> str:
    """A kill in a line."""
    when = "right after it" if dealt.kill.at_records is None else f"due at {dealt.kill.at_records:,}"
    where = f"{dealt.received:7,} records" if dealt.received else "       starting"
    return (
        f"kill {dealt.kill.number:3}/{kills} {dealt.seconds:6.1f} s  {where} ({when}, "
        f"+{dealt.kill.after_seconds:.2f} s): {dealt.what}"
    )


def balanced(rows: Rows, received: list[int]) -> None:
    """Every minute balances, and all records of each partition were received: counted before decoding."""
    counted: Counter[int] = Counter()
    for row in map(json.loads, rows["conservation"]):
        assert row["balance"] == 0, f"bi.conservation does not balance: {row}"
        counted[row["partition"]] += row["received"]
    found = [counted[number] for number in range(len(received))]
    assert found == received, f"bi.conservation has received {found}, and {received} were produced"
