"""Runs from a real topic: the rows of a run from files, whatever was killed on the way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.runtime.board import Board
from tests.e2e.conftest import Stream, stream
from tests.e2e.runs import Place, Rows, Running, pathline, same, until
from tests.kafka.broker import Broker
from tests.kafka.topics import Record, Topics
from tests.w1 import mapping_with_orders

__all__ = ["stream"]

SESSIONS, SEED, PARTITIONS = 700, 5, 3
SMALL_STEPS = {"PATHLINE_BATCH_ROWS": "100"}
BY_POSITION = ("conservation", "events", "unknown_events", "late_events", "rejected_events", "incidents")
"""Views that name the source and its positions: a topic counts otherwise than a file."""


@dataclass(frozen=True)
class FromTopic(Place):
    """A deployment that reads a topic."""

    partitions: int = PARTITIONS

    def board(self, column: str) -> list[int]:
        with suppress(OSError, ValueError):
            return Board.open(self.state / "board.bin", self.partitions).column(column)
        return []


def fill(broker: Topics, files: tuple[Path, ...]) -> str:
    """A topic with a partition for each file; the broker's time of a record is that of its event."""
    topic = broker.topic(len(files))
    for number, file in enumerate(files):
        records = []
        for line in file.read_bytes().splitlines():
            at = datetime.fromisoformat(json.loads(line)["ts"])
            records.append(Record(line, partition=number, timestamp_ms=int(at.timestamp() * 1000)))
        broker.produce(topic, records)
    return topic


@pytest.fixture(scope="module")
def expected(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What the same records leave that lie in files."""
    folder = tmp_path_factory.mktemp("files")
    options = (
        "--journey", "checkout", "--mapping", mapping_with_orders(folder),
        "--partitioned-by", "visitor", "--until-drained",
    )  # fmt: skip
    place = Place(folder, stream(SESSIONS, SEED, PARTITIONS), options)
    place.run().clean()
    return comparable(place.rows())


def comparable(rows: Rows) -> Rows:
    return {view: lines for view, lines in rows.items() if view not in BY_POSITION}


@pytest.fixture
def deployment(broker: Topics, stream: Stream, tmp_path: Path) -> Callable[..., FromTopic]:
    """A deployment that reads a topic of its own, all that is in it."""
    topic = fill(broker, stream(SESSIONS, SEED, PARTITIONS))

    def make(*more: str) -> FromTopic:
        options = (
            "--journey", "checkout", "--mapping", mapping_with_orders(tmp_path),
            "--until-drained", "--epoch", "100ms", *more,
        )  # fmt: skip
        source = f"kafka://{broker.servers}/{topic}"
        return FromTopic(tmp_path, (source,), options, env=SMALL_STEPS)  # type: ignore[arg-type]

    return make


def test_a_topic_gives_the_rows_of_its_files(deployment: Callable[..., FromTopic], expected: Rows) -> None:
    place = deployment()
    place.run().clean()
    rows = place.rows()
    same(comparable(rows), expected)
    balance = [json.loads(row)["balance"] for row in rows["conservation"]]
    assert balance
    assert not any(balance)


def test_killed_runs_of_two_processes_lose_and_double_nothing(
    deployment: Callable[..., FromTopic], expected: Rows
) -> None:
    place = deployment("--workers", "2")
    whole = sum(len(lines) for view, lines in expected.items() if view == "sessions")
    assert whole
    for records in (500, 1_100, 1_700):
        with place.in_the_middle(records) as running:
            running.signal(signal.SIGKILL)
            running.ended()
    place.run().clean()
    same(comparable(place.rows()), expected)


def test_a_broker_that_dies_and_comes_back_costs_nothing(
    killable: Broker, deployment: Callable[..., FromTopic], expected: Rows
) -> None:
    place = deployment()
    with place.in_the_middle(1_000) as running:
        killable.kill()
        killable.restart()
        running.ended().clean()
    same(comparable(place.rows()), expected)


def test_what_is_wrong_with_a_topic_is_said_before_anything_starts(broker: Topics, tmp_path: Path) -> None:
    where = ("--state", tmp_path / "state", "--clickhouse", "null:")  # a slip begins no deployment
    missing = f"kafka://{broker.servers}/nothing-here"
    pathline("run", "--input", missing, *where).refused("there is no topic nothing-here")
    pathline("run", "--input", "kafka://127.0.0.1:1/clicks", *where).refused("no broker answers")
    secret = f"kafka://{broker.servers}/clicks?sasl.password=hush"
    ended = pathline("run", "--input", secret, *where).refused("sasl.password", "--kafka-config")
    assert "hush" not in ended.said


def live(broker: Topics, topic: str, folder: Path, *more: str, partitions: int = PARTITIONS) -> FromTopic:
    """A deployment that goes on for ever."""
    options = ("--journey", "checkout", "--mapping", mapping_with_orders(folder), "--epoch", "200ms", *more)
    source = f"kafka://{broker.servers}/{topic}"
    return FromTopic(folder, (source,), options, partitions=partitions)  # type: ignore[arg-type]


def test_a_live_run_reads_on_lets_silence_pass_and_takes_new_partitions_in(
    broker: Topics, stream: Stream, tmp_path: Path
) -> None:
    files = stream(SESSIONS, SEED, PARTITIONS)
    topic = fill(broker, files[:1])
    first, second = (len(file.read_bytes().splitlines()) for file in files[:2])
    place = live(broker, topic, tmp_path, "--idle-after", "1s", "--listen", "none", partitions=1)
    with live_run(place) as running:
        until(lambda: sum(place.board("received")) == first, "the first records")
        silent = place.board("watermark_ms")[0]
        until(lambda: place.board("watermark_ms")[0] > silent, "time to pass in silence")
        broker.add_partitions(topic, 2)
        records = [Record(line, partition=1) for line in files[1].read_bytes().splitlines()]
        broker.produce(topic, records, **{"client.id": "knows of both"})
        grown = FromTopic(place.folder, place.files, partitions=2)
        until(lambda: grown.board("received") == [first, second], "the new partition")
        running.signal(signal.SIGTERM)
        ended = running.ended().clean()
    assert "stopped cleanly" in ended.said
    rows = place.rows()
    (incident,) = (json.loads(row) for row in rows["incidents"])
    assert (incident["kind"], incident["partition"]) == ("partition_added", 1)
    counted = [json.loads(row) for row in rows["conservation"]]
    assert sum(row["received"] for row in counted) == first + second
    assert not any(row["balance"] for row in counted)


def test_a_live_run_whose_process_is_killed_starts_again_by_itself(
    broker: Topics, stream: Stream, tmp_path: Path, expected: Rows
) -> None:
    topic = fill(broker, stream(SESSIONS, SEED, PARTITIONS))
    place = live(broker, topic, tmp_path, "--idle-after", "1h", "--listen", "none", "--workers", "2")
    whole = sum(len(file.read_bytes().splitlines()) for file in stream(SESSIONS, SEED, PARTITIONS))
    with live_run(place) as running:
        until(lambda: sum(place.board("received")) > 200, "some records")
        killed = running.workers()
        os.kill(killed[0], signal.SIGKILL)
        # or a stop could come between the death and the new beginning: that leaves a run that failed
        until(lambda: len(set(running.workers()) - set(killed)) == 2, "both workers anew")
        until(lambda: sum(place.board("received")) == whole, "all records")
        running.signal(signal.SIGTERM)
        ended = running.ended().clean()
    assert "was killed by SIGKILL" in ended.said
    drained = pathline_drained(place)
    same(comparable(drained), expected)


def pathline_drained(place: FromTopic) -> Rows:
    """The rows once time stands where it stood for the files: at the end of what there is."""
    FromTopic(place.folder, place.files, (*place.options, "--until-drained")).run().clean()
    return place.rows()


@contextmanager
def live_run(place: FromTopic) -> Iterator[Running]:
    running = place.start()
    try:
        yield running
    finally:
        running.close()
