"""DSNs: what is a sink, what is not, and that no password is ever shown."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sinks.base import SinkRefused, SinkUnavailable, mask_dsn, mask_text
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.writer import ClickHouseSink
from sinks.null import NullSink
from sinks.parquet import ParquetSink
from sinks.registry import open_sink
from tests.sinks.places import OURS
from tests.sinks.rows import batch, session


def test_each_form_names_its_sink(tmp_path: Path) -> None:
    assert isinstance(open_sink("null:"), NullSink)
    assert isinstance(open_sink(f"parquet://{tmp_path}"), ParquetSink)
    for dsn in ("chdb:///x/y", "chdb://y", "clickhouse://u:p@h:8123/db", "http://h", "https://h:8443"):
        assert isinstance(open_sink(dsn), ClickHouseSink)


def test_the_null_sink_counts() -> None:
    sink = NullSink()
    sink.open(OURS)
    sink.write("sessions", batch("sessions", [session(1), session(2)]))
    sink.close()
    assert sink.rows == {"sessions": 2}


@pytest.mark.parametrize("dsn", ["", "nothing", "mysql://u:secret@h/db", "chdb:", "chdb://", "parquet:x"])
def test_anything_else_is_refused_with_the_forms(dsn: str) -> None:
    with pytest.raises(SinkRefused) as refused:
        open_sink(dsn)
    assert "secret" not in str(refused.value)
    assert "chdb:///absolute/path" in refused.value.hint


@pytest.mark.parametrize("dsn", ["chdb://memory", "chdb:///", "clickhouse://:8123", "http://h:port"])
def test_a_dsn_that_leads_nowhere_is_refused(dsn: str) -> None:
    with pytest.raises(SinkRefused):
        open_sink(dsn)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("clickhouse://u:secret@h:8123/db", "clickhouse://u:***@h:8123/db"),
        ("clickhouse://u:se%40cr@et:x@h/db", "clickhouse://u:***@h/db"),
        ("http://h/?user=u&password=secret&a=1", "http://h/?user=u&password=***&a=1"),
        ("chdb:///a/b", "chdb:///a/b"),
        ("clickhouse://u@h", "clickhouse://u@h"),
    ],
)
def test_secrets_are_masked(dsn: str, shown: str) -> None:
    assert mask_dsn(dsn) == shown
    assert "secret" not in mask_text(f"cannot log in as u with secret at {dsn}", "http://u:secret@h")


def test_relative_paths_start_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert target("chdb://a/b").path == tmp_path / "a" / "b"
    assert target("chdb:///a%20b").path == Path("/a b")
    assert target("clickhouse://h").path is None


class Refusing(BaseHTTPRequestHandler):
    """A ClickHouse that knows nobody."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = b"Code: 516. DB::Exception: u: Authentication failed. (AUTHENTICATION_FAILED)"
        self.send_response(403)
        self.send_header("X-ClickHouse-Exception-Code", "516")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def refusing() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_a_wrong_password_is_refused_and_not_shown(refusing: int) -> None:
    with pytest.raises(SinkRefused) as refused:
        open_sink(f"clickhouse://u:s3cret@127.0.0.1:{refusing}/pathline").open(OURS)
    said = str(refused.value)
    assert "s3cret" not in said
    assert "u:***@" in said
    assert "password" in refused.value.hint


def test_a_server_that_is_not_there_is_away() -> None:
    with pytest.raises(SinkUnavailable) as away:
        open_sink("clickhouse://u:s3cret@127.0.0.1:9").open(OURS)
    assert "s3cret" not in str(away.value)
    assert "hint: check host" in str(away.value)


def test_another_embedded_database_in_the_same_process_is_refused(tmp_path: Path) -> None:
    first = open_sink(f"chdb://{tmp_path / 'a'}")
    first.open(OURS)
    try:
        with pytest.raises(SinkRefused, match="another embedded database"):
            open_sink(f"chdb://{tmp_path / 'b'}").open(OURS)
    finally:
        first.close()
    second = open_sink(f"chdb://{tmp_path / 'b'}")
    second.open(OURS)
    second.close()


def test_one_process_at_a_time_has_an_embedded_database_open(tmp_path: Path) -> None:
    sink = open_sink(f"chdb://{tmp_path / 'a'}")
    sink.open(OURS)
    script = (
        "import sys\nfrom sinks.base import *\nfrom sinks.registry import open_sink\n"
        "try: open_sink(sys.argv[1]).open(Deployment('d1', 8, 1))\n"
        "except SinkRefused as refused: print(refused)\n"
    )
    command = [sys.executable, "-c", script, f"chdb://{tmp_path / 'a'}"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
    sink.close()
    assert "another process has it open" in said.stdout


def test_reading_a_database_that_is_not_there_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(SinkRefused, match="no database"):
        connect(target(f"chdb://{tmp_path / 'none'}"), readonly=True)
    assert not (tmp_path / "none").exists()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for dsn in (f"chdb://{tmp_path / 'file' / 'db'}", f"parquet://{tmp_path / 'file' / 'db'}"):
        with pytest.raises(SinkRefused):
            open_sink(dsn).open(OURS)
