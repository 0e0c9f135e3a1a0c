"""The topic `alerts`: a message for each notice, keyed by its alert: those of an episode stay in order.

`message_id` in the headers is the key of the notice: a consumer that drops those it has seen reads each once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.alerts.message import SCHEMA
from pipeline.alerts.notice import Delivered, Later, Notice, Outcome, Refused
from schemas.alert_targets import Kafka as Settings
from sinks.base import SinkRefused, SinkUnavailable
from sinks.kafka.errors import judged
from sinks.kafka.settings import KafkaTarget, kafka_target
from sinks.kafka.topics import prepare

TOPIC: Final = "alerts"
DELIVERY_MS: Final = 15_000
"""The courier tries again by itself: no turn is to wait for the client's five minutes."""

Make = Callable[[dict[str, Any]], Any]


class KafkaRoute:
    """Produces to the topic `alerts`, with the prefix of the DSN; makes the topic where it is missing."""

    resend_seconds: float | None = None

    def __init__(self, settings: Settings, make: Make = Producer) -> None:
        """Raises SinkRefused for settings that cannot be right. Connects with the first notice."""
        target = kafka_target(settings.dsn)
        limits = {"delivery.timeout.ms": str(DELIVERY_MS), "linger.ms": "0"}
        self._target: KafkaTarget = replace(target, topics=(TOPIC,), settings=target.settings | limits)
        self._make = make
        self._producer: Any = None
        self._heard: KafkaError | None = None

    def send(self, notice: Notice) -> Outcome:
        try:
            producer = self._connected()
            return self._produce(producer, notice)
        except SinkRefused as error:
            self.close()
            return Refused(str(error))
        except SinkUnavailable as error:
            self.close()
            return Later(str(error))

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(1.0)

    def _connected(self) -> Any:
        if self._producer is None:
            try:
                producer = self._make(self._target.settings | {"error_cb": self._listen_to})
            except (KafkaException, ValueError, TypeError) as error:
                said = self._target.masked(str(error.args[0] if error.args else error))
                raise SinkRefused(
                    f"{self._target.shown}: {said}", "settings are those of librdkafka"
                ) from None
            prepare(self._target, producer, lambda: self._heard)
            self._producer = producer
        return self._producer

    def _produce(self, producer: Any, notice: Notice) -> Outcome:
        failed: list[KafkaError | None] = []
        headers = [("schema", SCHEMA.encode()), ("message_id", notice.key.encode())]
        content = {**notice.message.data, "kind": notice.kind, "message_id": notice.key}
        topic = self._target.prefix + TOPIC
        producer.produce(
            topic,
            json.dumps(content).encode(),
            notice.alert.alert_id,
            headers=headers,
            on_delivery=lambda error, _: failed.append(error),
        )
        producer.flush(DELIVERY_MS / 1000 + 5)
        if not failed:
            raise SinkUnavailable(f"{self._target.shown}: {topic}: no acknowledgement in time")
        if failed[0] is not None:
            raise judged(failed[0], self._target, topic)
        return Delivered("acknowledged")

    def _listen_to(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._heard = error
