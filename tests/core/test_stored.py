"""Rows of the table events say what the records said, batch by batch, and all that was accepted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.admit.admit import Admission, Admit, Admitted, Partition
from pipeline.core.decode.decoder import Decoder, TimeBounds
from pipeline.core.enrich.enrich import Enrich, needed_fields
from pipeline.core.stored import STORED_FIELDS, StoredEvents
from schemas.events import FIELDS, FLAG_BAD_VALUE, FLAG_CLOCK_SKEW
from schemas.tables import EVENTS
from sinks.check import conform
from tests.core.made import CANONICAL, ROWS, Row
from tests.harness import iso
from tests.stories import SHOP
from tests.strategies import START

STORED = StoredEvents(["zero.jsonl", "one.jsonl"])
DECODER = Decoder(CANONICAL, needed_fields([SHOP]), TimeBounds(4_102_444_800_000), STORED_FIELDS)


def record(at: int = 0, **fields: Any) -> Row:
    return {"visitor_id": "a", "event": "view", "event_at": iso(START + at), **fields}


def admitted(records: Sequence[Row | str], partition: int = 1) -> Admitted:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in records)
    decoded, _ = DECODER.lines(np.frombuffer(text.encode(), np.uint8), 0, len(records) + 1)
    admit = Admit(Partition(f"{partition}", partition, 0), Admission(10_000, 600_000, 1_000, ()))
    return admit.apply(decoded, np.arange(decoded.records) + 1)


def stored(records: Sequence[Row | str], partition: int = 1) -> pa.RecordBatch:
    accepted = admitted(records, partition)
    return STORED.rows(accepted, Enrich([SHOP]).apply(accepted, partition), partition)


def test_the_table_has_every_field_of_an_event() -> None:
    renamed = {"value": "value_e4"}
    beside = {"flags", "input", "partition", "position"}
    assert set(EVENTS.names) == {renamed.get(name, name) for name in FIELDS} | beside


def test_every_field_is_kept_as_it_was_said() -> None:
    said = {
        "event_id": "e1", "received_at": iso(START + 1), "event": "cart", "user_id": "u", "site": "shop",
        "url": "https://shop.example/ü", "referrer": "https://t.co/x", "source": "news", "medium": "email",
        "campaign": "spring", "channel": "ads", "device": "mobile", "country": "NL", "cart_id": "c1",
        "order_id": "o1", "products": ["p1", "p2"], "quantity": 3, "value": 19.99, "currency": "eur",
        "passive": True, "properties": {"colour": "red", "n": 1.50},
    }  # fmt: skip
    (row,) = stored([record(**said)]).to_pylist()
    told = {name: row[name] for name in said if name in row}
    changed = {"currency": "EUR", "properties": '{"colour":"red","n":1.5}'}
    at = {name: row.pop(name).timestamp() * 1000 for name in ("event_at", "received_at")}
    assert at == {"event_at": START, "received_at": START + 1}
    del said["value"], said["received_at"], told["received_at"]
    assert told == said | changed
    assert (row["visitor_id"], row["value_e4"], row["flags"]) == ("a", 199_900, 0)
    assert (row["input"], row["partition"], row["position"]) == ("one.jsonl", 1, 1)


def test_what_was_not_said_is_empty_and_ids_come_from_positions() -> None:
    (row,) = stored([record()]).to_pylist()
    assert row.pop("event_id").endswith(":000000000001")
    empty = {name for name, value in row.items() if not value}
    assert empty == set(EVENTS.names) - {
        "visitor_id", "event", "event_at", "event_id", "input", "partition", "position",
    }  # fmt: skip
    assert row["received_at"] is None


def test_only_what_was_accepted_is_stored() -> None:
    rows = stored(
        [
            record(0, event_id="1"),
            record(60_000, event_id="2"),
            record(60_000, event_id="2"),  # duplicate
            "nonsense",
            record(0, event_id="3"),  # late
            record(61_000, event_id="4"),
        ]
    )
    assert rows.column("position").to_pylist() == [1, 2, 6]
    assert rows.column("event_id").to_pylist() == ["1", "2", "4"]


def test_the_channel_is_the_one_that_the_rules_found() -> None:
    rows = stored(
        [
            record(source="google", medium="cpc"),
            record(channel="ads", source="google", medium="cpc"),
            record(),
        ]
    )
    assert rows.column("channel").to_pylist() == ["paid_search", "ads", ""]
    assert set(rows.column("channel").dictionary.to_pylist()) == {"paid_search", "ads", ""}


def test_flags_tell_what_was_odd() -> None:
    rows = stored(
        [
            record(value="much", currency="EUR"),
            record(400_000, received_at=iso(START)),
            record(value=1, currency="euro"),
        ]
    )
    assert rows.column("flags").to_pylist() == [FLAG_BAD_VALUE, FLAG_CLOCK_SKEW, FLAG_BAD_VALUE]
    assert rows.column("value_e4").to_pylist() == [0, 0, 0]


def test_what_is_only_stored_has_no_record_rejected() -> None:
    odd = {"cart_id": {"a": 1}, "order_id": True, "products": [[1]], "quantity": "many", "properties": 7}
    (row,) = stored([record(**odd)]).to_pylist()
    assert [row[name] for name in odd] == ["", "", [], 0, ""]


MORE = st.fixed_dictionaries(
    {},
    optional={
        "cart_id": st.sampled_from(["c1", "c2", 7]),
        "order_id": st.text(max_size=3),
        "products": st.lists(st.sampled_from(["p1", "p2", {"id": "p3"}]), max_size=3),
        "quantity": st.integers(-3, 3),
        "properties": st.dictionaries(st.text(max_size=2), st.integers() | st.text(max_size=3), max_size=3),
    },
)


@given(st.lists(st.tuples(ROWS, MORE), min_size=1, max_size=12), st.integers(0, 12))
def test_a_row_does_not_depend_on_the_batch_it_came_in(said: list[tuple[Row, Row]], cut: int) -> None:
    records = [
        record(number, event_id=str(number)) | {k: v for k, v in row.items() if k != "at"} | more
        for number, (row, more) in enumerate(said)
    ]
    whole = stored(records)
    assert conform("events", whole) is not None
    parts = [part for part in (records[:cut], records[cut:]) if part]
    apart = [row for part in parts for row in stored(part).to_pylist()]
    for row, number in zip(apart, range(len(records)), strict=True):
        row["position"] = number + 1
    assert apart == whole.to_pylist()
    assert len(whole) == len(records)
