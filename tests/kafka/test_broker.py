"""The broker of the tests is a real one: what it acknowledged survives it, and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka.broker import Broker
from tests.kafka.jars import NoBroker, classpath
from tests.kafka.node import USERS
from tests.kafka.topics import Found, Record, Topics

ROOT = Path(__file__).parents[2]


def numbers(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def test_what_is_produced_is_read_with_all_that_belongs_to_it(broker: Topics) -> None:
    topic = broker.topic(partitions=2)
    record = Record(b"value", b"key", (("a", b"1"), ("b", b"\xff")), 1_700_000_000_123, 1)
    assert broker.produce(topic, [record, Record(None, partition=0, timestamp_ms=5)]) == [(1, 0), (0, 0)]
    assert broker.read(topic) == [
        Found(0, 0, None, None, {}, 5),
        Found(1, 0, b"key", b"value", {"a": b"1", "b": b"\xff"}, 1_700_000_000_123),
    ]


def test_records_survive_a_kill_and_a_clean_stop(killable: Broker) -> None:
    topic = killable.topic(partitions=3)
    killable.produce(topic, numbers(1000))
    for end in (killable.kill, killable.stop):
        end()
        assert not killable.answers(0.5)
        killable.restart()
        assert sorted(found.value or b"" for found in killable.read(topic)) == sorted(numbers(1000))
    killable.produce(topic, [b"after"])
    assert len(killable.read(topic)) == 1001


def test_partitions_can_be_added(broker: Topics) -> None:
    topic = broker.topic(partitions=1)
    broker.add_partitions(topic, 3)
    assert broker.partitions(topic) == 3
    assert broker.produce(topic, [Record(b"new", partition=2)]) == [(2, 0)]


def test_deleted_records_move_the_first_offset(broker: Topics) -> None:
    topic = broker.topic()
    broker.produce(topic, numbers(10))
    assert broker.watermarks(topic) == (0, 10)
    broker.delete_before(topic, 0, 7)
    assert broker.watermarks(topic) == (7, 10)
    assert [found.value for found in broker.read(topic)] == numbers(10)[7:]


def test_a_topic_takes_its_settings(broker: Topics) -> None:
    topic = broker.topic(message_timestamp_type="LogAppendTime")
    broker.produce(topic, [Record(b"x", timestamp_ms=1)])
    assert broker.read(topic)[0].timestamp_ms > 1_700_000_000_000


def test_records_of_long_ago_stay_unless_the_topic_says_otherwise(broker: Topics) -> None:
    kept, gone = broker.topic(), broker.topic(retention_ms=1000)
    for topic in (kept, gone):
        broker.produce(topic, [Record(b"x", timestamp_ms=5)])
    until = time.monotonic() + 60
    while broker.watermarks(gone) != (1, 1) and time.monotonic() < until:
        time.sleep(0.1)
    assert broker.watermarks(gone) == (1, 1)
    assert broker.watermarks(kept) == (0, 1)


def test_a_topic_that_nobody_made_is_missing(broker: Topics) -> None:
    with pytest.raises(AssertionError, match="UNKNOWN_TOPIC"):
        broker.produce("nobody-made-it", [b"x"], **{"topic.metadata.propagation.max.ms": 100})


@pytest.mark.parametrize(("password", "welcome"), [(USERS["writer"], True), ("wrong", False)])
def test_a_password_is_asked_for_where_it_should_be(killable: Broker, password: str, welcome: bool) -> None:
    client = AdminClient(
        {
            "bootstrap.servers": killable.sasl_servers, "security.protocol": "SASL_PLAINTEXT", "log_level": 0,
            "sasl.mechanism": "PLAIN", "sasl.username": "writer", "sasl.password": password,
        },
        logger=None,
    )  # fmt: skip
    if welcome:
        assert client.list_topics(timeout=30).brokers
    else:
        with pytest.raises(KafkaException):
            client.list_topics(timeout=2)


STARTS_ONE = """
import sys, time
from pathlib import Path
from tests.kafka.broker import Broker
broker = Broker(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
time.sleep(600)
"""


def test_a_broker_dies_with_the_tests_that_were_killed(killable: Broker, tmp_path: Path) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE, str(tmp_path / "b")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert tests.stdout is not None
    pid = int(tests.stdout.readline())
    assert "kafka.Kafka" in Path(f"/proc/{pid}/cmdline").read_text()
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    tests.stdout.close()
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}/cmdline").exists()


def test_jars_are_not_looked_for_without_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBroker, match="no java"):
        classpath()


def test_jars_that_could_not_be_fetched_leave_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, body in {"java": "exit 0", "mvn": "echo '[ERROR] no such repository'; exit 1"}.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(NoBroker, match="no such repository"):
        classpath()
    assert [path.suffix for path in (tmp_path / "cache/pathline-kafka").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("required", "code"), [({}, 0), ({"PATHLINE_REQUIRE_KAFKA": "1"}, 1), ({"CI": "true"}, 1)]
)
def test_a_machine_without_a_broker_skips_loudly_or_fails_where_it_must(
    tmp_path: Path, required: dict[str, str], code: int
) -> None:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("CI", "PATHLINE_REQUIRE_KAFKA", "KAFKA_BOOTSTRAP_SERVERS")
    }
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-k",
            "added",
            "tests/kafka/test_broker.py",
        ],
        cwd=ROOT,
        env=kept | required | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stdout
    assert "no Kafka broker: there is no java; " in done.stdout
    assert ("KAFKA NOT TESTED: 1 tests skipped" in done.stdout) is (code == 0)
