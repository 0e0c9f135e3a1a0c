"""One insert per block: what is tried again, what stops, and that the bytes are the same each time."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import stamina
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from sinks.base import SinkRefused, SinkUnavailable
from sinks.clickhouse.client import INSERTS_FOLDER
from sinks.clickhouse.errors import is_transient
from sinks.clickhouse.writer import PARTITIONS_MAX, SERVER_SETTINGS, ClickHouseSink, by_months
from tests.sinks.places import OURS
from tests.sinks.rows import SAMPLES, at, batch, session, set_aside, transition

DSN = "clickhouse://u:s3cret@h:8123"


class Server:
    """Answers each insert with the next error of its list, then with success."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.inserts: list[tuple[str, bytes, dict[str, str]]] = []

    def raw_insert(
        self,
        table: str,
        column_names: list[str],
        insert_block: memoryview,
        settings: dict[str, str],
        fmt: str,
    ) -> None:
        assert fmt == "Arrow"
        self.inserts.append((table, bytes(insert_block), settings))
        if self.errors:
            raise self.errors.pop(0)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=5):
        yield


def sink_on(server: Server) -> ClickHouseSink:
    sink = ClickHouseSink(DSN)
    sink._client = server
    return sink


def coded(code: int) -> DatabaseError:
    return DatabaseError(f"Code: {code}. DB::Exception: something about s3cret", code=code)


@pytest.mark.parametrize(
    "error",
    [
        *(coded(code) for code in (159, 202, 209, 210, 236, 241, 242, 252, 319, 999)),
        OperationalError("Error executing HTTP request"),
        DatabaseError("HTTP driver received HTTP status 503"),
        DatabaseError("HTTP driver received HTTP status 429"),
        ConnectionResetError("reset"),
    ],
    ids=str,
)
def test_what_passes_is_tried_again_with_the_same_bytes(error: Exception) -> None:
    server = Server(error, error)
    sink = sink_on(server)
    sink.write("sessions", batch("sessions", [session()]))
    assert len(server.inserts) == 3
    assert sink.retries.total() == 2
    table, block, settings = server.inserts[0]
    assert {insert[1] for insert in server.inserts} == {block}
    assert (table, settings) == ("pathline.sessions", SERVER_SETTINGS)
    assert pa.ipc.open_file(block).read_all().to_pylist() == [session()]


@pytest.mark.parametrize("code", [60, 81, 164, 192, 193, 194, 497, 516])
def test_a_wrong_configuration_stops_at_once_with_a_hint(code: int) -> None:
    server = Server(coded(code))
    with pytest.raises(SinkRefused) as refused:
        sink_on(server).write("sessions", batch("sessions", [session()]))
    assert len(server.inserts) == 1
    assert refused.value.hint
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "error",
    [coded(243), DatabaseError("std: No space left on device"), OSError(errno.ENOSPC, "No space left")],
    ids=str,
)
def test_a_full_disk_says_so(error: Exception) -> None:
    with pytest.raises(SinkRefused, match="disk is full"):
        sink_on(Server(error)).write("sessions", batch("sessions", [session()]))


@pytest.mark.parametrize("code", [6, 16, 27, 53, 117, 349, 469, 691])
def test_a_row_refused_for_what_is_in_it_is_set_aside(code: int) -> None:
    server = Server(coded(code))
    sink = sink_on(server)
    sink.write("sessions", batch("sessions", [session()]))
    assert [insert[0] for insert in server.inserts] == ["pathline.sessions", "pathline.rejected_events"]
    assert sink.refused_rows == {"sessions": 1}
    assert not sink.retries
    (row,) = pa.ipc.open_file(server.inserts[1][1]).read_all().to_pylist()
    assert (row["reason"], row["source"]) == ("refused_by_database", "pathline.sessions")
    told = json.loads(row["payload"])
    assert (told["table"], told["code"], told["row"]["visitor_id"]) == ("sessions", code, "v1")
    assert "s3cret" not in row["payload"].decode()


def test_a_server_that_stays_away_is_unavailable_and_its_secret_stays_hidden() -> None:
    server = Server(*[coded(252)] * 50)
    with pytest.raises(SinkUnavailable) as gone:
        sink_on(server).write("sessions", batch("sessions", [session()]))
    assert "s3cret" not in str(gone.value)
    assert len(server.inserts) == 5


def test_an_unknown_error_is_not_tried_again() -> None:
    assert not is_transient(DatabaseError("Code: 62. Syntax error", code=62))
    assert not is_transient(ValueError("x"))


def test_a_sink_never_shows_its_password() -> None:
    assert "s3cret" not in repr(ClickHouseSink(DSN))


def test_a_block_is_cut_only_where_it_spans_too_many_months() -> None:
    def months(count: int) -> list[dict[str, Any]]:
        return [
            transition(number, at=at(f"{2020 + number // 12}-{number % 12 + 1:02}-03T00:00:00"))
            for number in range(count)
        ]

    assert len(by_months("transitions", batch("transitions", months(PARTITIONS_MAX)))) == 1
    parts = by_months("transitions", batch("transitions", months(PARTITIONS_MAX * 2 + 1)[::-1]))
    assert [part.num_rows for part in parts] == [12, 12, 1]
    far = [transition(1, at=at("1971-01-01T00:00:00")), transition(2, at=at("2100-01-01T00:00:00"))]
    assert len(by_months("transitions", batch("transitions", far))) == 1  # two partitions only
    assert len(by_months("late_events", batch("late_events", [set_aside()] * 3))) == 1
    assert by_months("sessions", batch("sessions", [])) == []


def test_blocks_on_their_way_are_cleared_at_a_start_and_after_each_insert(tmp_path: Path) -> None:
    sink = ClickHouseSink(f"chdb://{tmp_path / 'db'}")
    sink.open(OURS)
    folder = tmp_path / "db" / INSERTS_FOLDER
    sink.write("sessions", batch("sessions", [session()]))
    assert list(folder.iterdir()) == []
    (folder / "sessions-9.arrow").write_bytes(b"half a block")
    sink.close()
    sink.open(OURS)
    assert list(folder.iterdir()) == []
    sink.close()


def test_what_a_server_gets_is_read_by_the_real_engine(tmp_path: Path) -> None:
    sink = ClickHouseSink(f"chdb://{tmp_path / 'db'}")
    sink.open(OURS)
    sink._inserts = None  # send bytes, as to a server, instead of a file
    for table, row in SAMPLES.items():
        sink.write(table, batch(table, [row]))
    with sink.reader() as reader:
        for table in SAMPLES:
            assert reader.query(f"SELECT count() AS n FROM pathline.{table}").to_pylist() == [{"n": 1}]
    sink.close()
