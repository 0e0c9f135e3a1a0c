"""Kafka DSNs: what they mean, what is refused, and that no secret comes by them or out of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.messages import TOPICS
from sinks.base import SinkRefused, mask_dsn
from sinks.kafka.settings import DEFAULTS, FIXED, kafka_target
from sinks.kafka.writer import KafkaSink
from sinks.registry import open_sink


def test_a_dsn_names_brokers_prefix_topics_and_any_setting_of_the_client() -> None:
    target = kafka_target(
        "kafka://a:9092,b:9093?prefix=shop-&topics=rejects&security.protocol=SSL&ssl.ca.location=/ca%20s.pem",
        {},
    )
    assert target.prefix == "shop-"
    assert target.topics == ("rejects",)
    assert target.settings == DEFAULTS | FIXED | {
        "bootstrap.servers": "a:9092,b:9093", "security.protocol": "SSL", "ssl.ca.location": "/ca s.pem",
    }  # fmt: skip


def test_without_options_it_is_as_usual() -> None:
    target = kafka_target("kafka://broker:9092", {})
    assert (target.prefix, target.topics) == ("pathline.", tuple(TOPICS))
    assert target.delivery_seconds == 300
    assert isinstance(open_sink("kafka://broker:9092"), KafkaSink)


def test_the_dsn_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(
        "# ours\n\nsasl.password = a=b#c \nsasl.username=file\nsasl.mechanism=PLAIN\nlinger.ms=7\n"
    )
    environment = {"PATHLINE_KAFKA_SASL_USERNAME": "environment", "PATHLINE_KAFKA_GROUP": "not ours"}
    settings = kafka_target(f"kafka://h:1?config={file}&sasl.mechanism=SCRAM-SHA-256", environment).settings
    assert settings["sasl.password"] == "a=b#c"
    assert settings["sasl.username"] == "environment"
    assert settings["sasl.mechanism"] == "SCRAM-SHA-256"
    assert settings["linger.ms"] == "7"
    assert "group" not in settings


@pytest.mark.parametrize(
    "dsn",
    [
        "kafka://user:s3cret@h:9092",
        "kafka://h:9092?sasl.password=s3cret",
        "kafka://h:9092?ssl.key.password=s3cret",
        "kafka://h:9092?a=b&ssl.key.pem=s3cret",
        "kafka://h:9092?sasl.oauthbearer.client.secret=s3cret",
        "kafka://h:9092?sasl.oauthbearer.config=s3cret",
        "kafka://h:9092?sasl.pass%77ord=s3cret",
    ],
)
def test_a_secret_in_the_dsn_is_refused_without_being_shown(dsn: str) -> None:
    with pytest.raises(SinkRefused) as refused:
        open_sink(dsn)
    assert "s3cret" not in str(refused.value)
    assert "config=FILE" in refused.value.hint
    assert "%77" in dsn or "s3cret" not in mask_dsn(dsn)


def test_secrets_are_in_no_repr_and_in_no_text(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("sasl.password=from-the-file\n")
    target = kafka_target(f"kafka://h:1?config={file}", {"PATHLINE_KAFKA_SSL_KEY_PASSWORD": "from-outside"})
    assert "from-" not in repr(target)
    assert target.masked("no from-the-file and no from-outside") == "no *** and no ***"


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("kafka://", "names no brokers"),
        ("kafka://h:9092/topic", "names no brokers"),
        ("kafka://a:1,,b:2", "names no brokers"),
        ("kafka://h:1?prefix=a/b", "no topic can begin with 'a/b'"),
        ("kafka://h:1?topics=rejects,sessions", "no topic 'sessions'"),
        ("kafka://h:1?acks=1", "acks must be all"),
        ("kafka://h:1?enable.idempotence=false", "enable.idempotence must be true"),
        ("kafka://h:1?delivery.timeout.ms=0", "above 0"),
        ("kafka://h:1?message.timeout.ms=soon", "above 0"),
        ("kafka://h:1?config=/no/such/file", "No such file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(dsn: str, said: str) -> None:
    with pytest.raises(SinkRefused, match=said) as refused:
        open_sink(dsn)
    assert refused.value.hint


def test_a_line_that_is_no_property_is_named_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text("sasl.username=a\nsasl.password s3cret\n")
    with pytest.raises(SinkRefused, match=r"kafka\.properties:2 is no property") as refused:
        kafka_target(f"kafka://h:1?config={file}", {})
    assert "s3cret" not in str(refused.value)


def test_what_must_be_so_may_be_said() -> None:
    target = kafka_target("kafka://h:1?acks=-1&enable.idempotence=True&message.timeout.ms=1500", {})
    assert target.settings | FIXED == target.settings
    assert target.delivery_seconds == 1.5
