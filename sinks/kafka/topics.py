"""The topics that messages go to: there before the first message, or refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sinks.kafka.errors import CONNECT_HINTS, REFUSAL_HINTS, judged
from sinks.kafka.settings import KafkaTarget

CONNECT_SECONDS_MAX: Final = 30.0
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_CLUSTER_DEFAULT: Final = -1


def prepare(target: KafkaTarget, producer: Any, listen: Callable[[], KafkaError | None]) -> None:
    """Makes the topics that are missing: all but the size of a message is as the cluster does by default.

    `listen` says why there is no connection, and raises what nobody needs to wait for.
    """
    until = time.monotonic() + CONNECT_SECONDS_MAX
    names = [target.prefix + topic for topic in target.topics]
    missing = [name for name in names if _is_missing(target, producer, name, listen, until)]
    if missing:
        _make(target, missing)


def told_of(producer: Any, name: str) -> KafkaError | None:
    """What is wrong with a topic, by the word of a broker; None where it is well. Raises KafkaException where
    no broker answers within a second.
    """
    error: KafkaError | None = producer.list_topics(name, timeout=1.0).topics[name].error
    return error


def _is_missing(
    target: KafkaTarget, producer: Any, name: str, listen: Callable[[], KafkaError | None], until: float
) -> bool:
    while True:
        try:
            error = told_of(producer, name)
        except KafkaException as failed:
            error = failed.args[0]
        heard = listen()
        if error is None or error.code() in _MISSING:
            return error is not None
        if error.code() in REFUSAL_HINTS:
            raise judged(error, target, name)
        if time.monotonic() > until:
            raise judged(heard or error, target, f"no answer within {CONNECT_SECONDS_MAX:g} s", CONNECT_HINTS)


def _make(target: KafkaTarget, names: list[str]) -> None:
    """Another worker may be doing the same at this moment."""
    admin = AdminClient({**target.settings})
    config = {"max.message.bytes": target.settings["message.max.bytes"]}
    wanted = [NewTopic(name, _CLUSTER_DEFAULT, _CLUSTER_DEFAULT, config=config) for name in names]
    for name, made in admin.create_topics(wanted, operation_timeout=CONNECT_SECONDS_MAX).items():
        try:
            made.result(CONNECT_SECONDS_MAX)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise judged(error.args[0], target, f"topic {name} cannot be made") from None
