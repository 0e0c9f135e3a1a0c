"""Blocks in the background: acknowledged on flush, compacted, bounded, and never silent about an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tables import KEYS
from sinks import merge as merging
from sinks.base import Deployment, SinkUnavailable
from sinks.batching import Batcher
from sinks.check import SchemaMismatch
from sinks.memory import MemorySink
from sinks.merge import MAXIMA, VERSIONS, join, merge
from tests.sinks.rows import (
    START,
    batch,
    became,
    fresh,
    journey,
    minute,
    session,
    set_aside,
    thing,
    transition,
)


class GatedSink(MemorySink):
    """Waits before each write until it is let through."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Semaphore(0)

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        assert self.gate.acquire(timeout=10)
        super().write(table, batch)


class FailingSink(MemorySink):
    """Fails at its second block, and would succeed at its third."""

    attempts = 0

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self.attempts += 1
        if self.attempts == 2:
            raise SinkUnavailable("gone")
        super().write(table, batch)


@pytest.fixture
def memory() -> MemorySink:
    sink = MemorySink()
    sink.open(Deployment("d", 1, 1))
    return sink


@pytest.fixture
def batcher(memory: MemorySink) -> Iterator[Batcher]:
    batcher = Batcher(memory, rows_max=10)
    yield batcher
    batcher.close()


def some(count: int, start: int = 0) -> pa.RecordBatch:
    return batch("transitions", [transition(start + number) for number in range(count)])


def test_flush_returns_when_everything_is_written(batcher: Batcher, memory: MemorySink) -> None:
    batcher.add("transitions", some(3))
    batcher.add("sessions", batch("sessions", [session()]))
    assert not memory.blocks
    batcher.flush()
    assert memory.rows("transitions").num_rows == 3
    assert memory.rows("sessions").num_rows == 1
    batcher.flush()
    assert len(memory.blocks["transitions"]) == 1


def test_small_batches_become_large_blocks(batcher: Batcher, memory: MemorySink) -> None:
    for number in range(25):
        batcher.add("transitions", some(1, number))
    batcher.flush()
    assert [block.num_rows for block in memory.blocks["transitions"]] == [10, 10, 5]


def test_a_writer_with_nothing_to_do_takes_what_is_worth_it_and_small_change_waits() -> None:
    sink = GatedSink()
    batcher = Batcher(sink, rows_max=100, rows_fair=4)
    try:
        batcher.add("transitions", some(5))  # is taken at once
        until(lambda: not batcher._gathered)
        batcher.add("transitions", some(4, 5))
        batcher.add("transitions", some(2, 9))
        batcher.add("sessions", batch("sessions", [session()]))
        sink.gate.release()  # the first is written: the rest of its table is fair, the session is not
        until(lambda: set(batcher._gathered) == {"sessions"})
        assert [block.num_rows for block in sink.blocks["transitions"]] == [5]
    finally:
        for _ in range(2):
            sink.gate.release()
        batcher.close()
    assert [block.num_rows for block in sink.blocks["transitions"]] == [5, 6]
    assert [block.num_rows for block in sink.blocks["sessions"]] == [1]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_large_payloads_make_a_block_before_there_are_many_rows(memory: MemorySink) -> None:
    batcher = Batcher(memory, bytes_max=1000)
    for number in range(4):
        batcher.add("rejected_events", batch("rejected_events", [set_aside(number, payload=b"x" * 600)]))
    batcher.close()
    assert [block.num_rows for block in memory.blocks["rejected_events"]] == [2, 2]


def test_empty_batches_make_no_block(batcher: Batcher, memory: MemorySink) -> None:
    batcher.add("transitions", some(0))
    batcher.flush()
    assert not memory.blocks


def test_a_slow_sink_holds_the_pipeline_back() -> None:
    sink = GatedSink()
    batcher = Batcher(sink, rows_max=1)
    added = []

    def pipeline() -> None:
        for number in range(5):
            batcher.add("transitions", some(1, number))
            added.append(number)

    thread = threading.Thread(target=pipeline)
    thread.start()
    deadline = time.monotonic() + 5
    while len(added) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(added) == 2  # one being written, one gathered; the third waits
    for _ in range(5):
        sink.gate.release()
    thread.join(10)
    batcher.close()
    assert sink.rows("transitions").num_rows == 5


def test_flush_waits_for_the_acknowledgement() -> None:
    sink = GatedSink()
    batcher = Batcher(sink)
    batcher.add("transitions", some(1))
    flushed = threading.Event()
    thread = threading.Thread(target=lambda: (batcher.flush(), flushed.set()))
    thread.start()
    assert not flushed.wait(0.05)
    sink.gate.release()
    assert flushed.wait(10)
    thread.join()
    batcher.close()


def test_an_error_is_sticky_and_nothing_after_it_is_written() -> None:
    sink = FailingSink()
    batcher = Batcher(sink, rows_max=1)
    batcher.add("transitions", some(1, 0))
    batcher.flush()

    def go_on() -> None:
        for number in range(1, 50):
            batcher.add("transitions", some(1, number))
        batcher.flush()

    with pytest.raises(SinkUnavailable):
        go_on()
    for call in (batcher.flush, lambda: batcher.add("transitions", some(1)), batcher.close):
        with pytest.raises(SinkUnavailable):
            call()
    assert sink.attempts == 2
    assert not batcher._thread.is_alive()


def test_a_broken_batch_is_refused_where_it_is_added(batcher: Batcher) -> None:
    with pytest.raises(SchemaMismatch):
        batcher.add("sessions", some(1))
    batcher.flush()


def test_close_flushes_and_may_be_called_twice(memory: MemorySink) -> None:
    batcher = Batcher(memory)
    batcher.add("transitions", some(1))
    batcher.close()
    batcher.close()
    assert memory.rows("transitions").num_rows == 1


def test_counters_tell_what_was_acknowledged(memory: MemorySink) -> None:
    ticks = iter(range(100))
    batcher = Batcher(memory, clock=lambda: float(next(ticks)))
    batcher.add("sessions", batch("sessions", [session(1, version=n) for n in (1, 2, 3)]))
    assert batcher.counters() == {}
    batcher.close()
    counters = batcher.counters()["sessions"]
    assert (counters.rows, counters.rows_replaced, counters.blocks, counters.seconds) == (1, 2, 1, 1.0)
    assert counters.bytes > 0


def test_a_block_holds_each_session_once_with_its_highest_version(
    batcher: Batcher, memory: MemorySink
) -> None:
    for version in (1, 3, 2):
        batcher.add("sessions", batch("sessions", [session(1, version=version, events=version), session(2)]))
    batcher.flush()
    (block,) = memory.blocks["sessions"]
    assert sorted((row["visitor_id"], row["version"]) for row in block.to_pylist()) == [("v1", 3), ("v2", 1)]


def naive(table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rule in plain Python, row by row."""
    held: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple(row[name] for name in KEYS[table])
        before = held.pop(key, None)
        version = VERSIONS.get(table)
        older = before is not None and version is not None and row[version] < before[version]
        now = before if older else dict(row)
        for name in MAXIMA.get(table, ()):
            now[name] = max(row[name], before[name]) if before else row[name]
        held[key] = now
    return sorted(held.values(), key=lambda row: [row[name] for name in KEYS[table]])


SMALL = st.integers(0, 3)
SESSION = st.builds(
    lambda number, version, journeys: session(
        number,
        [journey(journey=f"j{n}", path=f"v{version}") for n in range(journeys)],
        version=version,
        events=version,
    ),
    SMALL,
    SMALL,
    st.just(1),
)
MINUTE = st.builds(
    lambda stage, shard, device, entered, value: minute(
        stage=f"s{stage}", shard=shard, device=f"d{device}", entered=entered, value_e4=value - 1
    ),
    SMALL, SMALL, SMALL, SMALL, SMALL,
)  # fmt: skip
FRESH = st.builds(
    lambda partition, seconds: fresh(
        partition=partition, updated_at=START.replace(second=seconds), watermark=START.replace(second=seconds)
    ),
    SMALL,
    SMALL,
)
TRANSITION = st.builds(lambda number, sequence: transition(number, sequence), SMALL, SMALL)
BLOCKS = st.one_of(
    st.tuples(st.just("sessions"), st.lists(st.lists(SESSION, max_size=6), min_size=1, max_size=4)),
    st.tuples(st.just("funnel_minute"), st.lists(st.lists(MINUTE, max_size=6), min_size=1, max_size=4)),
    st.tuples(st.just("freshness"), st.lists(st.lists(FRESH, max_size=6), min_size=1, max_size=4)),
    st.tuples(st.just("transitions"), st.lists(st.lists(TRANSITION, max_size=6), min_size=1, max_size=4)),
)


@given(BLOCKS)
@settings(max_examples=150, deadline=None)
def test_merging_is_the_naive_rule_for_any_cut(blocks: tuple[str, list[list[dict[str, Any]]]]) -> None:
    table, parts = blocks
    merged = merge(table, join([batch(table, part) for part in parts]))
    found = sorted(merged.to_pylist(), key=lambda row: [row[name] for name in KEYS[table]])
    assert found == naive(table, [row for part in parts for row in part])


@given(BLOCKS)
@settings(max_examples=40, deadline=None)
def test_keys_that_share_a_mix_are_still_told_apart(
    blocks: tuple[str, list[list[dict[str, Any]]]],
) -> None:
    table, parts = blocks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merging, "_MIX", np.uint64(0))  # every mix is 0
        merged = merge(table, join([batch(table, part) for part in parts]))
    found = sorted(merged.to_pylist(), key=lambda row: [row[name] for name in KEYS[table]])
    assert found == naive(table, [row for part in parts for row in part])


def test_a_slice_with_an_offset_merges_its_own_rows() -> None:
    whole = batch("sessions", [session(n % 5, version=n) for n in range(50)])
    assert merge("sessions", whole.slice(7, 20)).num_rows == 5
    assert {row["version"] for row in merge("sessions", whole.slice(7, 20)).to_pylist()} == set(range(22, 27))


def test_words_that_appear_twice_in_a_dictionary_are_one_word() -> None:
    good = batch("funnel_minute", [minute(entered=1), minute(entered=2)])
    double = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["view", "view"]))
    place = good.schema.get_field_index("stage")
    assert merge("funnel_minute", good.set_column(place, good.schema.field(place), double)).to_pylist() == [
        minute(entered=2)
    ]


class OrderedSink(MemorySink):
    """Remembers which table came when."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[str] = []

    def write(self, table: str, batch: pa.RecordBatch) -> None:
        self.order.append(table)
        super().write(table, batch)


def test_what_takes_an_abandonment_back_is_never_written_before_it() -> None:
    """A sink that tells rows as they come would have told a retraction of nothing."""
    for rows_max in (2, 100):  # a block that fills up, and a flush
        sink = OrderedSink()
        batcher = Batcher(sink, rows_max=rows_max)
        batcher.add("outcomes", batch("outcomes", [became(1)]))
        batcher.add("objects", batch("objects", [thing(2, state="abandoned")]))
        batcher.add("outcomes", batch("outcomes", [became(2, state="void")]))
        batcher.close()
        assert sink.order == ["objects", "outcomes"]


def test_what_has_happened_is_written_before_what_is_still_open() -> None:
    sink = OrderedSink()
    batcher = Batcher(sink)
    batcher.add("sessions", batch("sessions", [session(1)]))
    batcher.add("objects", batch("objects", [thing(1)]))
    batcher.add("transitions", batch("transitions", [transition(1, 1)]))
    batcher.close()
    assert sink.order == ["transitions", "objects", "sessions"]


def test_some_is_written_at_once_when_a_flush_is_near_and_waits_else() -> None:
    sink = OrderedSink()
    batcher = Batcher(sink, rows_fair=8)  # an eighth of it is enough
    batcher.add("transitions", batch("transitions", [transition(1, 1)]))
    batcher.hasten()
    for _ in range(500):
        if batcher.oldest_unacknowledged_at is None:
            break
        time.sleep(0.01)
    assert sink.order == ["transitions"]
    batcher.add("transitions", batch("transitions", [transition(1, 2)]))
    time.sleep(0.05)
    assert sink.order == ["transitions"]  # it was said once, of what was there
    batcher.close()
    assert sink.order == ["transitions", "transitions"]
