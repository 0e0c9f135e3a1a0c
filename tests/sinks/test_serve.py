"""The embedded engine over HTTP: what clients of the protocol ask, and what readers may not."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse import serve, serve_engine
from sinks.clickhouse.client import target
from sinks.clickhouse.serve import Server
from sinks.clickhouse.writer import ClickHouseSink
from tests.sinks.places import OURS
from tests.sinks.rows import batch, session, transition

PASSWORD = "open sesame"
FOREVER = "SELECT count() FROM numbers(1000000000000) WHERE number % 7 = 8"


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseSink]:
    sink = ClickHouseSink(f"chdb://{tmp_path_factory.mktemp('served') / 'db'}")
    sink.open(OURS)
    sink.write("sessions", batch("sessions", [session(1), session(2)]))
    yield sink
    sink.close()


@pytest.fixture(scope="module")
def server(sink: ClickHouseSink) -> Iterator[Server]:
    server = Server(sink._target, password=PASSWORD)
    yield server
    server.close()


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    client = clickhouse_connect.get_client(
        host="127.0.0.1", port=server.port, username="bi", password=PASSWORD, autogenerate_session_id=False
    )
    yield client
    client.close()


class Answered:
    """An answer with its headers."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self) -> int:
        return int(self.headers["X-ClickHouse-Exception-Code"])


def ask(
    server: Server, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str
) -> Answered:
    """A request as it goes over the wire."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    given = {"X-ClickHouse-Key": PASSWORD} | {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, path, body, given)
    response = connection.getresponse()
    answered = Answered(response.status, response.headers, response.read())
    connection.close()
    return answered


def query(server: Server, sql: str, **url: str) -> Answered:
    return ask(server, "GET", f"/?{urlencode({'query': sql, **url})}")


def test_a_driver_finds_rows_types_parameters_and_a_summary(client: Any) -> None:
    found = client.query(
        "SELECT visitor_id, started_at FROM bi.sessions WHERE visitor_id = {who:String}",
        parameters={"who": "v2"},
    )
    assert [row[0] for row in found.result_rows] == ["v2"]
    assert int(found.summary["read_rows"]) > 0
    assert client.query("SELECT {x:String}", parameters={"x": "a'b\t\\ключ"}).result_rows == [
        ("a'b\t\\ключ",)
    ]
    assert client.command("SELECT 7") == 7
    assert "sessions" in client.command("SHOW TABLES FROM bi").split()
    assert client.query_arrow("SELECT number FROM numbers(3)").to_pydict() == {"number": [0, 1, 2]}
    with client.query_row_block_stream("SELECT number FROM numbers(200000)") as blocks:
        assert sum(len(block) for block in blocks) == 200_000


def test_no_rows_have_their_columns(client: Any) -> None:
    for sql in (
        "SELECT visitor_id, events FROM bi.sessions WHERE events = {n:UInt32}",
        "SELECT 1 AS visitor_id WHERE 0",
    ):
        found = client.query(sql, parameters={"n": 99})
        assert found.result_rows == []
        assert found.column_names[0] == "visitor_id"


def test_a_parameter_longer_than_any_url(client: Any) -> None:
    long = "x" * 300_000
    assert client.query("SELECT length({x:String})", parameters={"x": long}).result_rows == [(len(long),)]


def test_get_and_post_url_and_body_formats_and_database(server: Server) -> None:
    assert query(server, "SELECT 1").body == b"1\n"
    assert query(server, "SELECT 1 AS a", default_format="JSONEachRow").body == b'{"a":1}\n'
    assert query(server, "SELECT 1 AS a FORMAT CSVWithNames", default_format="JSON").body == b'"a"\n1\n'
    assert ask(server, "POST", "/", b"SELECT 2").body == b"2\n"
    assert ask(server, "POST", "/?query=SELECT", b"3").body == b"3\n"
    assert query(server, "SELECT {a:Int8} + {b:Int8}", param_a="1", param_b="2").body == b"3\n"
    counted = query(server, "SELECT count() FROM sessions", database="bi")
    assert counted.body == b"2\n"
    assert counted.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert json.loads(counted.headers["X-ClickHouse-Summary"])["result_rows"] == "1"


def test_chunks_and_codings(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"X-ClickHouse-Key": PASSWORD, "Content-Encoding": "gzip"}
    body = gzip.compress(b"SELECT repeat('x', 100000)")
    connection.request("POST", "/", iter([body[:5], body[5:]]), headers, encode_chunked=True)
    assert len(connection.getresponse().read()) == 100_001
    connection.close()
    packed = ask(server, "POST", "/?enable_http_compression=1", b"SELECT 'x'", Accept_Encoding="br, gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"x\n"
    assert ask(server, "POST", "/", b"SELECT 'x'", Accept_Encoding="gzip").body == b"x\n"
    for refused in (
        ask(server, "POST", "/", b"x", Content_Encoding="xz"),
        query(server, "SELECT 1", compress="1"),
    ):
        assert (refused.status, refused.code) == (501, 48)


def test_harmless_settings_hold_and_all_others_are_passed_over(server: Server) -> None:
    big = "SELECT toUInt64(1) AS a FORMAT JSONEachRow"
    assert query(server, big, output_format_json_quote_64bit_integers="1").body == b'{"a":"1"}\n'
    asked = {
        "readonly": "0",
        "max_execution_time": "0",
        "max_memory_usage": "0",
        "output_format_schema": "/tmp/x",
    }
    found = query(
        server,
        "SELECT getSetting('readonly'), getSetting('max_execution_time'), getSetting('max_memory_usage')",
        **asked,
    )
    assert found.body.split() == [b"1", b"60", str(1 << 30).encode()]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE pathline.sessions",
        "INSERT INTO pathline.sessions (site) VALUES ('x')",
        "INSERT INTO pathline.sessions (site) FORMAT TSV\nx\n",
        "SET readonly = 0",
        "KILL QUERY WHERE 1",
        "SYSTEM SHUTDOWN",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT 1 INTO OUTFILE '/tmp/pathline-should-not-exist'",
        "SELECT $$ ' $$ INTO OUTFILE '/tmp/pathline-should-not-exist' -- '",
        "SELECT 1; DROP TABLE pathline.sessions",
        "SELECT 1; SELECT 2",
        "SELECT file('/etc/passwd')",
        "SELECT `fi\\x6ce`('/etc/passwd')",
        "SELECT \"file\" /* x */ ('/etc/passwd')",
        "SELECT $$ ' $$, file('/etc/passwd') -- '",
        "DESCRIBE (SELECT file('/etc/passwd'))",
        "EXPLAIN SELECT file('/etc/passwd')",
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system.one')",
        "CREATE TEMPORARY TABLE x (a Int8)",
    ],
)
def test_nobody_can_change_or_leave_the_database(server: Server, sql: str) -> None:
    for answered in (query(server, sql), ask(server, "POST", "/", sql.encode())):
        assert answered.status >= 400
        assert answered.code in (62, 164, 497)
        assert b"root:" not in answered.body
    assert not Path("/tmp/pathline-should-not-exist").exists()
    assert query(server, "SELECT count() FROM bi.sessions").body == b"2\n"


def test_errors_have_the_servers_code_text_and_status(server: Server, client: Any) -> None:
    for sql, code, status in (
        ("SELECT * FROM bi.nothing", 60, 404),
        ("SELECT nothing", 47, 404),
        ("SELECT (", 62, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT number FROM numbers(20000000)", 396, 413),
    ):
        answered = query(server, sql)
        assert (answered.status, answered.code) == (status, code), answered.body
        assert answered.body.startswith(f"Code: {code}. DB::Exception: ".encode())
        assert b"formatQuery" not in answered.body
    with pytest.raises(DatabaseError) as failed:
        client.query("SELECT * FROM bi.nothing")
    assert failed.value.code == 60


def test_a_password_is_asked_for_whatever_the_way(server: Server) -> None:
    assert ask(server, path="/?query=SELECT+1", X_ClickHouse_Key="").code == 194
    for wrong in ({"X_ClickHouse_Key": "no"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Basic ?"}):
        refused = ask(server, path="/?query=SELECT+1", **wrong)
        assert (refused.status, refused.code) == (403, 516)
    for right in (f"Bearer {PASSWORD}", "Basic eDpvcGVuIHNlc2FtZQ=="):
        assert ask(server, path="/?query=SELECT+1", Authorization=right).body == b"1\n"
    assert query(server, "SELECT 1", password="no").status == 200  # the header comes first


def test_ping_needs_no_password_and_says_nothing_more(server: Server) -> None:
    for path in ("/ping", "/replicas_status"):
        assert ask(server, path="/ping", X_ClickHouse_Key="").body == b"Ok.\n", path
    assert ask(server, path="/play").status == 404


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8123", "127.0.0.1.evil.example", ""])
def test_another_name_is_refused(server: Server, name: str) -> None:
    assert ask(server, path="/?query=SELECT+1", Host=name).status == 403
    assert ask(server, path="/ping", Host=name).status == 403


def test_browsers_get_no_leave(server: Server) -> None:
    for method in ("GET", "OPTIONS"):
        answered = ask(server, method, "/?query=SELECT+1", Origin="http://evil.example")
        assert not [name for name in answered.headers if name.lower().startswith("access-control")]


def test_it_listens_on_this_machine_alone(server: Server) -> None:
    assert server._http.socket.getsockname()[0] == "127.0.0.1"


def test_a_body_has_a_bound(server: Server) -> None:
    assert ask(server, "POST", "/", b"S", Content_Length=str(serve.QUESTION_BYTES_MAX + 1)).code == 307


def test_too_many_queries_wait_and_are_then_told_so(sink: ClickHouseSink) -> None:
    server = Server(sink._target, password=PASSWORD, queries_max=1, wait_seconds=0.2)
    thread = threading.Thread(target=query, args=(server, FOREVER))
    thread.start()
    try:
        until_running(server)
        crowded = query(server, "SELECT 1")
        assert (crowded.status, crowded.code) == (503, 202)
    finally:
        server.close()
        thread.join()


def test_closing_cancels_what_runs_and_lets_go_of_the_engine(tmp_path: Path, sink: ClickHouseSink) -> None:
    server = Server(sink._target, password=PASSWORD)
    said: list[Answered] = []
    thread = threading.Thread(target=lambda: said.append(query(server, FOREVER)))
    thread.start()
    until_running(server)
    began = time.monotonic()
    server.close()
    thread.join()
    assert time.monotonic() - began < serve_engine.CLOSE_SECONDS
    assert server._http.engine._running == 0
    assert said[0].code == 394
    server.close()  # again
    with pytest.raises(ConnectionError):
        query(server, "SELECT 1")


def until_running(server: Server) -> None:
    deadline = time.monotonic() + 30
    while not server._http.engine._running:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_at_once_while_rows_are_written(sink: ClickHouseSink, server: Server) -> None:
    wrong: list[bytes] = []

    def read() -> None:
        for _ in range(20):
            answered = query(server, "SELECT count() FROM bi.sessions WHERE visitor_id IN ('v1', 'v2')")
            if answered.body != b"2\n":
                wrong.append(answered.body)

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(100, 130):
        sink.write("transitions", batch("transitions", [transition(number)]))
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_server_that_takes_rows_does_so_by_post_alone(tmp_path: Path, sink: ClickHouseSink) -> None:
    server = Server(sink._target, readonly=False)
    client = clickhouse_connect.get_client(host="127.0.0.1", port=server.port, autogenerate_session_id=False)
    try:
        client.command("CREATE TABLE bi.scratch (a UInt32, b String) ENGINE = MergeTree ORDER BY a")
        client.insert("bi.scratch", [[1, "x"], [2, "y\n"]], column_names=["a", "b"])  # compressed, in chunks
        client.raw_insert("bi.scratch", ["a", "b"], b"3\tz\n", fmt="TSV")
        client.command("INSERT INTO bi.scratch VALUES (4, 'FORMAT TSV')")
        assert client.query("SELECT a, b FROM bi.scratch ORDER BY a").result_rows == [
            (1, "x"),
            (2, "y\n"),
            (3, "z"),
            (4, "FORMAT TSV"),
        ]
        assert query(server, "INSERT INTO bi.scratch VALUES (5, '')").code == 164
        assert target(sink._target.dsn).path is not None
        assert not list((sink._target.path / "inserts-served").iterdir())
    finally:
        client.command("DROP TABLE IF EXISTS bi.scratch")
        client.close()
        server.close()
