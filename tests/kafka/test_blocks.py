"""When records of a topic become a block: a reader alone, and what a broker would have sent."""

from __future__ import annotations

import json
import time
from typing import Any, cast

import pytest
from confluent_kafka import Message

from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import needed_fields
from pipeline.sources.blocks import NOTHING_YET, Block
from pipeline.sources.kafka import reader as reader_module
from pipeline.sources.kafka.consumer import Brokers, Pending
from pipeline.sources.kafka.partitions import TopicPart
from pipeline.sources.kafka.reader import KafkaReader
from schemas.mappings import load_mapping
from schemas.orders import USUAL
from tests.stories import SHOP

PART = TopicPart("clicks", 0, 0)


class Sent:
    """In place of the brokers: `records` messages have come since it was last asked."""

    def __init__(self) -> None:
        self.pending = Pending(PART, 0)
        self.records = 0
        self._offset = 0

    def join(self) -> None: ...

    def open(self, part: TopicPart, offset: int) -> Pending:
        return self.pending

    def poll(self) -> bool:
        if not self.records:
            return False
        self.pending.put([self._message() for _ in range(self.records)])
        self.records = 0
        return True

    def resume(self, pending: Pending) -> None: ...

    def _message(self) -> Message:
        self._offset += 1
        event = {"event_id": str(self._offset), "event_at": "2026-01-05T10:00:00Z", "event": "view"}
        value = json.dumps(event | {"visitor_id": "anna"}).encode()
        return Message(topic="clicks", partition=0, offset=self._offset - 1, value=value)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def reader_of(sent: Sent) -> KafkaReader:
    decoder = Decoder(load_mapping("canonical"), needed_fields((SHOP,), USUAL), TimeBounds(4_102_444_800_000))
    brokers = cast("Brokers", cast("Any", sent))
    return KafkaReader(PART, brokers, decoder, until_end=False, takes_timestamps=False)


def read(reader: KafkaReader, rows_max: int = 100) -> int | None:
    """How many records a block has; None where there is none yet."""
    block = reader.read(rows_max)
    if block is NOTHING_YET:
        return None
    assert isinstance(block, Block)
    return len(block.position)


def test_few_records_wait_for_more_after_a_block(clock: list[float]) -> None:
    sent = Sent()
    reader = reader_of(sent)
    sent.records = 3
    assert read(reader) == 3  # the first wait for nobody
    sent.records = 3
    assert read(reader) is None
    clock[0] += reader_module.LINGER_SECONDS / 2
    sent.records = 2
    assert read(reader) is None
    clock[0] += reader_module.LINGER_SECONDS / 2 + 0.001
    assert read(reader) == 5


def test_what_came_while_a_block_was_worked_off_has_waited_already(clock: list[float]) -> None:
    """It waited as long again, and under load that was a quarter of the time."""
    sent = Sent()
    reader = reader_of(sent)
    sent.records = 3
    assert read(reader) == 3
    clock[0] += 10 * reader_module.LINGER_SECONDS  # it is worked off
    sent.records = 7
    assert read(reader) == 7


def test_as_many_as_a_block_may_have_wait_for_nobody(clock: list[float]) -> None:
    sent = Sent()
    reader = reader_of(sent)
    sent.records = 5
    assert [read(reader, 2), read(reader, 2)] == [2, 2]
    assert read(reader, 2) is None
