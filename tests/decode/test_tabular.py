"""Rows of tables decode to the events that the same records give as JSON lines."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.decode.decoder import Decoded, Decoder, TimeBounds
from pipeline.core.decode.exact import ExactDecoder
from pipeline.core.decode.parse import Digits, Rejected
from pipeline.core.decode.tabular import TableRecords, table_records
from pipeline.sources.table_files import csv_reader, parquet_reader
from schemas.events import FLAGS
from schemas.mappings import load_mapping
from schemas.rejects import RECORD_BYTES_MAX
from tests.decode.reference import Fate, block, fates, rows

NEEDED = ("user_id", "url", "source", "value", "currency", "quantity", "properties.a", "products")
DECODER = Decoder(load_mapping("canonical"), NEEDED, TimeBounds(1_800_000_000_000))
EXACT = ExactDecoder(DECODER.mapping, DECODER.needed, DECODER.bounds)
ECOM = Path(__file__).parents[3] / "shared" / "data" / "ecom" / "ecom.csv.gz"

TEXTS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=12)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "event_at": st.datetimes(dt.datetime(1999, 12, 30), dt.datetime(2028, 1, 1)).map(
                lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
            ),
            "visitor_id": st.sampled_from(["v1", "v2", "é", ""]),
            "event": TEXTS,
            "source": st.sampled_from(["", "a", "b"]),
            "url": TEXTS,
            "value": st.integers(-100, 10**9).map(lambda n: n / 100),
            "currency": st.sampled_from(["EUR", "eur", "odd!", ""]),
            "quantity": st.integers(-5, 10**6),
            "passive": st.booleans(),
            "products": st.sampled_from(["", "sku-1", "sku-2"]),
        }
    ),
    min_size=1,
    max_size=12,
)


def of_lines(records: list[dict[str, Any]]) -> list[Fate]:
    lines = [json.dumps(record, default=lambda time: time.isoformat()).encode() for record in records]
    return fates(DECODER.lines(block(lines), 0, len(lines))[0])


def of_batch(batch: pa.RecordBatch, decoder: Decoder = DECODER) -> Decoded:
    return decoder.records(table_records(batch, decoder.paths))


def reasons(found: list[Fate]) -> list[Any]:
    """Fates without payloads: those of rows are not those of lines."""
    return [fate[0] if isinstance(fate, tuple) else fate for fate in found]


@given(RECORDS)
def test_csv_rows_are_the_events_of_json_lines(records: list[dict[str, Any]]) -> None:
    names = list(records[0])
    columns = [pa.array([_cell(record[name]) for record in records]) for name in names]
    out = io.BytesIO()
    pa_csv.write_csv(pa.record_batch(columns, names=names), out)
    (part,) = csv_reader(io.BytesIO(out.getvalue()))
    assert part.position.tolist() == list(range(1, len(records) + 1))
    assert reasons(fates(of_batch(part.batch))) == reasons(of_lines(records))


def _cell(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, bool) else str(value)


@given(RECORDS, st.sampled_from(["ms", "us", "ns"]), st.sampled_from([None, "UTC", "Europe/Berlin"]))
def test_parquet_rows_are_the_events_of_json_lines(
    records: list[dict[str, Any]], unit: str, zone: str | None
) -> None:
    table = pa.Table.from_pylist(records)
    times = pa.array([record["event_at"] for record in records], pa.timestamp(unit))
    if zone:
        times = times.cast(pa.int64()).cast(pa.timestamp(unit, zone))
    table = table.set_column(table.schema.get_field_index("event_at"), "event_at", times)
    out = io.BytesIO()
    pq.write_table(table, out, use_dictionary=["event", "source"])
    (part,) = parquet_reader(io.BytesIO(out.getvalue()))
    assert reasons(fates(of_batch(part.batch))) == reasons(of_lines(records))


AT = dt.datetime(2026, 3, 13, 10, 21, 14, 165_999)
COLUMNS: dict[str, tuple[str, pa.Array]] = {
    "whole float": ("visitor_id", pa.array([12345.0, None, 1e15])),
    "float": ("value", pa.array([12.5, float("nan"), 1e-7])),
    "float32": ("value", pa.array([12.34, None, 16777216.0], pa.float32())),
    "half float": ("value", pa.array([0.5, 2.0, None], pa.float32()).cast(pa.float16())),
    "infinite": ("value", pa.array([float("inf"), float("-inf"), -0.0])),
    "float in a text": ("url", pa.array([1.5, 1e300, None])),
    "decimal": ("value", pa.array([Decimal("12.50"), Decimal(-1), None], pa.decimal128(12, 4))),
    "small decimal": ("value", pa.array([Decimal("1E-9"), None, Decimal(2)], pa.decimal128(20, 9))),
    "whole decimal": ("user_id", pa.array([Decimal(5), None, Decimal(-5)], pa.decimal128(5, 0))),
    "int64": ("quantity", pa.array([2**62 - 1, -3, None])),
    "uint64": ("quantity", pa.array([2**64 - 1, 3, None], pa.uint64())),
    "negative in a text": ("url", pa.array([-5, 0, None])),
    "bool in a flag": ("passive", pa.array([True, False, None])),
    "int in a flag": ("passive", pa.array([1, 0, 2])),
    "text in a flag": ("passive", pa.array(["true", "", "no"])),
    "bool in a property": ("a", pa.array([True, False, None])),
    "float in a property": ("a", pa.array([1.5, -2.0, 1e-7])),
    "list in a property": ("a", pa.array([["x"], [], None])),
    "date": ("event_at", pa.array([AT.date(), None, AT.date()])),
    "date64": ("event_at", pa.array([AT.date(), None, AT.date()], pa.date64())),
    "timestamp s": ("received_at", pa.array([AT.replace(microsecond=0), None, None], pa.timestamp("s"))),
    "timestamp in a text": ("url", pa.array([AT, None, AT], pa.timestamp("us", "UTC"))),
    "timestamp in a property": ("a", pa.array([AT, None, AT], pa.timestamp("ns"))),
    "time of day": ("url", pa.array([AT.time(), None, AT.time()])),
    "duration in a property": ("a", pa.array([dt.timedelta(seconds=1), None, None])),
    "dictionary": ("event", pa.array(["a", None, "b"]).dictionary_encode()),
    "large text": ("event", pa.array(["a", None, "b"], pa.large_string())),
    "text view": ("event", pa.array(["a", None, "b"], pa.string_view())),
    "binary": ("event", pa.array([b"a", None, b"\xff"])),
    "fixed binary": ("event", pa.array([b"ab", None, b"cd"], pa.binary(2))),
    "binary with a null byte": ("nobody", pa.array([b"a\0", None, b"b"])),
    "null": ("event", pa.nulls(3)),
    "struct in a text": ("event", pa.array([{"a": 1}, None, {"a": 2}])),
    "list of texts": ("products", pa.array([["a", "b"], None, []])),
    "list of numbers": ("products", pa.array([[1, 2], None, [3]])),
    "list of structs": ("products", pa.array([[{"id": "a", "n": 1.5}], None, [{"id": "", "n": None}]])),
    "large list": ("products", pa.array([["a"], ["b", None], None], pa.large_list(pa.string()))),
}


@pytest.mark.parametrize("what", COLUMNS)
def test_every_type_of_column_is_as_the_exact_decoder_sees_it(what: str) -> None:
    """The kernels' view of a batch against `exact` on each of its rows; also of a slice of it."""
    name, column = COLUMNS[what]
    columns = {
        "event_at": pa.array([AT] * 3),
        "visitor_id": pa.array(["v"] * 3),
        "event": pa.array(["e"] * 3),
    }
    batch = pa.record_batch(columns | {name: column})
    if name == "a":
        batch = pa.record_batch(columns | {"properties": pa.StructArray.from_arrays([column], ["a"])})
    assert fates(of_batch(batch)) == [exact_fate(batch, row) for row in range(3)]
    assert fates(of_batch(batch.slice(1))) == [exact_fate(batch, row) for row in (1, 2)]


def exact_fate(batch: pa.RecordBatch, row: int) -> Fate:
    records = TableRecords(batch, ())
    try:
        event = EXACT.decode(records.exact(row))
    except Rejected as rejected:
        return str(rejected.reason), records.payload(row)
    return {**event.values, FLAGS: event.flags}


def test_a_row_is_the_record_that_json_would_give() -> None:
    row = {
        "text": "é", "whole": 5, "float": 1.5, "round": 2.0, "yes": True, "none": None,
        "decimal": Decimal("1.50"), "list": [1.5, None], "struct": {"at": AT, "deep": {"x": "y"}},
        "structs": [{"a": 1}, None],
    }  # fmt: skip
    batch = pa.RecordBatch.from_pylist([row])
    map_ = pa.array([[("k", 1.5)]], pa.map_(pa.string(), pa.float64()))
    records = TableRecords(batch.append_column("map", map_), ())
    iso = "2026-03-13 10:21:14.165"
    assert records.exact(0) == {
        "text": "é", "whole": 5, "float": Digits("1.5"), "round": 2, "yes": True, "none": None,
        "decimal": Digits("1.50"), "list": [Digits("1.5"), None], "struct": {"at": iso, "deep": {"x": "y"}},
        "structs": [{"a": 1}, None], "map": {"k": Digits("1.5")},
    }  # fmt: skip
    assert records.payload(0).decode() == (
        '{"text":"é","whole":5,"float":1.5,"round":2,"yes":true,"none":null,"decimal":1.50,"list":[1.5,null],'
        '"struct":{"at":"' + iso + '","deep":{"x":"y"}},"structs":[{"a":1},null],"map":{"k":1.5}}'
    )


def test_nested_columns_by_path(tmp_path: Path) -> None:
    path = tmp_path / "nested.yaml"
    path.write_text(
        "mapping: nested\nfields:\n  event_at: {path: meta.at, format: epoch_ms}\n  event: {const: e}\n"
        "  visitor_id: {paths: [ids.anonymous, ids.user.id]}\n  value: tags.value\n"
    )
    decoder = Decoder(load_mapping(str(path)), ("value",), TimeBounds(1_800_000_000_000))
    at = pa.array([AT] * 4, pa.timestamp("us", "UTC"))
    ids = pa.array(
        [{"anonymous": "a", "user": {"id": 1}}, {"anonymous": None, "user": {"id": 2}}, {"user": None}, None]
    )
    tags = pa.array([[("value", "1.5")], [], None, None], pa.map_(pa.string(), pa.string()))
    batch = pa.record_batch({"meta": pa.StructArray.from_arrays([at], ["at"]), "ids": ids, "tags": tags})
    found = of_batch(batch, decoder)
    assert [(e["visitor_id"], e["event_at"], e["value"]) for e in rows(found.batch)] == [
        ("a", 1_773_397_274_165, 15_000),
        ("2", 1_773_397_274_165, 0),
    ]
    assert [reject.reason for reject in found.rejects] == ["no_visitor", "no_visitor"]


def test_a_row_that_is_too_large_is_rejected() -> None:
    texts = [b"x" * (RECORD_BYTES_MAX // 2), b"x", b"x" * RECORD_BYTES_MAX]
    columns = {"event_at": [b"2026-03-13T10:21:14Z"] * 3, "visitor_id": [b"v"] * 3, "event": [b"e"] * 3}
    found = of_batch(pa.record_batch(columns | {"x": texts}))
    assert [(reject.row, reject.reason) for reject in found.rejects] == [(2, "too_large")]


@pytest.mark.skipif(not ECOM.exists(), reason="the shop's clickstream is not beside the repository")
def test_a_shop_of_retentioneering_has_no_rejects() -> None:
    decoder = Decoder(load_mapping("ecom"), ("device", "channel", "user_id"), TimeBounds(1_800_000_000_000))
    read = [of_batch(part.batch, decoder) for part in csv_reader(ECOM)]
    assert sum(found.records for found in read) == sum(len(found.batch) for found in read) == 31_106
