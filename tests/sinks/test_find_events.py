"""One visitor, order or cart among all events: what it takes to find them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from schemas.tables import EVENTS
from sinks.clickhouse.query import Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import event

MANY = 90_000
"""Of 1,000 visitors, in some ten granules (of 8,192 rows); each has an order, a cart and an account."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    number = np.arange(MANY)
    rows = {field.name: pa.array([event()[field.name]] * MANY, plain(field.type)) for field in EVENTS}
    rows |= {"position": pa.array(number), "visitor_id": pa.array([f"v{n // 90:03}" for n in number])}
    for name in ("order_id", "cart_id", "user_id"):
        rows[name] = pa.array([f"{name[0]}{n // 90}" if n % 9 == 0 else "" for n in number])
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('find') / 'db'}")
    sink.open(OURS)
    sink.write("events", pa.record_batch(rows))
    with sink.reader() as reader:
        yield reader
    sink.close()


def plain(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


@pytest.mark.parametrize(
    ("question", "index"),
    [
        ("site = 'shop' AND visitor_id = 'v007'", "PrimaryKey"),
        ("visitor_id = 'v007'", "PrimaryKey"),
        ("order_id = 'o777'", "by_order"),
        ("cart_id = 'c777'", "by_cart"),
        ("user_id = 'u777'", "by_user"),
    ],
)
def test_little_is_read_to_find_the_events_of_one(reader: Reader, question: str, index: str) -> None:
    """Two granules at most: rows of one visitor may lie across a border, and an index has false friends."""
    asked = reader.query(f"EXPLAIN indexes = 1 SELECT * FROM bi.events WHERE {question}").to_pylist()
    plan = "\n".join(str(row["explain"]) for row in asked)
    granules = re.search(rf"{index}\n.*?Granules: (\d+)/(\d+)", plan, re.DOTALL)
    assert granules, plan
    assert 1 <= int(granules[1]) <= 2 < 10 <= int(granules[2]), plan
    found = reader.query(f"SELECT count() AS n FROM bi.events WHERE {question}").to_pylist()
    assert found == [{"n": 90 if index == "PrimaryKey" else 10}]
