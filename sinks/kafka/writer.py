"""The Kafka sink: what happens is told on topics. A block is done when each message is acknowledged."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from sinks.base import Deployment, SinkRefused, SinkUnavailable
from sinks.check import conform
from sinks.kafka.errors import CONNECT_HINTS, REFUSAL_HINTS, judged
from sinks.kafka.settings import kafka_target
from sinks.kafka.telling import Told, tell, topic_of
from sinks.kafka.topics import prepare, told_of

GRACE_SECONDS: Final = 10.0
"""The client gives up by itself when a delivery has timed out: it is a little slow to say so."""

CLOSE_SECONDS_MAX: Final = 2.0
POLL_EVERY: Final = 2_000
LOOK_EVERY_SECONDS: Final = 3.0
"""So often a topic that acknowledges nothing is looked for: the client itself waits for one that is gone."""

LOGGER: Final = logging.getLogger(__name__)
LOGGER.addHandler(
    logging.NullHandler()
)  # the client's own words, for whoever wants them; else it uses stderr


class KafkaSink:
    """Tells transitions, abandonments, their retractions and rejects; rows of other tables are not told.

    A message is told at least once, each time with the same `message_id`: a consumer that drops those it has
    seen reads each once. Messages of one key stay in order. Several deployments may share topics: a message
    names its own in the header `deployment`.
    """

    def __init__(self, dsn: str) -> None:
        self._target = kafka_target(dsn)
        self._producer: Any = None
        self._deployment = b""
        self._failed: KafkaError | None = None
        self._heard: KafkaError | None = None
        self._unusable: KafkaError | None = None
        self._suspected = False

    def __repr__(self) -> str:
        return f"KafkaSink({self._target.shown!r})"

    def open(self, deployment: Deployment) -> None:
        """Connect, log in, and make the topics that are missing, with the cluster's usual settings."""
        self._deployment = deployment.id.encode()
        self._failed = None
        callbacks = {
            "error_cb": self._on_error,
            "on_delivery": self._on_delivery,
            "delivery.report.only.error": True,
        }
        try:
            self._producer = Producer(self._target.settings | callbacks, logger=LOGGER)
        except (KafkaException, ValueError, TypeError) as error:
            said = self._target.masked(str(error.args[0] if error.args else error))
            raise SinkRefused(f"{self._target.shown}: {said}", "settings are those of librdkafka") from None
        try:
            prepare(self._target, self._producer, self._listen)
        except BaseException:
            self.close()
            raise

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        """Tell the rows of a block; returns when every message is acknowledged by all replicas in sync."""
        assert self._producer is not None, "open the sink before writing"
        if topic_of(table) not in self._target.topics:
            return
        told = tell(table, conform(table, batch))
        wait = _Wait(self._target.delivery_seconds + GRACE_SECONDS)
        self._failed, self._suspected = None, False
        self._send(told, wait)
        while self._producer.flush(0.5):
            self._judge(told.topic, wait)
        self._raise_failure(told.topic)

    def close(self) -> None:
        """Let go. What was not acknowledged is dropped: whoever wrote it knows, and writes it again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(CLOSE_SECONDS_MAX)

    def _send(self, told: Told, wait: _Wait) -> None:
        topic = self._target.prefix + told.topic
        common = [("schema", told.schema.encode()), ("deployment", self._deployment)]
        rows = zip(told.keys, told.values, told.message_ids, strict=True)
        for number, (key, value, message_id) in enumerate(rows, 1):
            headers = [*common, ("message_id", message_id.encode())]
            while not self._taken(told.topic, topic, value, key, headers):
                self._producer.poll(0.1)  # the queue is full: wait for acknowledgements
                self._judge(told.topic, wait)
            if number % POLL_EVERY == 0:
                self._producer.poll(0)
                self._raise_failure(told.topic)

    def _taken(self, what: str, topic: str, value: bytes, key: str, headers: list[tuple[str, bytes]]) -> bool:
        """Whether the client's queue had room."""
        try:
            self._producer.produce(topic, value, key, headers=headers)
        except BufferError:
            return False
        except KafkaException as error:
            raise judged(error.args[0], self._target, f"{what}: a message of {len(value)} bytes") from None
        return True

    def _on_error(self, error: KafkaError) -> None:
        """What the client says of itself. Most of it passes; that a password is wrong does not."""
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # only says that all said what was heard before
            self._heard = error
        if error.code() in CONNECT_HINTS:  # the same fault also shows as a connection that just ended
            self._unusable = error
        if error.fatal() or error.code() in REFUSAL_HINTS:
            self._failed = self._failed or error

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed = self._failed or error

    def _listen(self) -> KafkaError | None:
        """Why there is no connection, as far as the client heard; raises what nobody needs to wait for."""
        self._producer.poll(0)
        if self._failed is not None:
            raise judged(self._failed, self._target, "no connection")
        return self._unusable or self._heard

    def _judge(self, topic: str, wait: _Wait) -> None:
        """Whether it makes sense to wait on."""
        self._raise_failure(topic)
        if wait.is_over():
            raise self._unavailable(topic)
        if wait.is_time_to_look():
            self._look_for(topic)

    def _look_for(self, topic: str) -> None:
        """Raises where a broker says, twice in a row, that the topic is gone or not for us."""
        try:
            error = told_of(self._producer, self._target.prefix + topic)
        except KafkaException:
            return  # nobody answers: that is what we wait for
        is_lasting = error is not None and error.code() in REFUSAL_HINTS
        if error is not None and is_lasting and self._suspected:
            raise judged(error, self._target, topic)
        self._suspected = is_lasting

    def _raise_failure(self, topic: str) -> None:
        if self._failed is None:
            return
        if self._failed.code() == KafkaError._MSG_TIMED_OUT:
            raise self._unavailable(topic)
        raise judged(self._failed, self._target, topic)

    def _unavailable(self, topic: str) -> SinkUnavailable:
        heard = self._target.masked(self._heard.str()) if self._heard else "no broker answered"
        waited = f"no acknowledgement within {self._target.delivery_seconds:g} s"
        return SinkUnavailable(f"{self._target.shown}: {topic}: {waited}: {heard}")


class _Wait:
    """For acknowledgements: until when, and when to look what keeps them."""

    def __init__(self, seconds: float) -> None:
        now = time.monotonic()
        self._until = now + seconds
        self._look_at = now + LOOK_EVERY_SECONDS

    def is_over(self) -> bool:
        """Whether it took too long."""
        return time.monotonic() > self._until

    def is_time_to_look(self) -> bool:
        """Now and then."""
        if time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + LOOK_EVERY_SECONDS
        return True
