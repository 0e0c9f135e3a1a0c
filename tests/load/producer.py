"""Sends a crowd's events into a topic as time passes, in a process of its own; see `crowd.py`.

Says one JSON line a second: how many were sent, and how far it is behind the time. An event keeps the time at
which it was due even where this process or the broker is slow, so that such a delay is seen as lag and not
hidden. It ends when its input does, or whoever started it; the last line says what the broker has
acknowledged.
"""

from __future__ import annotations

import argparse
import json
import select
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

from tests.load.crowd import Crowd, Messages

TICK_SECONDS: Final = 0.05
CATCH_UP_MS: Final = 200
"""So much is sent at once at most: also a producer that is behind answers, and says so."""

FLUSH_SECONDS_MAX: Final = 120.0


class Sender:
    """A producer that counts what was not acknowledged. Each event has its partition from the crowd."""

    def __init__(self, servers: str, topic: str) -> None:
        self._topic = topic
        self._failed: list[str] = []
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "linger.ms": 10,
                "batch.size": 1 << 20,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 512 << 10,
                "delivery.report.only.error": True,  # a call for each would cost as much as it
                "log_level": 3,
            }
        )

    def send(self, messages: Messages) -> None:
        """Waits where the queue is full."""
        left = [
            {"value": value, "partition": partition}
            for value, partition in zip(messages, messages.partitions, strict=True)
        ]
        while left:
            self.sent += self._producer.produce_batch(self._topic, left, on_delivery=self._told)
            left = [message for message in left if "_error" in message]
            for message in left:
                error = message.pop("_error")
                assert error.code() == KafkaError._QUEUE_FULL, error
            self._producer.poll(0.05 if left else 0)

    def close(self) -> int:
        """Waits for the broker; returns how many events it has not acknowledged."""
        return self._producer.flush(FLUSH_SECONDS_MAX) + len(self._failed)

    def _told(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(str(error))


def play(crowd: Crowd, start: float, sender: Sender) -> Iterator[tuple[int, float]]:
    """Sends what is due, a tick at a time: events sent so far, and seconds behind the time."""
    done = start
    while True:
        now = time.time()
        done = min(now, done + CATCH_UP_MS / 1000)
        messages = crowd.until(int(done * 1000))
        sender.send(messages)
        yield sender.sent, time.time() - done
        time.sleep(max(0.0, now + TICK_SECONDS - time.time()))


def main() -> None:
    """See the head of this module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", required=True, help="host:port of the broker")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    parser.add_argument("--partitions", type=int, default=1, help="that the topic has")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hurry", type=float, default=1.0, help="shoppers pause so many times shorter")
    arguments = parser.parse_args()
    crowd = Crowd(arguments.rate, seed=arguments.seed, partitions=arguments.partitions, hurry=arguments.hurry)
    sender = Sender(arguments.servers, arguments.topic)
    start = said = time.time()
    crowd.begin(int(start * 1000))
    for sent, behind in play(crowd, start, sender):
        now = time.time()
        if now - said >= 1.0:
            print(json.dumps({"at": now, "sent": sent, "behind": round(behind, 3)}), flush=True)
            said = now
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    lost = sender.close()
    print(json.dumps({"at": time.time(), "sent": sender.sent, "behind": 0.0, "lost": lost}), flush=True)


if __name__ == "__main__":
    main()
