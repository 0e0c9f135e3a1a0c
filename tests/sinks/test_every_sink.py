"""One behaviour, every sink: what sinks.base.Sink promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sinks.base import Deployment, Sink, SinkRefused
from sinks.check import SchemaMismatch
from tests.sinks.places import OURS, PLACES, Place, rows
from tests.sinks.rows import (
    EPOCH,
    SAMPLES,
    START,
    at,
    batch,
    conserved,
    event,
    fresh,
    journey,
    minute,
    session,
    set_aside,
    transition,
)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return PLACES[request.param](tmp_path)


@pytest.fixture
def sink(place: Place) -> Iterator[Sink]:
    sink = place.sink()
    sink.open(OURS)
    yield sink
    sink.close()


Write = Callable[..., None]


@pytest.fixture
def write(sink: Sink) -> Write:
    """Each argument after the table is one block of one row, or a list of rows."""

    def write(table: str, *blocks: Any) -> None:
        for block in blocks:
            sink.write(table, batch(table, block if isinstance(block, list) else [block]))

    return write


def test_every_table_keeps_every_value_and_written_twice_is_once(write: Write, place: Place) -> None:
    for table, row in SAMPLES.items():
        write(table, row, row, [row, row])
    for table, row in SAMPLES.items():
        assert rows(place, table) == [row]


def test_the_highest_version_holds_in_any_order_and_any_cut(write: Write, place: Place) -> None:
    first, second, third = (session(1, events=n, version=n) for n in (1, 2, 3))
    write("sessions", third, first, second)
    assert rows(place, "sessions") == [third]
    other = [session(2, events=n, version=n) for n in (1, 2)]
    write("sessions", [*other, first], [other[0]])
    assert rows(place, "sessions") == [third, other[1]]


def test_lists_of_journeys_keep_their_order_and_may_be_empty(write: Write, place: Place) -> None:
    both = session(1, [journey(), journey(journey="loan", value_e4=-5, visit_left_at=START)])
    none = session(2, [])
    write("sessions", [both, none], [none, both])
    assert rows(place, "sessions") == [both, none]


def test_counters_merge_each_by_its_maximum_whatever_comes_first(write: Write, place: Place) -> None:
    write("funnel_minute", minute(entered=5, value_e4=9), minute(entered=3, advanced=2), minute(shard=1))
    write("conservation", [conserved(received=2, accepted=2), conserved(received=3, accepted=2, late=1)])
    write("conservation", conserved(received=1, accepted=1))
    assert rows(place, "funnel_minute") == [minute(entered=5, advanced=2, value_e4=9), minute(shard=1)]
    assert rows(place, "conservation") == [conserved(received=3, accepted=2, late=1)]


def test_freshness_keeps_the_latest(write: Write, place: Place) -> None:
    newer = fresh(watermark=at("2024-05-01T11:00:00"), updated_at=at("2024-05-01T11:00:00"))
    write("freshness", newer, fresh(), fresh(site="other"))
    assert rows(place, "freshness") == [fresh(site="other"), newer]


def test_transitions_differ_by_sequence_journey_and_session(write: Write, place: Place) -> None:
    many = [transition(1, 1), transition(1, 2), transition(1, 1, journey_version=2), transition(2, 1)]
    write("transitions", many, many[::-1])
    assert len(rows(place, "transitions")) == 4


def test_events_differ_by_where_they_lay_and_keep_lists_json_and_nulls(write: Write, place: Place) -> None:
    many = [
        event(1, products=[], properties="", received_at=START),
        event(2, products=["", "ключ 'x'"], properties='{"a":{"b":[1.50,"\\u0000"]}}', flags=3),
        event(2, partition=1, quantity=-(2**63), value_e4=2**63 - 1, passive=True),
    ]
    many.insert(1, event(1, input="other"))
    write("events", many, many[::-1])
    assert rows(place, "events") == [many[0], many[2], many[3], many[1]]


def test_events_of_many_years_in_one_block_are_kept(write: Write, place: Place) -> None:
    write(
        "events",
        [
            event(number, event_at=at(f"{2000 + number // 12}-{number % 12 + 1:02}-15T12:00:00.001"))
            for number in range(200)
        ],
    )
    assert len(rows(place, "events")) == 200


@pytest.mark.parametrize(
    "text", ["", "a'b\"c`d\\e", "tab\tline\nend\r", "ключ 鍵 🛒 e\u0301", "{x:String};--/*", "\x01\x7f"]
)
def test_text_is_kept_to_the_letter(write: Write, place: Place, text: str) -> None:
    row = session(1, entry_url=text, visitor_id=text, campaign=text)
    write("sessions", row)
    assert rows(place, "sessions") == [row]


def test_payload_keeps_any_bytes(write: Write, place: Place) -> None:
    row = set_aside(payload=bytes(range(256)), event_at=None, received_at=None)
    write("rejected_events", row)
    assert rows(place, "rejected_events") == [row]


def test_an_empty_batch_is_nothing(write: Write, place: Place) -> None:
    for table in SAMPLES:
        write(table, [])
        assert rows(place, table) == []


def test_limits_of_numbers_and_times_survive(write: Write, place: Place) -> None:
    most = session(1, events=2**32 - 1, value_e4=-(2**63), ended_at=at("2299-12-31T23:59:59.999"))
    old = session(2, started_at=at("1970-01-01T00:00:00"), ended_at=EPOCH, value_e4=2**63 - 1)
    write("sessions", [most, old])
    assert rows(place, "sessions") == sorted([most, old], key=lambda row: row["time"])


def test_a_block_over_many_years_is_kept_whole(write: Write, place: Place) -> None:
    many = [
        transition(number, at=at(f"{1990 + number // 12}-{number % 12 + 1:02}-15T12:00:00"))
        for number in range(200)
    ]
    write("transitions", many)
    assert len(rows(place, "transitions")) == 200


def test_closed_and_opened_again_it_goes_on(place: Place) -> None:
    for number in (1, 2):
        sink = place.sink()
        sink.open(OURS)
        sink.write("sessions", batch("sessions", [session(number)]))
        sink.close()
    assert rows(place, "sessions") == [session(1), session(2)]


@pytest.mark.parametrize("other", [Deployment("d2", 8, 1), Deployment("d1", 16, 1), Deployment("d1", 8, 2)])
def test_another_deployment_is_refused_and_leaves_no_trace(place: Place, other: Deployment) -> None:
    sink = place.sink()
    sink.open(OURS)
    sink.close()
    stranger = place.sink()
    with pytest.raises(SinkRefused) as refused:
        stranger.open(other)
    assert refused.value.hint
    again = place.sink()
    again.open(OURS)
    again.close()


def test_a_batch_that_breaks_the_contract_is_not_sent(sink: Sink, place: Place) -> None:
    wrong = batch("transitions", [transition()])
    with pytest.raises(SchemaMismatch):
        sink.write("sessions", wrong)
    with pytest.raises(SchemaMismatch):
        sink.write("nothing", wrong)
    assert rows(place, "sessions") == []
