"""Reading: Arrow out with real types, and no way to change or leave the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from sinks.clickhouse.query import QueryRefused, Reader
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import batch, session


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('read') / 'db'}")
    sink.open(OURS)
    sink.write("sessions", batch("sessions", [session(1), session(2)]))
    reader = sink.reader()  # beside the writer, in the same process
    yield reader
    reader.close()
    sink.close()


def test_times_come_as_times_and_parameters_are_bound(reader: Reader) -> None:
    table = reader.query(
        "SELECT started_at, max(events) AS n FROM bi.sessions WHERE visitor_id = {who:String} "
        "GROUP BY started_at;",
        {"who": "v1"},
    )
    assert table.schema.field("started_at").type == pa.timestamp("s", "UTC")
    assert table.to_pylist() == [{"started_at": datetime(2024, 5, 1, 10, tzinfo=UTC), "n": 1}]
    told = reader.query("-- who came?\n-- when?\nSELECT started_at FROM bi.sessions -- all")
    assert told.schema.field("started_at").type == pa.timestamp("s", "UTC")
    assert reader.query("SELECT {x:String} AS x", {"x": "'; DROP TABLE y"}).to_pylist() == [
        {"x": "'; DROP TABLE y"}
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES FROM bi",
        "DESCRIBE TABLE bi.sessions",
        "EXPLAIN SELECT 1",
        "EXISTS TABLE bi.sessions",
        " -- why\nWITH 1 AS x SELECT x",
        "(SELECT 1) UNION ALL (SELECT 2)",
    ],
)
def test_reads_are_answered(reader: Reader, sql: str) -> None:
    assert reader.query(sql).num_rows


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE pathline.sessions",
        "INSERT INTO pathline.sessions (site) VALUES ('x')",
        "SET readonly = 0",
        "KILL QUERY WHERE 1",
        "USE bi",
        "SELECT 1 INTO OUTFILE '/tmp/pathline-should-not-exist'",
        "SELECT 1 INTO /* */ OUTFILE '/tmp/pathline-should-not-exist'",
        "SELECT 1 -- '\nINTO OUTFILE '/tmp/pathline-should-not-exist'",
        "SELECT 1 /* /* */ ' */ INTO OUTFILE '/tmp/pathline-should-not-exist' -- '",
        "SELECT $$ ' $$ INTO OUTFILE '/tmp/pathline-should-not-exist' -- '",
        "/* /* */ SELECT */ KILL QUERY WHERE 1",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM s3('http://127.0.0.1:9/bucket/key', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "SELECT * FROM executable('id', 'LineAsString')",
        "WITH 1 AS x INSERT INTO pathline.sessions (site) SELECT 'x'",
        "SELECT nonsense",
        "",
    ],
)
def test_whatever_is_not_a_read_is_refused(reader: Reader, sql: str) -> None:
    with pytest.raises(QueryRefused):
        reader.query(sql)
    assert not Path("/tmp/pathline-should-not-exist").exists()
    assert reader.query("SELECT count() AS n FROM bi.sessions").to_pylist() == [{"n": 2}]
