"""Each silent cast of ClickHouse's Arrow path is stopped before it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import AT, SECOND, TABLES, WORD
from sinks.check import SchemaMismatch, conform
from tests.sinks.rows import SAMPLES, batch, journey, session, transition


def swap(table: str, column: str, array: pa.Array) -> pa.RecordBatch:
    good = batch(table, [SAMPLES[table]] * len(array))
    place = good.schema.get_field_index(column)
    return good.set_column(place, pa.field(column, array.type), array)


@pytest.mark.parametrize("table", TABLES)
def test_a_good_batch_passes_as_it_is(table: str) -> None:
    good = batch(table, [SAMPLES[table]])
    assert conform(table, good).equals(good)


@pytest.mark.parametrize(
    ("table", "column", "array"),
    [
        ("sessions", "events", pa.array([-1])),  # would be 4294967295
        ("funnel_minute", "entered", pa.array([-1])),  # would be 18446744073709551615
        ("transitions", "to_rank", pa.array([300])),  # would be 44
        ("transitions", "sequence", pa.array([65_536])),
        ("sessions", "events", pa.array([None], pa.uint32())),  # would be 0
        ("sessions", "site", pa.array([None], WORD)),  # would be ''
        ("sessions", "visitor_id", pa.array([None], pa.string())),
        ("sessions", "started_at", pa.array([1_700_000_000_000])),  # would be the year 9999
        ("sessions", "time", pa.array([1_700_000_000_000], SECOND)),
        ("sessions", "time", pa.array([-1], SECOND)),
        ("sessions", "time", pa.array([2**32], SECOND)),
        ("sessions", "started_at", pa.array([-2_208_988_800_001], AT)),
        ("sessions", "started_at", pa.array([10_413_792_000_000], AT)),
        ("sessions", "started_at", pa.array([1], pa.timestamp("us", "UTC"))),  # would lose the microsecond
        ("sessions", "started_at", pa.array([0], pa.timestamp("ms"))),  # a time of no zone
        ("sessions", "started_at", pa.array([0], pa.timestamp("ms", "Europe/Berlin"))),
        ("sessions", "value_e4", pa.array([1.5])),
        ("sessions", "value_e4", pa.array([1.0])),
        ("sessions", "is_bot", pa.array([1])),
        ("sessions", "visitor_id", pa.array([7])),
        ("sessions", "visitor_id", pa.array([b"v"])),
        ("sessions", "session_id", pa.array([b"short"])),
        ("sessions", "journeys.furthest_rank", pa.array([[256]])),
        ("sessions", "journeys.furthest_rank", pa.array([[None]], pa.list_(pa.uint8()))),
        ("sessions", "journeys.journey", pa.array([["a", None]])),
        ("sessions", "journeys.journey", pa.array([["a", "b"]])),  # not as long as those beside it
        ("sessions", "journeys.visit_left_at", pa.array([[-(2**62)]], pa.list_(AT))),
        ("late_events", "received_at", pa.array([2**60], AT)),
    ],
)
def test_nothing_is_cast_silently(table: str, column: str, array: pa.Array) -> None:
    with pytest.raises(SchemaMismatch, match=column.replace(".", r"\.")):
        conform(table, swap(table, column, array))


def test_a_null_hidden_among_the_words_is_found() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array(["a", None]))
    with pytest.raises(SchemaMismatch, match="null"):
        conform("transitions", swap("transitions", "kind", words))


@pytest.mark.parametrize(
    ("column", "array"),
    [
        ("site", pa.array(["shop"])),
        ("site", pa.array(["shop"]).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))),
        ("site", pa.array(["shop"], pa.large_string())),
        ("visitor_id", pa.array(["v1"]).dictionary_encode()),
        ("visitor_id", pa.array(["v1"], pa.large_string())),
        ("events", pa.array([1], pa.int64())),
        ("session_id", pa.array([(1).to_bytes(16, "big")])),
        ("started_at", pa.array([1_714_557_600_250_000], pa.timestamp("us", "UTC"))),
        ("journeys.furthest_rank", pa.array([[1]])),
        ("journeys.journey", pa.array([["shop"]])),
        ("journeys.journey", pa.array([["shop"]], pa.large_list(pa.string()))),
    ],
)
def test_what_loses_nothing_is_adapted(column: str, array: pa.Array) -> None:
    conformed = conform("sessions", swap("sessions", column, array))
    assert conformed.schema.equals(TABLES["sessions"])
    assert conformed.to_pylist() == [session()]


def test_columns_may_come_in_any_order_but_all_and_no_others() -> None:
    good = batch("transitions", [transition()])
    turned = good.select(good.schema.names[::-1])
    assert conform("transitions", turned).equals(good)
    with pytest.raises(SchemaMismatch, match="from_rank"):
        conform("transitions", good.drop_columns(["from_rank"]))
    with pytest.raises(SchemaMismatch, match="extra"):
        conform("transitions", good.append_column("extra", pa.array([1])))


def test_a_slice_is_judged_by_its_own_rows() -> None:
    rows: list[dict[str, Any]] = [session(1, [journey(), journey()]), session(2), session(3, [])]
    whole = batch("sessions", rows)
    assert conform("sessions", whole.slice(1, 2)).to_pylist() == rows[1:]
