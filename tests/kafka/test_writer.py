"""The Kafka sink against a real broker: each message once, in order, whatever dies; and a clear no."""

from __future__ import annotations

import json
import random
import string
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from pipeline.rehearse import Rehearsal
from pipeline.settings import Settings
from pipeline.simulate import Settings as Shoppers
from pipeline.simulate import simulate
from schemas.journeys import load_journeys
from schemas.mappings import load_mapping
from schemas.messages import TOPICS
from sinks.base import SinkRefused, SinkUnavailable
from sinks.batching import Batcher
from sinks.both import Fanout
from sinks.kafka import topics, writer
from sinks.kafka.writer import KafkaSink
from sinks.memory import MemorySink
from tests.kafka.broker import Broker
from tests.kafka.node import USERS
from tests.kafka.told import Said, expected, ids
from tests.kafka.topics import Found, Topics
from tests.sinks.places import OURS
from tests.sinks.rows import SAMPLES, batch, became, set_aside, thing, transition

TOLD = ("transitions", "objects", "outcomes", "rejected_events")
HOUR_MS = 3_600_000

Opened = Callable[..., KafkaSink]


@pytest.fixture
def prefix(broker: Topics) -> str:
    """Topics of this test alone; the sink makes them."""
    return f"{broker.topic()}."


@pytest.fixture
def opened(broker: Topics, prefix: str) -> Iterator[Opened]:
    """`opened("&name=value")` is a sink with these settings, closed in the end."""
    sinks = []

    def open_(options: str = "", servers: str = broker.servers) -> KafkaSink:
        sink = KafkaSink(f"kafka://{servers}?prefix={prefix}{options}")
        sinks.append(sink)
        sink.open(OURS)
        return sink

    yield open_
    for sink in sinks:
        sink.close()


@pytest.fixture(scope="module")
def blocks() -> MemorySink:
    """What a real run of shoppers writes, block by block, with a cart that a late order makes void."""
    shoppers = Shoppers(
        seed=5, visitors=200, start_ms=1_767_571_200_000, duration_ms=72 * HOUR_MS, chunk_ms=60_000
    )
    lines = [*chain.from_iterable(simulate(shoppers)), b"no event"]
    rehearsal = Rehearsal(load_journeys(["checkout"]), load_mapping("canonical"), Settings())
    for start in range(0, len(lines), 300):
        rehearsal.read(0, [line.rstrip(b"\n") for line in lines[start : start + 300]])
    rehearsal.finish()
    sink = rehearsal.sink
    sink.write("outcomes", batch("outcomes", [became(9, state="void", order_id="o9")]))
    return sink


def news(blocks: MemorySink) -> list[Said]:
    rows = ((table, row) for table in TOLD for row in blocks.rows(table).to_pylist())
    return [message for table, row in rows if (message := expected(table, row))]


def heard(found: list[Found]) -> list[Said]:
    return [
        Said(one.headers["schema"].decode(), (one.key or b"").decode(), json.loads(one.value or b""))
        for one in found
    ]


def sorted_(messages: list[Said]) -> list[str]:
    return sorted(map(repr, (replaced(message) for message in messages)))


def replaced(message: Said) -> Said:
    return message._replace(body=dict(sorted(message.body.items())))


def read_all(broker: Topics, prefix: str) -> list[Found]:
    return [found for topic in TOPICS for found in broker.read(prefix + topic)]


def test_every_row_of_a_run_is_told_once_with_its_key_headers_and_body(
    broker: Topics, prefix: str, opened: Opened, blocks: MemorySink
) -> None:
    sink = opened()
    for table, written in blocks.blocks.items():
        for block in written:
            sink.write(table, block)
    found = read_all(broker, prefix)
    assert len(ids(found)) == len(set(ids(found)))
    assert sorted_(heard(found)) == sorted_(news(blocks))
    assert {one.headers["deployment"] for one in found} == {OURS.id.encode()}
    kinds = Counter((message.schema, message.body.get("reason", "")) for message in heard(found))
    assert kinds["pathline.transition/1", ""] > 100
    assert kinds["pathline.abandonment/1", ""] > 50
    assert kinds["pathline.retraction/1", "recovered"] > 1
    assert kinds["pathline.retraction/1", "void"] == 1
    assert kinds["pathline.reject/1", "not_json"] == 1


def test_what_is_stored_is_told_on_the_way_of_the_pipeline(
    broker: Topics, prefix: str, blocks: MemorySink
) -> None:
    stored = MemorySink()
    both = Fanout([stored, KafkaSink(f"kafka://{broker.servers}?prefix={prefix}")])
    both.open(OURS)
    batcher = Batcher(both, rows_max=150)
    for table, written in blocks.blocks.items():
        for block in written:
            batcher.add(table, block)
    batcher.close()
    both.close()
    assert sorted_(heard(read_all(broker, prefix))) == sorted_(news(stored)) == sorted_(news(blocks))


def test_what_is_written_again_has_the_ids_that_it_had(
    broker: Topics, prefix: str, opened: Opened, blocks: MemorySink
) -> None:
    sink = opened()
    for _ in range(2):
        for table in TOLD:
            sink.write(table, blocks.blocks[table][0])
        sink.close()
        sink.open(OURS)  # as after a crash
    found = read_all(broker, prefix)
    assert set(Counter(ids(found)).values()) == {2}
    bodies = {(one.headers["message_id"], one.value) for one in found}
    assert len(bodies) == len(found) / 2  # an id stands for one text


def test_a_retraction_follows_its_abandonment_in_the_same_partition(
    broker: Topics, prefix: str, opened: Opened
) -> None:
    broker.create_topic(f"{prefix}abandonments", 7)
    sink = opened()
    carts = range(1, 101)
    sink.write("objects", batch("objects", [thing(n, state="abandoned") for n in carts]))
    sink.write("outcomes", batch("outcomes", [became(n, state="recovered") for n in carts]))
    sink.write("outcomes", batch("outcomes", [became(n, state="void", version=2) for n in carts]))
    told: dict[str, list[tuple[int, str]]] = {}
    for one in broker.read(f"{prefix}abandonments"):
        body = json.loads(one.value or b"")
        told.setdefault(body["chain_id"], []).append((one.partition, body.get("reason", body["type"])))
    assert len(told) == len(carts)
    for news in told.values():
        assert [what for _, what in news] == ["abandonment", "recovered", "void"]
        assert len({partition for partition, _ in news}) == 1
    assert len({news[0][0] for news in told.values()}) == 7


def test_a_broker_that_is_killed_in_the_middle_loses_nothing_and_repeats_nothing(
    killable: Broker, prefix: str, opened: Opened
) -> None:
    sink = opened()
    written, stop = [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            first = 1 + written[0] * 500
            rows = [transition(number) for number in range(first, first + 500)]
            sink.write("transitions", batch("transitions", rows))
            written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        wait_until(lambda: written[0] >= 5)
        killable.kill()
        time.sleep(0.5)  # whatever was under way has failed by now
        before = written[0]
        time.sleep(0.5)
        assert thread.is_alive()
        assert written[0] == before, "a block was acknowledged by nobody"
        killable.restart()
        wait_until(lambda: written[0] >= before + 5)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    counts = Counter(
        json.loads(one.value or b"")["visitor_id"] for one in killable.read(f"{prefix}transitions")
    )
    assert counts == Counter(f"v{number}" for number in range(1, 1 + written[0] * 500))


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_broker_that_stays_away_is_waited_for_and_then_told(killable: Broker, opened: Opened) -> None:
    sink = opened("&delivery.timeout.ms=1500")
    killable.kill()
    with pytest.raises(SinkUnavailable, match=r"transitions: no acknowledgement within 1.5 s: .*refused"):
        sink.write("transitions", batch("transitions", [transition()]))


def test_a_broker_that_is_not_there_at_the_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "CONNECT_SECONDS_MAX", 0.0)
    with pytest.raises(SinkUnavailable, match=r"kafka://127\.0\.0\.1:9\?.*Connection refused"):
        KafkaSink("kafka://127.0.0.1:9?prefix=x.").open(OURS)
    with pytest.raises(SinkRefused, match="resolve") as refused:
        KafkaSink("kafka://nowhere.invalid:9092").open(OURS)
    assert "names" in refused.value.hint


def test_tables_without_a_topic_and_topics_that_are_not_wanted_are_not_told(
    broker: Topics, prefix: str, opened: Opened
) -> None:
    sink = opened("&topics=abandonments,rejects")
    for table, row in SAMPLES.items():
        sink.write(table, batch(table, [row]))
    sink.write("objects", batch("objects", [thing(1, state="abandoned")]))
    made = {
        name.removeprefix(prefix) for name in broker.admin.list_topics().topics if name.startswith(prefix)
    }
    assert made == {"abandonments", "rejects"}
    assert len(broker.read(f"{prefix}abandonments")) == len(broker.read(f"{prefix}rejects")) == 1


def test_a_record_of_the_longest_kind_can_be_told(broker: Topics, prefix: str, opened: Opened) -> None:
    visitor = "".join(random.Random(1).choices(string.printable, k=900_000))
    opened().write("transitions", batch("transitions", [transition(visitor_id=visitor, person_id=visitor)]))
    assert json.loads(broker.read(f"{prefix}transitions")[0].value or b"")["visitor_id"] == visitor


def test_a_message_that_the_topic_does_not_take_is_refused(
    broker: Topics, prefix: str, opened: Opened
) -> None:
    broker.create_topic(f"{prefix}rejects", 1, {"max.message.bytes": 1000})
    payload = random.Random(1).randbytes(5000)
    sink = opened()
    with pytest.raises(SinkRefused, match="rejects") as refused:
        sink.write("rejected_events", batch("rejected_events", [set_aside(payload=payload)]))
    assert "max.message.bytes" in refused.value.hint


def test_a_topic_that_is_gone_is_refused_before_all_patience_is_gone(
    broker: Topics, prefix: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOOK_EVERY_SECONDS", 0.3)
    sink = opened()
    block = batch("transitions", [transition()])
    sink.write("transitions", block)
    broker.delete_topic(f"{prefix}transitions")
    wait_until(lambda: f"{prefix}transitions" not in broker.admin.list_topics().topics)
    with pytest.raises(SinkRefused, match="transitions") as refused:
        sink.write("transitions", block)
    assert "create the topic" in refused.value.hint


def test_a_setting_that_the_client_does_not_know_is_refused(broker: Topics) -> None:
    with pytest.raises(SinkRefused, match=r"no\.such\.setting"):
        KafkaSink(f"kafka://{broker.servers}?no.such.setting=1").open(OURS)


SASL = "&security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN"


def log_in(monkeypatch: pytest.MonkeyPatch, user: str, password: str) -> None:
    monkeypatch.setenv("PATHLINE_KAFKA_SASL_USERNAME", user)
    monkeypatch.setenv("PATHLINE_KAFKA_SASL_PASSWORD", password)


def test_a_wrong_password_is_refused_at_once_and_never_shown(
    killable: Broker, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, "writer", "s3cret-and-wrong")
    started = time.monotonic()
    with pytest.raises(SinkRefused) as refused:
        opened(SASL, killable.sasl_servers)
    assert time.monotonic() - started < topics.CONNECT_SECONDS_MAX / 2
    assert "password" in refused.value.hint
    assert "s3cret" not in str(refused.value)


def test_the_right_to_write_is_all_that_is_needed_and_asked_for(
    killable: Broker, prefix: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(monkeypatch, "stranger", USERS["stranger"])
    with pytest.raises(SinkRefused) as refused:
        opened(SASL, killable.sasl_servers)
    assert "grant" in refused.value.hint

    for topic in TOPICS:
        killable.create_topic(prefix + topic)
    grant(killable, "writer", prefix, AclOperation.WRITE)
    log_in(monkeypatch, "writer", USERS["writer"])
    opened(SASL, killable.sasl_servers).write("transitions", batch("transitions", [transition()]))
    assert len(killable.read(f"{prefix}transitions")) == 1


@pytest.fixture(scope="module")
def tls(broker: Topics, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not isinstance(broker, Broker):
        pytest.skip("needs a process of its own")
    own = Broker(tmp_path_factory.mktemp("tls") / "broker", tls=True)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def test_tls_takes_who_knows_the_certificate(
    tls: Broker, opened: Opened, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for topic in TOPICS:
        tls.create_topic(prefix + topic)
    grant(tls, "writer", prefix, AclOperation.WRITE)
    log_in(monkeypatch, "writer", USERS["writer"])
    secure = "&security.protocol=SASL_SSL&sasl.mechanism=PLAIN"
    sink = opened(f"{secure}&ssl.ca.location={tls.certificate}", tls.sasl_servers)
    sink.write("transitions", batch("transitions", [transition()]))
    assert len(tls.read(f"{prefix}transitions")) == 1

    monkeypatch.setattr(topics, "CONNECT_SECONDS_MAX", 1.0)
    with pytest.raises(SinkRefused, match="certificate verify failed") as refused:
        opened(secure, tls.sasl_servers)
    assert "ssl.ca.location" in refused.value.hint


def grant(broker: Broker, user: str, prefix: str, operation: Any) -> None:
    rule = AclBinding(
        ResourceType.TOPIC, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation,
        AclPermissionType.ALLOW,
    )  # fmt: skip
    for future in broker.admin.create_acls([rule]).values():
        future.result(30)
