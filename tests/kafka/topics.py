"""What tests do with topics, wherever the broker is: make them, write, read, forget."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic, OffsetSpec

ANSWER_SECONDS_MAX: Final = 30.0
ANY_PARTITION: Final = -1


@dataclass(frozen=True)
class Record:
    """What is produced. Without a time it is now; without a partition the key decides."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int = 0
    partition: int = ANY_PARTITION


@dataclass(frozen=True)
class Found:
    """What was consumed."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int


@dataclass
class Topics:
    """The topics of a broker at `servers`."""

    servers: str
    _admin_client: AdminClient | None = field(default=None, init=False, repr=False)
    _producers: dict[str, Producer] = field(default_factory=dict, init=False, repr=False)

    @property
    def admin(self) -> AdminClient:
        """For what has no method here. One for all, it finds a restarted broker by itself."""
        if self._admin_client is None:
            self._admin_client = AdminClient(self._settings())
        return self._admin_client

    def answers(self, seconds: float, alive: Callable[[], bool] = lambda: True) -> bool:
        """Whether it answers, for every partition that it has, within so many seconds and while `alive`."""
        until = time.monotonic() + seconds
        while alive() and time.monotonic() < until:
            try:
                known = self.admin.list_topics(timeout=1)
                places = [
                    TopicPartition(name, one)
                    for name, topic in known.topics.items()
                    for one in topic.partitions
                ]
                # A broker that was restarted names itself as leader a moment before it is.
                _done(
                    self.admin.list_offsets({place: OffsetSpec.latest() for place in places})
                    if places
                    else {}
                )
            except KafkaException:
                time.sleep(0.1)
            else:
                return bool(known.brokers)
        return False

    def topic(self, partitions: int = 1, **config: str | int) -> str:
        """Makes a topic with a name of its own; `retention_ms=1` is the topic's `retention.ms`."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        self.create_topic(name, partitions, {key.replace("_", "."): value for key, value in config.items()})
        return name

    def create_topic(
        self, name: str, partitions: int = 1, config: Mapping[str, str | int] | None = None
    ) -> None:
        """Makes the topic; usable when this returns."""
        told = {key: str(value) for key, value in (config or {}).items()}
        _done(self.admin.create_topics([NewTopic(name, partitions, -1, config=told)]))
        self._await_partitions(name, partitions)

    def delete_topic(self, name: str) -> None:
        """Forgets the topic and all that is in it."""
        _done(self.admin.delete_topics([name]))

    def add_partitions(self, topic: str, total: int) -> None:
        """Raises the number of partitions to `total`."""
        _done(self.admin.create_partitions([NewPartitions(topic, total)]))
        self._await_partitions(topic, total)

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Forgets what is before `offset`, as retention would."""
        _done(self.admin.delete_records([TopicPartition(topic, partition, offset)]))

    def partitions(self, topic: str) -> int:
        """How many there are."""
        return len(self.admin.list_topics(topic, timeout=ANSWER_SECONDS_MAX).topics[topic].partitions)

    def watermarks(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """The first offset that is kept, and the one that comes next."""
        consumer = Consumer(self._settings({"group.id": "tests"}))
        try:
            low, high = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=ANSWER_SECONDS_MAX
            )
            return low, high
        finally:
            consumer.close()

    def produce(
        self, topic: str, records: Iterable[Record | bytes], **settings: Any
    ) -> list[tuple[int, int]]:
        """Writes records, acknowledged on return: the (partition, offset) of each, in their order."""
        told = [Record(record) if isinstance(record, bytes) else record for record in records]
        places: list[tuple[int, int]] = [(-1, -1)] * len(told)
        errors: list[Any] = []
        producer = self._producer(settings)
        for number, record in enumerate(told):

            def stored(error: Any, message: Message, number: int = number) -> None:
                if error is not None:
                    errors.append(error)
                else:
                    places[number] = (message.partition() or 0, message.offset() or 0)

            producer.produce(
                topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp=record.timestamp_ms,
                headers=list(record.headers),
                on_delivery=stored,
            )
            if number % 1000 == 0:
                producer.poll(0)
        left = producer.flush(2 * ANSWER_SECONDS_MAX)
        assert not left, f"{left} records were not acknowledged"
        assert not errors, errors[0]
        return places

    def read(self, topic: str) -> list[Found]:
        """All that is in the topic now, partition by partition."""
        consumer = Consumer(self._settings({"group.id": "tests", "enable.auto.commit": False}))
        try:
            return _read(consumer, topic, range(self.partitions(topic)))
        finally:
            consumer.close()

    def _settings(self, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Of a client: quiet, and soon back when the broker is."""
        common = {"bootstrap.servers": self.servers, "log_level": 0, "reconnect.backoff.max.ms": 500}
        return common | dict(more or {})

    def _producer(self, settings: Mapping[str, Any]) -> Producer:
        """One for all calls with the same settings: the first message of each waits for a producer's id."""
        name = repr(sorted(settings.items()))
        if name not in self._producers:
            common = {"enable.idempotence": True, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
            self._producers[name] = Producer(self._settings(common | dict(settings)))
        return self._producers[name]

    def _await_partitions(self, topic: str, total: int) -> None:
        """Until each has a leader: the broker confirms before it has told itself."""
        until = time.monotonic() + ANSWER_SECONDS_MAX
        while time.monotonic() < until:
            known = self.admin.list_topics(topic, timeout=ANSWER_SECONDS_MAX).topics[topic].partitions
            if len(known) == total and all(one.leader >= 0 for one in known.values()):
                return
            time.sleep(0.02)
        raise AssertionError(f"{topic} has not {total} partitions after {ANSWER_SECONDS_MAX:g} s")


def _read(consumer: Consumer, topic: str, partitions: Iterable[int]) -> list[Found]:
    kept = {
        partition: consumer.get_watermark_offsets(
            TopicPartition(topic, partition), timeout=ANSWER_SECONDS_MAX
        )
        for partition in partitions
    }
    wanted = {partition: high for partition, (low, high) in kept.items() if low < high}
    consumer.assign([TopicPartition(topic, partition, kept[partition][0]) for partition in wanted])
    found: list[Found] = []
    until = time.monotonic() + 2 * ANSWER_SECONDS_MAX
    while wanted:
        assert time.monotonic() < until, f"{topic}: partitions {sorted(wanted)} were not read to their ends"
        for message in consumer.consume(1000, timeout=0.05):
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            one = _found(message)
            if one.partition not in wanted:
                continue  # came after the end that was asked for
            found.append(one)
            if one.offset >= wanted[one.partition] - 1:
                del wanted[one.partition]
    return sorted(found, key=lambda one: (one.partition, one.offset))


def _found(message: Message) -> Found:
    return Found(
        message.partition() or 0,
        message.offset() or 0,
        message.key(),  # type: ignore[arg-type]
        message.value(),  # type: ignore[arg-type]
        dict(message.headers() or ()),  # type: ignore[arg-type]
        message.timestamp()[1],
    )


def _done(futures: Mapping[Any, Any]) -> None:
    for future in futures.values():
        future.result(ANSWER_SECONDS_MAX)
