"""What an error of Kafka means for us: wait, give up for now, or stop and tell the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError

from sinks.base import SinkRefused, SinkUnavailable
from sinks.kafka.settings import KafkaTarget

_LOGIN: Final = (
    "user, password or sasl.mechanism is wrong; nothing acknowledged is lost, the rest is read again"
)
_MISSING: Final = "create the topic, or let this user create it: nothing acknowledged is lost"
_RIGHT: Final = "grant this user Describe and Write on the topics (Create, where they are missing)"
_TOO_LARGE: Final = (
    "raise max.message.bytes of the topic, and message.max.bytes here, or leave the topic out with topics=..."
)

REFUSAL_HINTS: Final = {
    KafkaError._AUTHENTICATION: _LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _RIGHT,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _RIGHT,
    KafkaError._UNKNOWN_TOPIC: _MISSING,
    KafkaError._UNKNOWN_PARTITION: _MISSING,
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MISSING,
    KafkaError.TOPIC_EXCEPTION: "no topic can have this name: choose another prefix",
    KafkaError.MSG_SIZE_TOO_LARGE: _TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: _TOO_LARGE,
    KafkaError.INVALID_REPLICATION_FACTOR: "its default.replication.factor asks for more brokers than run",
    KafkaError.POLICY_VIOLATION: "the cluster's policy forbids it: create the topics by hand",
}
"""Errors that the same message would meet again, until somebody has mended something."""


CONNECT_HINTS: Final = REFUSAL_HINTS | {
    KafkaError._RESOLVE: "check the names of the brokers",
    KafkaError._SSL: "ssl.ca.location must name the certificate of whoever signed the brokers'",
}
"""And those that mean the same where no connection was ever made; later on they may pass."""


def judged(
    error: KafkaError, target: KafkaTarget, what: str, hints: Mapping[int, str] = REFUSAL_HINTS
) -> SinkRefused | SinkUnavailable:
    """The error in words, secrets masked: a refusal where it is somebody's to mend."""
    said = f"{target.shown}: {what}: {target.masked(error.str())}"
    hint = hints.get(error.code())
    return SinkRefused(said, hint) if hint else SinkUnavailable(said)
