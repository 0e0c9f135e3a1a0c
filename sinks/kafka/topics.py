"""The topics that messages go to: there before the first message, or refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sinks.base import SinkUnavailable
from sinks.kafka.errors import judged
from sinks.kafka.settings import KafkaTarget

CONNECT_SECONDS_MAX: Final = 30.0
_MISSING: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_CLUSTER_DEFAULT: Final = -1


def prepare(target: KafkaTarget, producer: Any, raise_refusal: Callable[[], None]) -> None:
    """Makes the topics that are missing: all but the size of a message is as the cluster does by default."""
    names = [target.prefix + topic for topic in target.topics]
    missing = [name for name in names if _is_missing(target, producer, name, raise_refusal)]
    if missing:
        _make(target, missing)


def _is_missing(target: KafkaTarget, producer: Any, name: str, raise_refusal: Callable[[], None]) -> bool:
    until = time.monotonic() + CONNECT_SECONDS_MAX
    while True:
        try:
            error = producer.list_topics(name, timeout=1.0).topics[name].error
        except KafkaException as failed:
            error = failed.args[0]
        raise_refusal()
        if error is None or error.code() in _MISSING:
            return error is not None
        said = judged(error, target, name)
        if not isinstance(said, SinkUnavailable) or time.monotonic() > until:
            raise said


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
