"""`pathline replay --from --to`: a range of a topic in a database of its own."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.cli.apart import NotAnswered, ask
from pipeline.sources.kafka.partitions import Partitions, TopicPart, discover, time_ms
from pipeline.sources.kafka.place import parse_place
from tests.e2e.conftest import Stream, stream
from tests.e2e.runs import Place, Rows, same, until
from tests.kafka.test_runs import (
    PARTITIONS,
    SEED,
    SESSIONS,
    SMALL_STEPS,
    FromTopic,
    comparable,
    fill,
    live_run,
)
from tests.kafka.topics import Record, Topics
from tests.w1 import SPAN_MS, STARTED_MS, mapping_with_orders

__all__ = ["stream"]

FROM_MS, TO_MS = STARTED_MS + SPAN_MS // 4, STARTED_MS + SPAN_MS // 2


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


RANGE = ("--from", iso(FROM_MS), "--to", iso(TO_MS))


@dataclass(frozen=True)
class Part:
    """What the range is of one partition."""

    lines: list[bytes]
    first: int
    end: int


def part_of(file: Path) -> Part:
    """By the rule: from the first record of a time or later on, and before the first of the other."""
    lines = file.read_bytes().splitlines()
    at = [time_ms(json.loads(line)["ts"]) for line in lines]
    first = next(k for k, ms in enumerate(at) if ms >= FROM_MS)
    end = next(k for k, ms in enumerate(at) if ms >= TO_MS)
    return Part(lines[first:end], first, end)


@pytest.fixture(scope="module")
def expected(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What files leave that hold exactly the range."""
    folder = tmp_path_factory.mktemp("range")
    files = []
    for file in stream(SESSIONS, SEED, PARTITIONS):
        files.append(folder / file.name)
        files[-1].write_bytes(b"\n".join(part_of(file).lines) + b"\n")
    options = (
        "--journey", "checkout", "--mapping", mapping_with_orders(folder),
        "--partitioned-by", "visitor", "--until-drained",
    )  # fmt: skip
    place = Place(folder, tuple(files), options)
    place.run().clean()
    return comparable(place.rows())


@pytest.fixture
def range_of(broker: Topics, stream: Stream, tmp_path: Path) -> Callable[..., FromTopic]:
    """A replay of the range, of a topic that holds more on either side."""
    topic = fill(broker, stream(SESSIONS, SEED, PARTITIONS))

    def make(*more: str, command: tuple[str, ...] = ("replay", *RANGE)) -> FromTopic:
        options = (
            "--journey",
            "checkout",
            "--mapping",
            mapping_with_orders(tmp_path),
            "--epoch",
            "100ms",
            *more,
        )
        source = f"kafka://{broker.servers}/{topic}"
        return FromTopic(tmp_path, (source,), options, env=SMALL_STEPS, command=command)  # type: ignore[arg-type]

    return make


def test_a_range_gives_the_rows_of_files_that_hold_just_that(
    range_of: Callable[..., FromTopic], stream: Stream, expected: Rows
) -> None:
    place = range_of()
    said = place.run().clean().said
    parts = [part_of(file) for file in stream(SESSIONS, SEED, PARTITIONS)]
    assert place.board("received") == [len(part.lines) for part in parts]
    assert "finished: " in said, "there is never more of it"
    same(comparable(place.rows()), expected)
    found = Partitions(place.state / "partitions.json").read()
    assert [(part.offset, part.end) for part in found] == [(part.first, part.end) for part in parts]


def test_a_killed_range_ends_where_it_was_to_end(
    range_of: Callable[..., FromTopic], broker: Topics, stream: Stream, expected: Rows
) -> None:
    place = range_of("--workers", "2")
    with place.in_the_middle(300) as running:
        running.signal(signal.SIGKILL)
        running.ended()
    topic = place.files[0].rsplit("/", 1)[1]  # type: ignore[attr-defined]
    line = stream(SESSIONS, SEED, PARTITIONS)[0].read_bytes().splitlines()[0]
    # what comes now bears a time of the range, and a partition is new: neither is part of what has begun
    broker.produce(topic, [Record(line, partition=0, timestamp_ms=TO_MS - 1)])
    broker.add_partitions(topic, PARTITIONS + 1)
    place.run().clean()
    same(comparable(place.rows()), expected)
    place.run("--to", iso(TO_MS + 1)).refused("belongs to another stream", iso(TO_MS + 1))


def test_what_was_rejected_outside_of_the_range_is_not_taken_for_accepted(
    broker: Topics, stream: Stream, tmp_path: Path
) -> None:
    lines = stream(SESSIONS, SEED, 1)[0].read_bytes().splitlines()
    topic = broker.topic(1)
    at = [time_ms(json.loads(line)["ts"]) for line in lines]
    spoilt = [b"hello" if k % 100 == 7 else line for k, line in enumerate(lines)]
    broker.produce(
        topic, [Record(line, partition=0, timestamp_ms=ms) for line, ms in zip(spoilt, at, strict=True)]
    )
    source = f"kafka://{broker.servers}/{topic}"
    old = FromTopic(tmp_path / "old", (source,), ("--until-drained",), partitions=1)  # type: ignore[arg-type]
    old.folder.mkdir()
    old.run().clean()
    command = ("replay", "--rejects", "--of", old.dsn, *RANGE)
    place = replace(old, folder=tmp_path / "again", options=(), command=command)
    place.folder.mkdir()
    said = place.run().clean().said
    first = next(k for k, ms in enumerate(at) if ms >= FROM_MS)
    end = next(k for k, ms in enumerate(at) if ms >= TO_MS)
    inside = [k for k in range(first, end) if k % 100 == 7]
    total = sum(k % 100 == 7 for k in range(len(lines)))
    (row,) = [line.split() for line in said.splitlines() if line.startswith("not_json ")]
    assert row[1:] == [
        str(total), "0", "0", str(len(inside)), str(total - len(inside)), f"{topic}:0:{inside[0]}",
    ]  # fmt: skip


def test_the_late_records_of_a_topic_take_their_places(
    broker: Topics, stream: Stream, tmp_path: Path
) -> None:
    lines = stream(300, SEED, 1)[0].read_bytes().splitlines()
    lines = [*lines[50:], *lines[:50]]  # the first come last
    topic = broker.topic(1)
    broker.produce(topic, [Record(one, timestamp_ms=time_ms(json.loads(one)["ts"])) for one in lines])
    source = f"kafka://{broker.servers}/{topic}"
    old = FromTopic(tmp_path / "old", (source,), ("--until-drained",), partitions=1)  # type: ignore[arg-type]
    old.folder.mkdir()
    old.run().clean()
    place = replace(old, folder=tmp_path / "again", options=(), command=("replay", "--late", "--of", old.dsn))
    place.folder.mkdir()
    said = place.run().clean().said
    assert "late now: 0 records, of 50 before" in said
    assert f"{len(lines)} of {len(lines)} records accepted".replace(",", "") in said.replace(",", "")


def late_records(dsn: str) -> int:
    """What a database that a run has open says; 0 until it is served."""
    with suppress(NotAnswered):
        return len(ask(dsn, ("late_positions",))[0])
    return 0


def test_the_run_may_go_on_meanwhile(broker: Topics, stream: Stream, tmp_path: Path) -> None:
    lines = stream(300, SEED, 1)[0].read_bytes().splitlines()
    spoilt = [b"hello", *lines[50:], *lines[:50]]  # the first come last
    topic = broker.topic(1)
    broker.produce(topic, spoilt)
    source = f"kafka://{broker.servers}/{topic}"
    options = ("--epoch", "200ms", "--idle-after", "1h")
    old = FromTopic(tmp_path / "old", (source,), options, partitions=1)  # type: ignore[arg-type]
    old.folder.mkdir()
    command = ("replay", "--late", "--rejects", "--of", old.dsn)
    place = replace(old, folder=tmp_path / "again", command=command)
    place.folder.mkdir()
    with live_run(old) as running:
        until(lambda: sum(old.board("received")) == len(spoilt), "all records")
        until(lambda: late_records(old.dsn) == 50, "the late ones in the database")
        said = place.run().clean().said
        assert "late now: 0 records, of 50 before" in said
        assert "rejected (1 not_json): read again" in said
        running.signal(signal.SIGTERM)
        running.ended().clean()


def test_a_partition_without_messages_of_the_range_ends_at_once(broker: Topics) -> None:
    topic = broker.topic(2)
    broker.produce(topic, [Record(b"{}", partition=0, timestamp_ms=ms) for ms in (1_000, 2_000, 3_000)])
    place = parse_place(f"kafka://{broker.servers}/{topic}", environment={})
    assert discover(place, [], iso(2_000), topic, iso(3_000)) == [
        TopicPart(topic, 0, 1, end=2),
        TopicPart(topic, 1, 0, end=0),
    ]
    assert discover(place, [], iso(3_500), topic, iso(4_000))[0] == TopicPart(topic, 0, 3, end=3)
    assert discover(place, [], "earliest", topic, iso(9_000))[0] == TopicPart(topic, 0, 0, end=3)


def test_a_range_whose_end_is_to_come_is_refused(range_of: Callable[..., FromTopic]) -> None:
    soon = iso(int(time.time() * 1000) + 3_600_000)
    place = range_of(command=("replay", "--from", iso(FROM_MS), "--to", soon))
    place.run().refused("is to come")
    assert not (place.state / "deployment.json").exists()


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert time_ms("1970-01-01T00:00:01") == 1_000
        assert time_ms("1970-01-01T01:00:01+01:00") == 1_000
    finally:
        monkeypatch.undo()
        time.tzset()
