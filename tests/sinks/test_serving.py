"""Who asks a database that another process has open, and what becomes of the file that says where."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sinks.base import SinkRefused
from sinks.both import Fanout
from sinks.clickhouse import serving as module
from sinks.clickhouse.client import connect, target
from sinks.clickhouse.query import QueryRefused, Reader
from sinks.clickhouse.serve_file import SERVING_FILE, Served, announce, served, withdraw
from sinks.clickhouse.serving import Serving, serving
from sinks.memory import MemorySink
from sinks.registry import open_sink, serve
from tests.sinks.places import OURS, ask

ROOT = Path(__file__).parents[2]
OWNER = """
import sys
from sinks.clickhouse.serving import serving
from sinks.registry import open_sink
from tests.sinks.places import OURS
from tests.sinks.rows import batch, session
sink = open_sink(sys.argv[1])
sink.open(OURS)
sink.write("sessions", batch("sessions", [session(1), session(2)]))
with serving(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.readline()
sink.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the database in `tmp_path` open, and serves it."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, dsn(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


def dsn(folder: Path) -> str:
    return f"chdb://{folder / 'db'}"


def step(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_reader_asks_the_process_that_has_it_open(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    sql = "SELECT visitor_id, started_at FROM bi.sessions WHERE visitor_id = {who:String}"
    by_http = ask(dsn(tmp_path), sql, who="v2")
    with Reader(dsn(tmp_path)) as reader, pytest.raises(QueryRefused) as refused:
        reader.query("SELECT nothing FROM bi.sessions")
    assert str(refused.value).startswith("Code: 47. DB::Exception: Unknown expression identifier")
    assert "http://" not in str(refused.value)
    step(owner)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "closed\n"
    assert not (tmp_path / "db" / SERVING_FILE).exists()
    assert ask(dsn(tmp_path), sql, who="v2") == by_http  # the same rows and types from the engine itself


def test_who_wants_to_write_is_told_who_has_it(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(SinkRefused, match=f"process {owner.pid} has it open") as refused:
        open_sink(dsn(tmp_path)).open(OURS)
    assert "pathline query" in refused.value.hint


def test_a_file_of_a_process_that_was_killed_is_no_hindrance(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    owner.kill()
    owner.wait()
    assert (tmp_path / "db" / SERVING_FILE).exists()
    assert served(tmp_path / "db") is None
    assert ask(dsn(tmp_path), "SELECT count() AS n FROM bi.sessions").to_pylist() == [{"n": 2}]


def test_nor_is_one_whose_number_another_process_has_now(tmp_path: Path) -> None:
    make(tmp_path)
    folder = tmp_path / "db"
    announce(folder, Served("127.0.0.1", 9, "gone", os.getppid()))
    assert served(folder) is not None
    assert ask(dsn(tmp_path), "SELECT count() AS n FROM bi.sessions").to_pylist() == [{"n": 0}]


def test_whoever_has_it_open_asks_itself(tmp_path: Path) -> None:
    sink = open_sink(dsn(tmp_path))
    sink.open(OURS)
    with serving(dsn(tmp_path)) as here:
        assert here.problem is None
        client = connect(target(dsn(tmp_path)), readonly=True)
        assert client.uri.startswith("chdb://")
        client.close()
    sink.close()


def test_the_file_is_for_its_owner_and_others_cannot_be_withdrawn(tmp_path: Path) -> None:
    sink = open_sink(dsn(tmp_path))
    sink.open(OURS)
    file = tmp_path / "db" / SERVING_FILE
    with serving(dsn(tmp_path)) as here:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        said = json.loads(file.read_text())
        assert said["pid"] == os.getpid()
        assert len(said["password"]) >= 32
        assert here.here is not None
        theirs = Served("127.0.0.1", 1, "x", os.getpid())
        announce(tmp_path / "db", theirs)
    assert file.exists()
    withdraw(tmp_path / "db", theirs)
    assert not file.exists()
    sink.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "127.0.0.1"}', '{"a": 1}'])
def test_half_a_file_is_no_file(tmp_path: Path, text: str) -> None:
    (tmp_path / SERVING_FILE).write_text(text)
    assert served(tmp_path) is None


def test_a_run_goes_on_where_nothing_can_be_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no more ports")

    sink = open_sink(dsn(tmp_path))
    sink.open(OURS)
    monkeypatch.setattr(module, "Server", broken)
    door = serve(sink)
    assert door is not None
    assert isinstance(door.problem, OSError)
    door.close()
    door.close()
    sink.close()
    monkeypatch.undo()
    here = Serving(target("clickhouse://h"))
    assert isinstance(here.problem, AssertionError)
    assert serve(open_sink("null:")) is None
    assert serve(open_sink("clickhouse://h:8123")) is None


def test_what_is_told_as_well_can_be_read_all_the_same(tmp_path: Path) -> None:
    sink = Fanout([open_sink(dsn(tmp_path)), MemorySink()])
    sink.open(OURS)
    door = serve(sink, password="known to the BI tool")
    assert door is not None
    there = served(tmp_path / "db")
    assert there is not None
    assert there.password == "known to the BI tool"
    door.close()
    sink.close()
    assert serve(Fanout([MemorySink()])) is None


def make(folder: Path) -> None:
    sink = open_sink(dsn(folder))
    sink.open(OURS)
    sink.close()
