"""What people get wrong, at the command line: one clear message with a hint each, exit code 2."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import inside as cli
from tests.e2e.conftest import Stream
from tests.e2e.runs import ROOT, Ended, Place, pathline

GOOD = ("--mapping", "w1", "--journey", "w1", "--clickhouse", "null:")
SECRET = "tr0ub4dor"


@pytest.fixture
def place(stream: Stream, tmp_path: Path) -> Place:
    return Place(tmp_path, stream(300, 31, 1), sink="null")


@pytest.fixture
def file(place: Place) -> str:
    return str(place.files[0])


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path, file: str) -> None:
    (tmp_path / "events.txt").write_text("{}\n")
    (tmp_path / "broken.yaml").write_text("journey: broken\nversion: one\nstages: []\n")
    ended = pathline(
        "run", "--input", "nowhere.jsonl", "--input", "events.txt", "--input", tmp_path, "--input", file,
        "--input", file, "--mapping", "wone", "--journey", "./broken.yaml", "--journey", "chekout",
        "--clickhouse", "mysql://someone:" + SECRET + "@host/", "--as-of", "yesterday",
        cwd=tmp_path,
    ).refused(
        "nowhere.jsonl: no such file",
        "events.txt: its name does not say what it holds",
        f"{tmp_path} is a folder",
        "is given twice",
        "wone:1: no mapping of this name",
        "broken.yaml:2:",
        "no journey of this name",
        "'yesterday' is no time",
        "Not a sink that Pathline knows: 'mysql://someone:***@host/'",
    )  # fmt: skip
    assert SECRET not in ended.said
    assert not (tmp_path / "pathline-data").exists(), "nothing begins before everything is in order"


def inside(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """A command that is refused before it begins anything needs no process of its own."""
    done = cli.pathline(*arguments, cwd=cwd, **(env or {}))
    return Ended(done.returncode, done.stdout + done.stderr)


def test_wrong_options_say_which_and_what_would_do(tmp_path: Path, file: str) -> None:
    wrong = {
        "--session-gap": "half an hour", "--epoch": "1ms", "--workers": "0", "--shards": "5000",
        "--partitioned-by": "site",
    }  # fmt: skip
    options = [word for pair in wrong.items() for word in pair]
    inside("run", "--input", file, *GOOD, *options, cwd=tmp_path).refused(
        "--session-gap: session_gap: 'half an hour' is no duration; write it like 500ms, 10s, 30m",
        "--epoch: epoch: Input should be greater than or equal to 100",
        "--workers: workers: Input should be greater than or equal to 1",
        "--shards: shards: Input should be less than or equal to 1024",
        "--partitioned-by: partitioned_by: Input should be 'none' or 'visitor'",
    )
    inside("run", "--input", file, *GOOD, "--until-drained", "--sort", cwd=tmp_path).refused(
        "--until-drained: not together with --sort"
    )


def test_settings_of_the_environment_and_of_a_file_say_where_they_stand(tmp_path: Path, file: str) -> None:
    (tmp_path / "pathline.toml").write_text('workers = 1\nsesion_gap = "30m"\nepoch = "soon"\n')
    env = {"PATHLINE_WORKERS": "many"}
    inside("run", "--input", file, *GOOD, cwd=tmp_path, env=env).refused(
        "pathline.toml:2: no setting is called 'sesion_gap'",
        "pathline.toml:3: epoch: 'soon' is no duration",
        "PATHLINE_WORKERS: workers:",
    )
    (tmp_path / "pathline.toml").write_text("workers = 1\nshards = = 8\n")
    inside("run", "--input", file, *GOOD, cwd=tmp_path).refused("pathline.toml:2: not TOML")
    inside("run", "--input", file, *GOOD, "--config", "other.toml", cwd=tmp_path).refused("other.toml: ")


def test_a_state_folder_of_something_else_is_refused_with_what_differs(
    stream: Stream, place: Place, tmp_path: Path
) -> None:
    place.run().clean()
    place.run("--shards", "9", "--session-gap", "10m").refused(
        "belongs to another stream",
        "shards: begun with 8, now 9",
        "session_gap: begun with 1800000, now 600000",
        "pathline reset",
    )
    Place(tmp_path, stream(300, 32, 1), sink="null").run().refused("inputs: begun with", "another stream")
    deployment = place.state / "deployment.json"
    begun = json.loads(deployment.read_text())
    deployment.write_text(json.dumps({**begun, "format": 99}))
    place.run().refused("holds state of format 99")
    deployment.write_text("{")
    place.run().refused("deployment.json cannot be read")


def test_a_state_folder_that_cannot_be_one(place: Place, tmp_path: Path) -> None:
    place.state.write_text("a file")
    place.run().refused(str(place.state))


def test_a_damaged_recovery_store_is_no_traceback(place: Place) -> None:
    place.run().clean()
    part = place.state / "recovery" / "part-1.sqlite3"
    part.write_bytes(b"these are not the bytes of a database" * 200)
    place.run().refused(str(part), "file is not a database", "pathline reset")
    part.unlink()
    place.run().refused(str(part.parent), "1 of 2 parts are there", "pathline reset")


def test_a_database_of_another_deployment_is_refused(stream: Stream, tmp_path: Path) -> None:
    for sink in ("chdb", "parquet"):
        files = stream(300, 31, 1)
        Place(tmp_path, files, sink=sink).run("--state", str(tmp_path / f"{sink}-1")).clean()
        other = Place(tmp_path, files, sink=sink).run("--state", str(tmp_path / f"{sink}-2"))
        other.refused("belongs to", "of its own")


def test_two_runs_do_not_share_a_state_folder(stream: Stream, tmp_path: Path) -> None:
    options = ("--epoch", "100ms")
    place = Place(tmp_path, stream(1_500, 11, 3), options, "null", {"PATHLINE_BATCH_ROWS": "5"})
    with place.in_the_middle(10) as running:
        os.kill(running.popen.pid, signal.SIGSTOP)  # so that it cannot finish before the other has begun
        try:
            place.run("--workers", "2").refused(f"{place.state} is in use by another run")
        finally:
            os.kill(running.popen.pid, signal.SIGCONT)


OPEN_IT = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


def test_an_embedded_database_that_another_process_has_open(stream: Stream, tmp_path: Path) -> None:
    place = Place(tmp_path, stream(300, 31, 1))
    (tmp_path / "chdb").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", OPEN_IT, str(tmp_path / "chdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        place.run().refused("another process has it open")
    finally:
        other.kill()
        other.communicate()
    place.run().clean()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []
        stop = threading.Event()
        server.settimeout(0.1)

        def accept() -> None:
            while not stop.is_set():
                try:
                    held.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()
            for connection in held:
                connection.close()


def test_a_server_that_is_not_there_or_does_not_answer(tmp_path: Path, file: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    with silent_server() as silent:
        for dsn in (
            f"clickhouse://me:{SECRET}@127.0.0.1:{free}",
            f"clickhouse://me:{SECRET}@127.0.0.1:{silent}?connect_timeout=1&send_receive_timeout=1",
            f"clickhouse://me:{SECRET}@127.0.0.1:notaport",
        ):
            run = ("run", "--input", file, "--mapping", "w1", "--journey", "w1", "--clickhouse", dsn)
            ended = pathline(*run, cwd=tmp_path).refused("me:***@127.0.0.1")
            assert SECRET not in ended.said
            for written in tmp_path.rglob("*"):
                assert not written.is_file() or SECRET.encode() not in written.read_bytes(), written


@pytest.mark.parametrize("workers", [1, 2])
def test_more_rejects_than_bad_data_explains_stop_the_run(
    stream: Stream, tmp_path: Path, workers: int
) -> None:
    """With two, what people see is the same, once."""
    good = stream(300, 31, 1)[0].read_text().splitlines(keepends=True)
    file = tmp_path / "events.jsonl"
    file.write_text("".join(good[:500]) + '{"what": "is this"}\n' * 10_000)
    place = Place(tmp_path, (file,), ("--workers", str(workers)), "null")
    ended = place.run().refused("10,000 of 10,500 records of events.jsonl/0 were rejected", "--mapping")
    assert ended.said.count("were rejected") == 1


def test_a_few_rejects_are_set_aside(stream: Stream, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(stream(300, 31, 1)[0].read_text() + '{"what": "is this"}\n' * 8_000)
    assert "set aside: 8,000 rejected" in Place(tmp_path, (file,), sink="null").run().clean().said


def test_a_file_out_of_order_is_pointed_out(stream: Stream, tmp_path: Path) -> None:
    lines = stream(300, 31, 1)[0].read_text().splitlines(keepends=True)
    file = tmp_path / "shuffled.jsonl"
    file.write_text("".join(sorted(lines, key=lambda line: line[::-1])))
    fine = stream(300, 31, 1)[0]
    ended = Place(tmp_path, (fine, file), sink="null").run().clean()
    assert f"of the records in {file} were late: it is not in order of event time" in ended.said
    assert "hint: begin anew (`pathline reset`) with --sort" in ended.said
    assert f"in {fine} were late" not in ended.said


def test_a_damaged_file_can_be_mended_and_gone_on_with(stream: Stream, tmp_path: Path) -> None:
    data = gzip.compress(stream(300, 31, 1)[0].read_bytes())
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(data[: len(data) // 2])
    place = Place(tmp_path, (file,), sink="null")
    place.run().refused(f"{file}: cannot be read")
    file.write_bytes(b"no gzip at all")
    place.run().refused(f"{file}: cannot be read")
    file.write_bytes(data)
    assert "100% read" in place.run().clean().said
