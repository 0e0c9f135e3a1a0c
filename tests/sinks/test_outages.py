"""A ClickHouse that is away, slow, full or wrong, and what becomes of rows: in the end each is there once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect import get_client

from sinks.base import SinkRefused, SinkUnavailable
from sinks.batching import Batcher
from sinks.clickhouse.poison import WHOLE_BLOCK_ROWS
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks import clickhouse_server
from tests.sinks.faults import BUSY, CUT_REPLY, LOST_REPLY, Fault, FaultProxy, error
from tests.sinks.places import OURS, ask
from tests.sinks.rows import SAMPLES, batch, minute, session, transition

OUT_OF_MEMORY = error(241, "MEMORY_LIMIT_EXCEEDED")


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    proxy = FaultProxy(clickhouse_server.emptied())
    yield proxy
    proxy.down()


Open = Callable[..., ClickHouseSink]


@pytest.fixture
def opened(proxy: FaultProxy) -> Iterator[Open]:
    """Opens a sink on the proxy, that waits little between its attempts."""
    sinks = []

    def opened(retry_seconds: float = 60.0, **options: Any) -> ClickHouseSink:
        dsn = clickhouse_server.dsn(proxy.port, send_receive_timeout=2)
        sink = ClickHouseSink(dsn, retry_seconds, wait_seconds=0.02, **options)
        sink.open(OURS)
        sinks.append(sink)
        proxy.inserts.clear()
        return sink

    yield opened
    for sink in sinks:
        sink.close()


def seen(sql: str) -> list[dict[str, Any]]:
    """What a reader of the server sees, not through the proxy."""
    return ask(clickhouse_server.dsn(clickhouse_server.port()), sql).to_pylist()


def command(sql: str) -> None:
    client = get_client(host="127.0.0.1", port=clickhouse_server.port(), password=clickhouse_server.PASSWORD)
    client.command(sql)
    client.close()


FAULTS = {
    "busy": (BUSY, "http_503"),
    "reply lost": (LOST_REPLY, "transport"),
    "reply cut": (CUT_REPLY, "transport"),
    "hangs": (Fault(hang_seconds=3.0), "transport"),
    "times out": (error(159, "TIMEOUT_EXCEEDED"), "159"),
    "too many queries": (error(202, "TOO_MANY_SIMULTANEOUS_QUERIES"), "202"),
    "out of memory": (OUT_OF_MEMORY, "241"),
    "read-only": (error(242, "TABLE_IS_READ_ONLY"), "242"),
    "too many parts": (error(252, "TOO_MANY_PARTS"), "252"),
    "keeper": (error(999, "KEEPER_EXCEPTION"), "999"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_every_row_is_there_once(name: str, proxy: FaultProxy, opened: Open) -> None:
    fault, counted = FAULTS[name]
    sink = opened()
    proxy.inject(None, fault, None, None, fault, fault)
    for number in range(3):
        sink.write("transitions", batch("transitions", [transition(number, 1), transition(number, 2)]))
        sink.write("funnel_minute", batch("funnel_minute", [minute(entered=number + 1)]))
    assert seen("SELECT count() AS n, uniqExact(session_id, sequence) AS u FROM bi.transitions") == [
        {"n": 6, "u": 6}
    ]
    assert seen("SELECT entered FROM bi.funnel_minute") == [{"entered": 3}]
    assert sink.retries == {counted: 3}
    assert sink.oldest_unacknowledged_at is None
    blocks = [insert.body for insert in proxy.inserts]
    assert len(blocks) == 9
    # the next block begins only when the one before is acknowledged, and what is repeated is the same bytes
    first = [blocks.index(block) for block in blocks]
    assert first == [0, 1, 1, 3, 4, 4, 4, 7, 8]


def test_a_reply_lost_after_the_insert_doubles_nothing_in_any_table(proxy: FaultProxy, opened: Open) -> None:
    sink = opened()
    for table, row in SAMPLES.items():
        proxy.inject(LOST_REPLY, LOST_REPLY)
        sink.write(table, batch(table, [row]))
    assert [insert.fault for insert in proxy.inserts] == [LOST_REPLY, LOST_REPLY, None] * len(SAMPLES)
    for table in SAMPLES:
        assert seen(f"SELECT count() AS n FROM pathline.{table} FINAL") == [{"n": 1}], table
    for view in ("transitions_all", "abandonments_all", "orders", "events", "late_events", "rejected_events"):
        assert seen(f"SELECT count() AS n FROM bi.{view}") == [{"n": 1}], view


def test_a_slow_server_is_waited_for(proxy: FaultProxy, opened: Open) -> None:
    sink = opened()
    proxy.inject(Fault(delay_seconds=0.5))
    sink.write("transitions", batch("transitions", [transition()]))
    assert not sink.retries
    assert len(proxy.inserts) == 1


def test_an_outage_holds_the_pipeline_back_and_then_everything_arrives(
    proxy: FaultProxy, opened: Open
) -> None:
    sink = opened()
    batcher = Batcher(sink, rows_max=10)
    batcher.add("transitions", batch("transitions", [transition(number) for number in range(10)]))
    batcher.flush()
    assert batcher.oldest_unacknowledged_at is None
    proxy.down()
    began, added, blocks = time.time(), [1], 40

    def go_on() -> None:
        for block in range(1, blocks):
            batcher.add("transitions", batch("transitions", [transition(block * 10 + n) for n in range(10)]))
            added.append(block)
        batcher.flush()

    thread = threading.Thread(target=go_on)
    thread.start()
    until(lambda: sink.retries.total() >= 5)
    assert len(added) <= 1 + 2, "one block is sent, one waits: no more, however long it lasts"
    assert batcher.oldest_unacknowledged_at is not None
    assert began <= batcher.oldest_unacknowledged_at <= time.time()
    assert sink.oldest_unacknowledged_at is not None
    before = len(added)
    until(lambda: sink.retries.total() >= 8)
    assert len(added) == before
    proxy.up()
    thread.join(60)
    assert not thread.is_alive()
    batcher.close()
    assert seen("SELECT count() AS n FROM bi.transitions") == [{"n": blocks * 10}]
    assert set(sink.retries) == {"transport"}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_beyond_its_budget_it_stops_without_the_password_and_goes_on_later(
    proxy: FaultProxy, opened: Open
) -> None:
    sink = opened(retry_seconds=0.3)
    proxy.always = OUT_OF_MEMORY
    with pytest.raises(SinkUnavailable, match=r"no acknowledgement within 0.3 s: Code: 241") as gone:
        sink.write("transitions", batch("transitions", [transition()]))
    assert clickhouse_server.PASSWORD not in str(gone.value)
    assert sink.oldest_unacknowledged_at is None
    proxy.always = None
    sink.write("transitions", batch("transitions", [transition()]))
    assert seen("SELECT count() AS n FROM bi.transitions") == [{"n": 1}]


@pytest.mark.parametrize(
    ("code", "name", "status"),
    [
        (60, "UNKNOWN_TABLE", 404),
        (81, "UNKNOWN_DATABASE", 404),
        (164, "READONLY", 500),
        (193, "WRONG_PASSWORD", 403),
        (497, "ACCESS_DENIED", 500),
        (516, "AUTHENTICATION_FAILED", 403),
    ],
)
def test_what_only_an_operator_can_mend_stops_at_once(
    code: int, name: str, status: int, proxy: FaultProxy, opened: Open
) -> None:
    sink = opened()
    proxy.always = error(code, name, status)
    with pytest.raises(SinkRefused) as refused:
        sink.write("transitions", batch("transitions", [transition()]))
    assert refused.value.hint
    assert clickhouse_server.PASSWORD not in str(refused.value)
    assert (len(proxy.inserts), sink.retries.total()) == (1, 0)


def test_a_dropped_table_and_a_changed_password_as_the_server_itself_says_it(
    proxy: FaultProxy, opened: Open
) -> None:
    sink = opened()
    command("DROP TABLE pathline.orders SYNC")
    with pytest.raises(SinkRefused, match=r"pathline\.orders"):
        sink.write("orders", batch("orders", [SAMPLES["orders"]]))
    stranger = ClickHouseSink(clickhouse_server.dsn(proxy.port).replace("s3cret", "wr0ng"))
    with pytest.raises(SinkRefused) as refused:
        stranger.open(OURS)
    assert "password" in refused.value.hint
    assert "wr0ng" not in str(refused.value)


def test_a_server_that_cannot_just_now_is_unavailable_at_the_start(proxy: FaultProxy) -> None:
    clickhouse_server.emptied()
    proxy.always = OUT_OF_MEMORY
    proxy.everything = True
    sink = ClickHouseSink(clickhouse_server.dsn(proxy.port))
    with pytest.raises(SinkUnavailable):
        sink.open(OURS)


@pytest.mark.parametrize("how", ["refused", "503", "reply lost"])
def test_a_server_that_does_not_answer_at_the_start_is_unavailable_and_not_misconfigured(
    how: str, proxy: FaultProxy
) -> None:
    if how == "refused":
        proxy.down()
    proxy.always = LOST_REPLY if how == "reply lost" else BUSY
    proxy.everything = True
    with pytest.raises(SinkUnavailable, match="check host, port") as away:
        ClickHouseSink(clickhouse_server.dsn(proxy.port)).open(OURS)
    assert clickhouse_server.PASSWORD not in str(away.value)


POISON = "ALTER TABLE pathline.sessions ADD CONSTRAINT fit CHECK visitor_id NOT LIKE 'bad%'"


def some(count: int, bad: set[int]) -> list[dict[str, Any]]:
    return [session(n, visitor_id=f"{'bad' if n in bad else 'v'}{n}") for n in range(1, count + 1)]


def test_poison_rows_are_found_and_set_aside_and_all_others_are_there(
    proxy: FaultProxy, opened: Open
) -> None:
    sink = opened()
    command(POISON)
    proxy.inject(OUT_OF_MEMORY, LOST_REPLY)
    for _ in range(2):  # replayed, too
        sink.write("sessions", batch("sessions", some(500, {1, 77, 78, 500})))
    assert seen("SELECT count() AS n FROM bi.sessions") == [{"n": 496}]
    found = seen("SELECT * FROM bi.rejected_events ORDER BY payload")
    assert {row["reason"] for row in found} == {"refused_by_database"}
    assert {row["source"] for row in found} == {"pathline.sessions"}
    told = [json.loads(row["payload"]) for row in found]
    assert sorted(one["row"]["visitor_id"] for one in told) == ["bad1", "bad500", "bad77", "bad78"]
    assert {one["code"] for one in told} == {469}
    assert sink.refused_rows == {"sessions": 8}


def test_more_poison_than_a_few_rows_stops(proxy: FaultProxy, opened: Open) -> None:
    sink = opened(refused_rows_max=3)
    command(POISON)
    sink.write("sessions", batch("sessions", some(20, {5, 6})))
    with pytest.raises(SinkRefused, match="too many rows were refused") as refused:
        sink.write("sessions", batch("sessions", some(20, {7, 8})))
    assert "rejected_events" in refused.value.hint
    assert seen("SELECT count() AS n FROM bi.rejected_events") == [{"n": 2}]


def test_a_table_that_takes_no_row_stops_and_sets_nothing_aside(proxy: FaultProxy, opened: Open) -> None:
    sink = opened()
    command("ALTER TABLE pathline.sessions ADD CONSTRAINT no CHECK visitor_id = ''")
    with pytest.raises(SinkRefused, match="every row of a block was refused"):
        sink.write("sessions", batch("sessions", some(WHOLE_BLOCK_ROWS, set())))
    assert seen("SELECT count() AS n FROM bi.rejected_events") == [{"n": 0}]


def test_poison_in_the_embedded_engine(tmp_path: Path) -> None:
    sink = ClickHouseSink(f"chdb://{tmp_path / 'db'}")
    sink.open(OURS)
    sink._client.command(POISON)
    sink.write("sessions", batch("sessions", some(50, {3, 4})))
    with sink.reader() as reader:
        assert reader.query("SELECT count() AS n FROM bi.sessions").to_pylist() == [{"n": 48}]
        assert reader.query("SELECT count() AS n FROM bi.rejected_events").to_pylist() == [{"n": 2}]
    sink.close()


def test_rows_of_the_rejects_themselves_stop(proxy: FaultProxy, opened: Open) -> None:
    sink = opened()
    command("ALTER TABLE pathline.rejected_events ADD CONSTRAINT no CHECK position < 0")
    with pytest.raises(SinkRefused, match="rejected_events"):
        sink.write("rejected_events", batch("rejected_events", [SAMPLES["rejected_events"]]))
    command(POISON)
    with pytest.raises(SinkRefused, match="rejected_events"):
        sink.write("sessions", batch("sessions", some(2, {2})))
