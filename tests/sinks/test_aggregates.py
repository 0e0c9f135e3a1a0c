"""Hours and days are computed anew from the facts whenever these change, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sinks.base import Deployment
from sinks.clickhouse.query import Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.rows import START, batch, journey, session, thing, transition

COUNTS = "entered, advanced, abandoned, recovered, voided, converted"
HOUR = START.replace(minute=0, second=0, microsecond=0)


class Store:
    """An embedded database, written and asked."""

    def __init__(self, folder: Path) -> None:
        self.sink = ClickHouseSink(f"chdb://{folder / 'db'}")
        self.sink.open(Deployment("d", 1, 1))
        self.reader: Reader = self.sink.reader()

    def write(self, table: str, *rows: dict[str, Any]) -> None:
        self.sink.write(table, batch(table, list(rows)))

    def ask(self, sql: str) -> list[dict[str, Any]]:
        return list(self.reader.query(sql).to_pylist())

    def hours(self, view: str = "funnel_hour") -> list[tuple[Any, ...]]:
        found = self.ask(f"SELECT time, stage, {COUNTS}, visitors FROM bi.{view} ORDER BY time, stage")
        return [tuple(row.values()) for row in found]

    def generation(self) -> int:
        return int(self.ask("SELECT max(generation) AS n FROM pathline.funnel_hour")[0]["n"])

    def close(self) -> None:
        self.reader.close()
        self.sink.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_what_is_written_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        store.write(
            "transitions", transition(1), transition(2), transition(1, 2, from_stage="view", kind="advance")
        )
        store.sink.settle()
        assert store.hours() == [(HOUR, "view", 3, 1, 0, 0, 0, 0, 2)]
    assert store.hours("funnel_day") == [(HOUR.replace(hour=0), "view", 3, 1, 0, 0, 0, 0, 2)]


def test_an_hour_that_gets_a_late_fact_is_told_anew_and_the_others_stand(store: Store) -> None:
    later = START + timedelta(hours=5)
    store.write("transitions", transition(1), transition(2, at=later))
    store.sink.settle()
    store.write("transitions", transition(3))
    store.sink.settle()
    assert [(row[0], row[2]) for row in store.hours()] == [(HOUR, 2), (HOUR + timedelta(hours=5), 1)]
    assert [row[2] for row in store.hours("funnel_day")] == [3]


def test_a_key_that_has_vanished_is_not_told_any_more(store: Store) -> None:
    """A stay that was given up by its timer is taken up again: the session says so in its next version."""
    lost = journey(visit_left_by="abandoned", visit_left_at=START, visit_deadline_at=START)
    store.write("sessions", session(1, [lost], version=1))
    store.sink.settle()
    assert store.hours() == [(HOUR, "view", 0, 0, 1, 0, 0, 0, 0)]
    store.write("sessions", session(1, [journey(visit_left_at=START)], version=2))
    store.sink.settle()
    assert store.hours() == []
    assert store.hours("funnel_day") == []
    assert store.ask("SELECT count() AS n FROM pathline.funnel_hour FINAL") == [{"n": 1}], (
        "the zeros are kept"
    )


def test_what_may_have_lost_facts_by_their_age_stays_as_it_is(store: Store) -> None:
    store.write("transitions", transition(1), transition(2))
    store.sink.settle()
    old = "INSERT INTO pathline.funnel_hour SELECT * REPLACE (now() - INTERVAL 391 DAY AS oldest_written_at, "
    store.sink._client.command(old + "generation + 1 AS generation) FROM pathline.funnel_hour")
    store.sink._client.command("TRUNCATE TABLE pathline.transitions")  # as expiry does
    store.write("transitions", transition(3))
    store.sink.settle()
    assert [row[2] for row in store.hours()] == [2]


def test_where_nothing_is_written_nothing_is_computed(store: Store) -> None:
    store.write("objects", thing(1))
    store.sink.settle()
    assert store.generation() == 0, "an open cart is no occurrence"
    store.write("objects", thing(2, state="abandoned", final_state="abandoned", abandoned_at=START))
    store.sink.settle()
    assert store.hours() == [(HOUR, "view", 0, 0, 1, 0, 0, 0, 0)]


def test_the_engine_computes_them_by_itself(store: Store) -> None:
    scheduled = {row["view"] for row in store.ask("SELECT view FROM system.view_refreshes")}
    assert scheduled == {"funnel_hour_refresh", "funnel_day_refresh"}
    store.write("transitions", transition(1))
    for view in ("funnel_hour_refresh", "funnel_day_refresh"):
        store.sink._client.command(f"SYSTEM REFRESH VIEW pathline.{view}")
        store.sink._client.command(f"SYSTEM WAIT VIEW pathline.{view}")
    assert store.hours() == [(HOUR, "view", 1, 0, 0, 0, 0, 0, 1)]
    assert [row[2] for row in store.hours("funnel_day")] == [1]
