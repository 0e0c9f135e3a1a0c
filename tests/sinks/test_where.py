"""One meaning, three renderings: what `matches` and `mask` say of events, ClickHouse says of their rows."""

from __future__ import annotations

import datetime as dt
import doctest
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sinks
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.decode.parse import NESTING_MAX, Digits, encode_json
from pipeline.core.predicates import mask
from schemas.conditions import OPS_OF, PROPERTY
from schemas.events import FIELDS, PROPERTY_PREFIX, arrow_type
from schemas.mappings import load_mapping
from schemas.nodes import DEPTH_MAX
from schemas.predicates import NUMBER, All, Any_, Compare, Not, Predicate, matches
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.migrate import migrate
from sinks.clickhouse.properties import DEPTH_MAX as NESTED_MAX
from sinks.clickhouse.properties import pattern_of, text_of
from sinks.clickhouse.query import Reader
from sinks.clickhouse.where import COLUMNS, where
from tests.definitions.strategies import ESCAPES, PROPERTIES, Event, batch_of, comparisons, events, trees
from tests.definitions.test_predicates import CASES

AT = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
NAME_MAX = 1_000
"""The name of a property becomes part of a pattern, and these may not be endless."""
JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
STORED: dict[str, Any] = {"event_at": AT, "value": 0, "quantity": 0, "passive": False}
"""What an event has where nothing was said: these are never missing."""


class Rows:
    """The table of events in the embedded engine, as it is made for a deployment, and a reader that asks it.
    The position of a row is its number.
    """

    def __init__(self, dsn: str) -> None:
        self._client = connect(target(dsn))
        migrate(self._client, embedded=True)
        self._reader = Reader(dsn)

    def put(self, rows: Sequence[Event]) -> None:
        """These and no others."""
        self._client.command("TRUNCATE TABLE pathline.events")
        self._client.insert_arrow("pathline.events", table_of(rows))

    def texts(self, patterns: Sequence[str]) -> list[tuple[str, ...]]:
        """The properties that the patterns find, row by row."""
        columns = [text_of("properties", f"{{p{n}:String}}") for n, _ in enumerate(patterns)]
        sql = f"SELECT {', '.join(columns)} FROM pathline.events ORDER BY position"
        parameters = {f"p{n}": pattern for n, pattern in enumerate(patterns)}
        return [tuple(row) for row in self._client.query(sql, parameters=parameters).result_rows]

    def types(self) -> dict[str, str]:
        """The columns of the table."""
        sql = "SELECT name, type FROM system.columns WHERE database = 'pathline' AND table = 'events'"
        return dict(self._client.query(sql).result_rows)

    def those(self, predicate: Predicate) -> list[int]:
        """The numbers of the rows that the condition lets through."""
        condition, parameters = where(predicate)
        return self.ask(f"SELECT position AS n FROM pathline.events WHERE {condition} ORDER BY n", parameters)

    def those_of_old(self, predicate: Predicate) -> list[int]:
        """The same by a ClickHouse before 26.7, which reads numbers less exactly."""
        condition, parameters = where(predicate)
        sql = f"SELECT position AS n FROM pathline.events WHERE {condition} ORDER BY n"
        sql += " SETTINGS precise_float_parsing = 0"
        return [n for (n,) in self._client.query(sql, parameters=parameters).result_rows]

    def ask(self, sql: str, parameters: dict[str, object]) -> list[int]:
        found: list[int] = self._reader.query(sql, parameters).column("n").to_pylist()
        return found

    def close(self) -> None:
        self._reader.close()
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
    return event | {"properties": encode_json(found).decode() if found else ""}


def properties(event: Event) -> dict[str, Any]:
    """The object that the record had: what can be a number or a boolean there is one, every other time a text
    of it; beside them something nested that has the same keys, and looks like more.
    """
    found = {
        name.removeprefix(PROPERTY_PREFIX): as_written(value)
        for name, value in event.items()
        if name.startswith(PROPERTY_PREFIX) and value is not None
    }
    if not event["properties"]:
        return found
    return {"nested": [found, '"a":"}', {"a": [None, found]}], "a more": None} | found | {"last": {}}


def as_written(text: str) -> Any:
    """The JSON of a property with this text."""
    if text in ("true", "false"):
        return text == "true"
    is_number = JSON_NUMBER.fullmatch(text) and text != "-0"
    return Digits(text) if is_number and len(text) % 2 else text


def table_of(rows: Sequence[Event]) -> pa.Table:
    columns: dict[str, pa.Array] = {"position": pa.array(range(len(rows)), pa.int64())}
    for field, (name, _) in COLUMNS.items():
        values = [row[field] for row in rows]
        match FIELDS[field].kind:
            case "json" | "word" | "text":
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


def test_the_columns_are_those_of_the_table(table: Rows) -> None:
    types = table.types()
    assert {name: types[name] for name, _ in COLUMNS.values()} == dict(COLUMNS.values())
    assert set(COLUMNS) == set(FIELDS)


stored_events = st.lists(events.map(stored), min_size=1, max_size=12)


@given(data=st.data(), rows=stored_events)
def test_a_table_says_what_its_events_say(table: Rows, data: st.DataObject, rows: list[Event]) -> None:
    table.put(rows)
    for kind in OPS_OF:
        assert_one_meaning(table, data.draw(comparisons([kind], rows)), rows)
    for op in OPS_OF[PROPERTY]:  # of all that there is to say, most is said of these
        assert_one_meaning(table, data.draw(comparisons([PROPERTY], rows, [op])), rows)
    for tree in data.draw(st.lists(trees(comparisons(rows=rows)), min_size=3, max_size=3)):
        assert_one_meaning(table, tree, rows)


NAMES = ("a", "b", 'a":1', "é\\n", "")
numbers = st.from_regex(JSON_NUMBER, fullmatch=True) | st.sampled_from(("-0", "1.50", "1e999", "9" * 30))
values = st.recursive(
    st.sampled_from(("true", "false", "null", '""'))
    | numbers
    | st.sampled_from([*NAMES, *ESCAPES]).map(json.dumps),
    lambda part: (
        st.lists(part, max_size=3).map(lambda items: f"[ {','.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(NAMES), part), max_size=3).map(lambda items: as_object(items))
    ),
    max_leaves=6,
)


def as_object(items: Sequence[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in items) + "}"


@given(st.lists(st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=5).map(as_object), max_size=8))
@example(['{"x":' + '{"a":' * (NESTING_MAX - 3) + "[]" + "}" * (NESTING_MAX - 3) + ',"a":"found"}'])
def test_a_property_is_the_text_that_the_pipeline_sees(table: Rows, found: list[str]) -> None:
    """The text of all as it is stored has no repeated keys, no white space and no needless escapes."""
    assert NESTED_MAX == NESTING_MAX
    head = '{"event_at":"2026-03-13T10:21:14Z","visitor_id":"v","event":"e","properties":'
    lines = b"".join(f"{head}{text}}}\n".encode() for text in found)
    seen = [f"{PROPERTY_PREFIX}{name}" for name in NAMES]
    decoder = Decoder(load_mapping("canonical"), ("properties", *seen), TimeBounds(1_800_000_000_000))
    decoded, _ = decoder.lines(np.frombuffer(lines + bytes(64), np.uint8)[: len(lines)], 0, 1_000)
    batch = decoded.batch
    table.put([stored({}) | {"properties": text} for text in batch.column("properties").to_pylist()])
    texts = table.texts([pattern_of(name) for name in NAMES])
    assert texts == [tuple(row.values()) for row in batch.select(seen).to_pylist()]


@given(st.lists(st.from_regex(NUMBER, fullmatch=True), min_size=1, max_size=30), st.data())
def test_a_text_is_read_as_the_nearest_double(table: Rows, numbers: list[str], data: st.DataObject) -> None:
    rows = [stored({"properties.a": text}) for text in numbers]
    number = float(data.draw(st.sampled_from(numbers)))
    near = data.draw(st.sampled_from((number, math.nextafter(number, math.inf), math.nextafter(number, 0))))
    table.put(rows)
    for op in ("eq", "lt", "lte", "gt", "gte"):
        compare = Compare("properties.a", op, near)
        assert_one_meaning(table, compare, rows)
        assert table.those_of_old(compare) == table.those(compare)


@pytest.mark.parametrize("bound", [math.inf, -math.inf, 1e308, -1e308, 5e-324])
def test_numbers_that_no_text_reaches(table: Rows, bound: float) -> None:
    rows = [stored({"properties.a": text}) for text in ("9e99", "-9e99", "0", "-0.0", "1e999", "inf", "")]
    table.put(rows)
    for op in ("eq", "ne", "lt", "lte", "gt", "gte"):
        assert_one_meaning(table, Compare("properties.a", op, bound), rows)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
@example([*ESCAPES])
@example(["é'\\" * 200_000])  # beyond what a statement may be long
def test_any_text_can_be_asked_for(table: Rows, found: list[str]) -> None:
    rows = [
        stored({"url": text, "products": [text], f"properties.{text[:NAME_MAX]}": text}) for text in found
    ]
    names = {name for row in rows for name in row}
    rows = [dict.fromkeys(names) | row for row in rows]
    table.put(rows)
    for text in found:
        for op in ("eq", "prefix", "suffix", "contains"):
            assert_one_meaning(table, Compare("url", op, text), rows)
        assert_one_meaning(table, Compare("url", "in", (text, "other")), rows)
        assert_one_meaning(table, Compare("products", "contains", text), rows)
        assert_one_meaning(table, Compare(f"properties.{text[:NAME_MAX]}", "in", (text, 1.0)), rows)


@pytest.mark.parametrize("piece", ESCAPES)
def test_no_text_of_a_user_s_is_in_the_condition(piece: str) -> None:
    for op in ("eq", "ne", "prefix", "suffix", "contains"):
        condition, parameters = where(Compare(f"properties.{piece}", op, piece))
        assert condition == where(Compare("properties.x", op, "x"))[0]
        assert parameters == {"p1": pattern_of(piece), "p2": piece}


def test_conditions_nest_as_deep_as_definitions(table: Rows) -> None:
    rows = [stored({"event": name}) for name in ("a", "b")]
    table.put(rows)
    tree: Predicate = Compare("event", "eq", "a")
    for _ in range(DEPTH_MAX // 2):
        tree = All((Any_((Not(tree), Compare("event", "eq", "c"))), Compare("site", "exists", False)))
    assert_one_meaning(table, tree, rows)


def test_conditions_share_a_query_that_joins_and_renames(table: Rows) -> None:
    table.put([stored({"event": name, "user_id": "u"}) for name in ("cart", "order", "view")])
    cart, of_cart = where(Compare("event", "eq", "cart"), table="a", prefix="cart")
    order, of_order = where(Not(Compare("event", "in", ("cart", "view"))), table="b", prefix="order")
    tables = "pathline.events AS a JOIN pathline.events AS b USING (user_id)"
    sql = f"SELECT b.position AS n, 'view' AS event FROM {tables} WHERE {cart} AND {order}"
    assert table.ask(sql, of_cart | of_order) == [1]


def test_every_parameter_is_asked_for() -> None:
    """A driver that finds none of them in a query would put them in by `%`."""
    for predicate, _, _ in CASES:
        condition, parameters = where(predicate)
        assert set(re.findall(r"\{(\w+):", condition)) == set(parameters)


def test_the_readme_s_example() -> None:
    readme = (Path(sinks.__file__).parent / "README.md").read_text()
    names = {"where": where, "Compare": Compare, "Not": Not, "All": All}
    example = doctest.DocTestParser().get_doctest(readme.replace("```", ""), names, "README", None, 0)
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_what_does_not_fit_its_field_is_a_programming_error() -> None:
    for compare in (
        Compare("event", "gt", 1),
        Compare("value", "eq", 1.5),
        Compare("passive", "eq", 1),
        Compare("properties.a", "gt", math.nan),
        Compare("event_at", "eq", "2024"),
    ):
        with pytest.raises(AssertionError):
            where(compare)
    with pytest.raises(KeyError):
        where(Compare("evnet", "eq", "a"))
    for names in ({"table": "a b"}, {"prefix": "p1"}, {"prefix": ""}):
        with pytest.raises(AssertionError):
            where(All(()), **names)
