"""One meaning, three renderings: what `matches` and `mask` say of events, ClickHouse says of their rows."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.predicates import mask
from schemas.conditions import OPS_OF
from schemas.events import FIELDS, PROPERTY_PREFIX, arrow_type
from schemas.predicates import Predicate, matches
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.where import COLUMNS, where
from tests.definitions.strategies import PROPERTIES, Event, batch_of, comparisons, events, trees
from tests.definitions.test_predicates import CASES

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
STORED: dict[str, Any] = {"event_at": AT, "value": 0, "quantity": 0, "passive": False}
"""What an event has where nothing was said: these are never missing."""


class Rows:
    """A table of events in the embedded engine, asked as a reader asks."""

    def __init__(self, dsn: str) -> None:
        self._client = connect(target(dsn))
        columns = ", ".join(f"`{name}` {type_}" for name, type_ in COLUMNS.values())
        self._client.command(
            f"CREATE TABLE e (n UInt32, {columns}) ENGINE = MergeTree ORDER BY (site, event)"
        )

    def put(self, rows: Sequence[Event]) -> None:
        """These and no others."""
        self._client.command("TRUNCATE TABLE e")
        self._client.insert_arrow("e", table_of(rows))

    def those(self, predicate: Predicate) -> list[int]:
        condition, parameters = where(predicate)
        found = self._client.query(f"SELECT n FROM e WHERE {condition} ORDER BY n", parameters=parameters)
        return [n for (n,) in found.result_rows]

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rows]:
    rows = Rows(f"chdb://{tmp_path_factory.mktemp('where') / 'db'}")
    yield rows
    rows.close()


def stored(row: Event) -> Event:
    """The event as the pipeline would have it: what is never missing is there, and `properties` is the
    text of an object that has those that it is asked for.
    """
    event = dict.fromkeys((*FIELDS, *PROPERTIES)) | row
    event |= {name: value for name, value in STORED.items() if event[name] is None}
    found = properties(event)
    return event | {"properties": json.dumps(found) if found else ""}


def properties(event: Event) -> dict[str, str]:
    """The map of the event's row: a property that is no scalar has its key, and ''."""
    found = {"no scalar": ""} if event["properties"] else {}
    return found | {
        name.removeprefix(PROPERTY_PREFIX): value
        for name, value in event.items()
        if name.startswith(PROPERTY_PREFIX) and value is not None
    }


def table_of(rows: Sequence[Event]) -> pa.Table:
    columns: dict[str, pa.Array] = {"n": pa.array(range(len(rows)), pa.uint32())}
    for field, (name, _) in COLUMNS.items():
        values = [row[field] for row in rows]
        match FIELDS[field].kind:
            case "json":
                pairs = [list(properties(row).items()) for row in rows]
                columns[name] = pa.array(pairs, pa.map_(pa.string(), pa.string()))
            case "word" | "text":
                columns[name] = pa.array([value or "" for value in values], pa.string())
            case "list":
                columns[name] = pa.array([value or [] for value in values], pa.list_(pa.string()))
            case _:
                columns[name] = pa.array(values, arrow_type(field))
    return pa.table(columns)


def assert_one_meaning(table: Rows, predicate: Predicate, rows: Sequence[Event]) -> None:
    """All three, on rows that are in the table."""
    meant = [n for n, row in enumerate(rows) if matches(predicate, row)]
    names = {*FIELDS, *(name for row in rows for name in row)}
    assert mask(predicate, batch_of(rows, names)).nonzero()[0].tolist() == meant
    assert table.those(predicate) == meant, where(predicate)


def test_meaning_by_example(table: Rows) -> None:
    names = {*FIELDS, *(name for _, event, _ in CASES for name in event)}
    rows = [dict.fromkeys(names) | stored(event) for _, event, _ in CASES]
    table.put(rows)
    for predicate, _, _ in CASES:
        assert_one_meaning(table, predicate, rows)


stored_events = st.lists(events.map(stored), min_size=1, max_size=12)


@given(data=st.data(), rows=stored_events)
def test_a_table_says_what_its_events_say(table: Rows, data: st.DataObject, rows: list[Event]) -> None:
    table.put(rows)
    for kind in OPS_OF:
        assert_one_meaning(table, data.draw(comparisons([kind], rows)), rows)
    for tree in data.draw(st.lists(trees(comparisons(rows=rows)), min_size=3, max_size=3)):
        assert_one_meaning(table, tree, rows)
