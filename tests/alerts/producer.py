"""What stands for a Kafka producer, and the broker behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError


@dataclass
class FakeBroker:
    """`error` is what it answers to a message; a message that it takes is kept."""

    error: int | None = None
    is_away: bool = False
    taken: list[SimpleNamespace] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def producer(self, settings: dict[str, Any]) -> FakeProducer:
        self.settings = settings
        return FakeProducer(self)


@dataclass
class FakeProducer:
    broker: FakeBroker
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def list_topics(self, name: str, timeout: float) -> Any:
        return SimpleNamespace(topics={name: SimpleNamespace(error=None)})

    def produce(
        self, topic: str, value: bytes, key: str, headers: list[tuple[str, bytes]], on_delivery: Any
    ) -> None:
        def deliver() -> None:
            if self.broker.error is not None:
                on_delivery(KafkaError(self.broker.error), None)
                return
            message = SimpleNamespace(topic=topic, value=value, key=key, headers=dict(headers))
            self.broker.taken.append(message)
            on_delivery(None, message)

        self.waiting.append(deliver)

    def flush(self, seconds: float) -> int:
        if not self.broker.is_away:
            for deliver in self.waiting:
                deliver()
            self.waiting.clear()
        return len(self.waiting)

    def purge(self) -> None:
        self.waiting.clear()
