"""Topics read for real: every record once, from where a snapshot says, silence and gaps told as they are."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.sources.blocks import Block, Gap, NothingYet
from pipeline.sources.files import BadInput
from pipeline.sources.kafka import consumer
from pipeline.sources.kafka.consumer import Brokers
from pipeline.sources.kafka.headers import HEADERS_BYTES_MAX
from pipeline.sources.kafka.partitions import TopicPart, Unreachable, discover
from pipeline.sources.kafka.place import BadPlace, parse_place
from pipeline.sources.kafka.reader import KafkaReader
from schemas.mappings import load_mapping
from tests.harness import AS_OF_MS, line
from tests.kafka.broker import Broker
from tests.kafka.topics import Record, Topics
from tests.stories import MIDNIGHT

PATIENCE_SECONDS = 60.0
GROUP = "readers"


def record(number: int, partition: int = 0) -> Record:
    event = {"event_at": MIDNIGHT + 1000 * number, "event": "view", "visitor_id": f"v{number}"}
    return Record(line(event), partition=partition, timestamp_ms=MIDNIGHT + 1000 * number + 7)


class Reading:
    """A process that reads some partitions of a topic."""

    def __init__(self, broker: Topics, topic: str, *, until_end: bool = True) -> None:
        self.place = parse_place(f"kafka://{broker.servers}/{topic}", environment={})
        self.brokers = Brokers(self.place, GROUP)
        self.until_end = until_end
        self.readers: list[KafkaReader] = []

    def open(self, number: int, offset: int = 0, state: dict[str, Any] | None = None) -> KafkaReader:
        decoder = Decoder(load_mapping("canonical"), ("received_at",), TimeBounds(AS_OF_MS))
        part = TopicPart(self.place.topics[0], number, offset)
        reader = KafkaReader(part, self.brokers, decoder, until_end=self.until_end, takes_timestamps=True)
        if state:
            reader.load(state)
        self.readers.append(reader)
        return reader

    def close(self) -> None:
        for reader in self.readers:
            reader.close()


@pytest.fixture
def reading(broker: Topics) -> Iterator[Callable[..., Reading]]:
    made: list[Reading] = []

    def make(topic: str, **more: Any) -> Reading:
        made.append(Reading(broker, topic, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def blocks(reader: KafkaReader, rows_max: int = 1000, least: int | None = None) -> list[Block]:
    """All blocks until the end, or until there are so many records."""
    found: list[Block] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    while least is None or sum(len(one.position) for one in found) < least:
        assert time.monotonic() < deadline, f"waited in vain, found {len(found)} blocks"
        block = reader.read(rows_max)
        if block is None:
            break
        if isinstance(block, NothingYet):
            time.sleep(0.01)
        else:
            found.append(block)
    return found


def positions(found: list[Block]) -> list[int]:
    return [int(at) for block in found for at in block.position]


def visitors(found: list[Block]) -> list[str]:
    return [name for block in found for name in block.decoded.batch.column("visitor_id").to_pylist()]


def until(condition: Callable[[], Any], reader: KafkaReader) -> None:
    """Reads on until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        assert isinstance(reader.read(100), NothingYet)
        time.sleep(0.02)


def test_every_record_once_with_its_offset_and_its_time(
    broker: Topics, reading: Callable[..., Reading]
) -> None:
    topic = broker.topic(2)
    broker.produce(topic, [record(number, number % 2) for number in range(2_500)])
    own = reading(topic)
    first, second = own.open(0), own.open(1)
    found = [blocks(first, 300), blocks(second, 300)]
    for parity, its in enumerate(found):
        assert positions(its) == list(range(1_250))
        assert visitors(its) == [f"v{number}" for number in range(parity, 2_500, 2)]
        assert max(len(block.position) for block in its) <= 300
    received = found[1][0].decoded.batch.column("received_at").cast("int64").to_pylist()
    assert received[:2] == [MIDNIGHT + 1_007, MIDNIGHT + 3_007]


def test_headers_come_along_for_whoever_asks(broker: Topics, reading: Callable[..., Reading]) -> None:
    topic = broker.topic()
    many = [(f"h{number}", b"x" * 1000) for number in range(20)]
    sent: list[list[tuple[str, bytes]]] = [[("trace", b"a1"), ("trace", b"a2"), ("raw", b"\xff")], [], many]
    broker.produce(topic, [replace(record(number), headers=its) for number, its in enumerate(sent)])
    (block,) = blocks(reading(topic).open(0))
    assert block.decoded.headers(0) == '[["trace","a1"],["trace","a2"],["raw",{"base64":"/w=="}]]'
    assert block.decoded.headers(1) == ""
    told = json.loads(block.decoded.headers(2))
    assert told[0] == ["h0", "x" * 1000]
    assert told[-1] == {"left_out": 21 - len(told)}
    assert len(block.decoded.headers(2)) <= HEADERS_BYTES_MAX + 20


def test_it_goes_on_where_a_snapshot_was_taken(broker: Topics, reading: Callable[..., Reading]) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(number) for number in range(100)])
    reader = reading(topic).open(0)
    before = blocks(reader, 30, least=60)
    after = blocks(reading(topic).open(0, state=reader.dump()))
    assert positions(before) + positions(after) == list(range(100))


def test_the_end_is_where_the_topic_ended_when_it_was_opened(
    broker: Topics, reading: Callable[..., Reading]
) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(number) for number in range(10)])
    reader = reading(topic).open(0)
    found = blocks(reader, 5, least=5)
    broker.produce(topic, [record(number) for number in range(10, 20)])
    assert positions(found + blocks(reader)) == list(range(10))


def test_of_transactions_only_what_was_committed_and_the_end_is_met_all_the_same(
    broker: Topics, reading: Callable[..., Reading]
) -> None:
    topic = broker.topic()
    producer = Producer({"bootstrap.servers": broker.servers, "transactional.id": topic, "log_level": 0})
    producer.init_transactions()
    for number, commits in enumerate([True, False, True, False]):
        producer.begin_transaction()
        producer.produce(topic, record(number).value)
        producer.flush()
        (producer.commit_transaction if commits else producer.abort_transaction)()
    found = blocks(reading(topic).open(0))
    assert visitors(found) == ["v0", "v2"]
    assert positions(found) == [0, 4]  # each transaction ends in a record that nobody sees


def test_what_retention_took_is_told_and_reading_goes_on(
    broker: Topics, reading: Callable[..., Reading]
) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(number) for number in range(50)])
    broker.delete_before(topic, 0, 20)
    reader = reading(topic).open(0, offset=5)
    assert positions(blocks(reader)) == list(range(20, 50))
    assert reader.gaps() == [Gap(5, 20)]
    assert reader.gaps() == []


def test_a_topic_that_was_made_anew_is_refused(broker: Topics, reading: Callable[..., Reading]) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(0)])
    with pytest.raises(BadInput, match="ends at 1, but was read up to 70"):
        blocks(reading(topic, until_end=False).open(0, offset=70))


def test_silence_is_what_the_broker_confirms(killable: Broker, reading: Callable[..., Reading]) -> None:
    topic = killable.topic(2)
    killable.produce(topic, [record(number) for number in range(5)])
    reader = reading(topic, until_end=False).open(0)
    began = time.time() * 1000
    assert reader.at_end_ms(0.5) is None
    blocks(reader, least=5)
    until(lambda: reader.at_end_ms(0.5), reader)
    confirmed = reader.at_end_ms(0.5)
    assert confirmed is not None
    assert began < confirmed <= time.time() * 1000
    killable.produce(topic, [record(9)])
    blocks(reader, least=1)
    assert reader.at_end_ms(0.5) is None
    killable.kill()
    assert isinstance(reader.read(10), NothingYet)
    gone = time.time() * 1000
    time.sleep(2.5)  # longer than the silence that would do if the broker answered
    last = reader.at_end_ms(0.5)
    assert last is None or last <= gone
    killable.restart()
    until(lambda: (reader.at_end_ms(0.5) or 0) > gone, reader)


def test_a_partition_that_runs_ahead_is_paused_not_lost(
    broker: Topics, reading: Callable[..., Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "AHEAD_BYTES_MAX", 20_000)
    topic = broker.topic(2)
    broker.produce(topic, [record(number, number % 2) for number in range(6_000)])
    own = reading(topic)
    first, second = own.open(0), own.open(1)
    second.read(1)
    assert positions(blocks(first, 500)) == list(range(3_000))
    assert positions(blocks(second, 500)) == list(range(3_000))


def test_the_groups_offset_follows_the_snapshots(broker: Topics, reading: Callable[..., Reading]) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(number) for number in range(30)])
    reader = reading(topic).open(0)
    assert committed(broker, topic) < 0
    for _ in range(3):  # a snapshot is told of when the next one is taken
        blocks(reader, 10, least=10)
        reader.kept()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while committed(broker, topic) != 20:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_ends_at_once_does_not_take_the_others_along(
    broker: Topics, reading: Callable[..., Reading]
) -> None:
    topic = broker.topic(2)
    broker.produce(topic, [record(number, 1) for number in range(10)])
    own = reading(topic)
    empty, full = own.open(0), own.open(1)
    assert blocks(empty) == []
    own.readers.remove(empty)
    empty.close()
    assert positions(blocks(full)) == list(range(10))


def committed(broker: Topics, topic: str) -> int:
    client = Consumer({"bootstrap.servers": broker.servers, "group.id": GROUP})
    try:
        (found,) = client.committed([TopicPartition(topic, 0)], timeout=30)
        return int(found.offset)
    except KafkaException:  # a broker that has just begun has no coordinator for a moment
        return -1
    finally:
        client.close()


@pytest.mark.parametrize(
    ("start", "offset"), [("earliest", 3), ("latest", 10), ("stored", 3), ("2026-01-01T00:00:06Z", 6)]
)
def test_where_a_deployment_begins(broker: Topics, start: str, offset: int) -> None:
    topic = broker.topic()
    broker.produce(topic, [record(number) for number in range(10)])
    broker.delete_before(topic, 0, 3)
    place = parse_place(f"kafka://{broker.servers}/{topic}", environment={})
    assert discover(place, [], start, topic) == [TopicPart(topic, 0, offset)]


def test_new_partitions_are_found_and_read_from_their_begin(broker: Topics) -> None:
    topic = broker.topic()
    place = parse_place(f"kafka://{broker.servers}/{topic}", environment={})
    known = discover(place, [], "latest", GROUP)
    broker.add_partitions(topic, 3)
    broker.produce(topic, [record(0, 2)])
    found = discover(place, known, "latest", GROUP)
    assert found == [*known, TopicPart(topic, 1, 0, is_new=True), TopicPart(topic, 2, 0, is_new=True)]


def test_a_topic_or_broker_that_is_not_there_is_said(broker: Topics) -> None:
    topic = broker.topic()
    with pytest.raises(BadPlace) as refused:
        discover(parse_place(f"kafka://{broker.servers}/{topic}x", environment={}), [], "earliest", GROUP)
    assert topic in refused.value.hint
    nobody = parse_place("kafka://127.0.0.1:1/clicks", environment={})
    consumer_seconds = time.monotonic()
    with pytest.raises(Unreachable, match="no broker answers"):
        discover(nobody, [], "earliest", GROUP)
    assert time.monotonic() - consumer_seconds < PATIENCE_SECONDS
