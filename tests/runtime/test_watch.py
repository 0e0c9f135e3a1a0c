"""A run that is watched, as a whole: asked while it runs, its log, its status, and how it ended."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli.watch import Watch, last_error
from pipeline.core.snapshot import unpack
from pipeline.runtime.exposition import Exposition
from pipeline.runtime.processes import RunFailed
from pipeline.runtime.record import Record
from pipeline.settings import Settings
from tests.e2e.conftest import Stream, stream
from tests.e2e.runs import Ended, Place, pathline, until

__all__ = ["stream"]  # the fixture

SLOW = {"PATHLINE_BATCH_ROWS": "2"}
"""So that there is a middle to be looked at in."""

POISON = '{"visitor_id": "v-poison", "secret": "hunter2"\n'


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def place(stream: Stream, folder: Path, workers: int = 1, **env: str) -> Place:
    options = ("--epoch", "200ms", "--workers", str(workers))
    return Place(folder, stream(16_000, 11, 3), options, "null", {**SLOW, **env})


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metric(port: int, pattern: str) -> float:
    """The sum of the samples whose name and labels match."""
    said = get(port, "/metrics")[1]
    return sum(float(line.split()[-1]) for line in said.splitlines() if re.match(pattern, line))


def status(place: Place) -> tuple[Ended, dict[str, Any]]:
    ended = pathline("status", "--state", place.state, "--json")
    return ended, json.loads(ended.said)


def lines(said: str, event: str) -> list[dict[str, str]]:
    """The lines of a log in logfmt that are about `event`."""
    found = [dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line)) for line in said.splitlines()]
    return [line for line in found if line.get("event") == event]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_answers_for_all_its_processes(stream: Stream, tmp_path: Path, workers: int) -> None:
    port = free_port()
    where = place(stream, tmp_path, workers)
    with where.in_the_middle(300, "--listen", f"127.0.0.1:{port}") as running:
        until(lambda: get(port, "/readyz")[0] == 200, "the run to be ready")
        assert get(port, "/healthz")[0] == 200
        until(lambda: metric(port, "pathline_epochs_total") >= 3, "some epochs")
        before = where.received()
        received, results = (
            metric(port, "pathline_records_received_total"),
            metric(port, "pathline_records_total"),
        )
        after = where.received()
        assert before <= received <= results <= after or before <= results <= after
        assert metric(port, "pathline_process_up") == workers
        assert metric(port, r"pathline_snapshot_bytes_total\{step=\"track\"") > 0
        assert metric(port, "pathline_open_sessions") > 0
        until(lambda: metric(port, r"pathline_sink_rows_total\{table=\"sessions\"") > 0, "rows to be written")
        assert metric(port, r"pathline_step_cpu_seconds_total\{step=\"admit\"") > 0
        ended, found = status(where)
        assert ended.code == 0, ended.said
        assert (found["is_running"], found["is_healthy"]) == (True, True)
        assert found["numbers"]["received"] >= received
        page = pathline("status", "--state", where.state).clean().said
        assert "running since" in page
        assert f"http://127.0.0.1:{port}/metrics" in page
        running.signal(signal.SIGTERM)
        said = running.ended().clean().said
    epochs = lines(said, "epoch")
    assert [int(line["epoch"]) for line in epochs] == sorted({int(line["epoch"]) for line in epochs})
    assert sum(int(line["received"]) for line in epochs) <= where.received()
    assert sum(int(line["received"]) for line in epochs) > 0.9 * where.received() - 1_000
    ended, found = status(where)
    assert ended.code == 1
    assert "it was asked to stop; the same command goes on" in found["says"]
    with pytest.raises(OSError, match="refused"):
        get(port, "/healthz")


def test_a_run_that_goes_on_counts_its_own(stream: Stream, tmp_path: Path) -> None:
    """Else Prometheus would take what was read before for new."""
    where = place(stream, tmp_path)
    with where.in_the_middle(600) as running:
        running.signal(signal.SIGTERM)
        running.ended().clean()
    before = where.received()
    replace(where, env={}).run().clean()
    found = status(where)[1]
    assert found["numbers"]["received"] == where.received() - before > 0


def test_whoever_killed_it_is_found_out(stream: Stream, tmp_path: Path) -> None:
    where = place(stream, tmp_path)
    with where.in_the_middle(500) as running:
        running.signal(signal.SIGKILL)
        running.ended()
    ended, found = status(where)
    assert ended.code == 1
    assert not found["is_running"]
    assert "not running: it was killed, or lost its machine about 20" in found["says"]
    assert found["last_error"] is None


def test_a_worker_that_dies_is_the_last_error_and_stays_it(stream: Stream, tmp_path: Path) -> None:
    where = place(stream, tmp_path, 2)
    with where.in_the_middle(500, "--restarts-max", "0") as running:
        os.kill(running.workers()[0], signal.SIGKILL)
        said = running.ended().died("was killed by SIGKILL").said
    assert said.count("was killed by SIGKILL") == 1
    found = status(where)[1]
    assert "it failed, see the last error" in found["says"]
    assert found["last_error"]["kind"] == "RunFailed"
    assert "was killed by SIGKILL" in found["last_error"]["message"]
    assert "the same command goes on from the last snapshot" in found["last_error"]["hint"]
    with where.in_the_middle(500) as running:
        running.signal(signal.SIGTERM)
        running.ended().clean()
    assert "asked to stop" in status(where)[1]["says"]
    assert status(where)[1]["last_error"] == found["last_error"], "of an earlier run"


def test_a_refusal_is_the_last_error_with_its_hint_and_no_secret(stream: Stream, tmp_path: Path) -> None:
    secret = "tr0ub4dor"
    port = free_port()  # where nobody listens
    inputs = (
        "--input",
        stream(300, 31, 1)[0],
        "--mapping",
        "w1",
        "--journey",
        "w1",
        "--state",
        tmp_path / "state",
    )
    dsn = f"clickhouse://me:{secret}@127.0.0.1:{port}/"
    ended = pathline("run", *inputs, "--clickhouse", dsn, "--log-format", "json", "--listen", "none")
    ended.refused("127.0.0.1")
    failed = [json.loads(line) for line in ended.said.splitlines() if '"event": "failed"' in line]
    assert [line["level"] for line in failed] == ["error"]
    kept = "".join(path.read_text() for path in (tmp_path / "state").glob("*.json"))
    assert secret not in kept + ended.said
    page = pathline("status", "--state", tmp_path / "state")
    assert page.code == 1
    assert "hint: " in page.said
    assert secret not in page.said


def test_a_place_to_listen_that_is_taken_is_said_before_anything_is_read(
    stream: Stream, tmp_path: Path
) -> None:
    where = place(stream, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        where.run("--listen", f"127.0.0.1:{port}").refused(
            f"--listen: 127.0.0.1:{port}: Address already in use"
        )
    where.run("--listen", "here").refused("--listen: 'here' is no HOST:PORT")
    assert not where.received()


def test_the_log_holds_nothing_of_records_or_visitors(stream: Stream, tmp_path: Path) -> None:
    good = stream(300, 31, 1)[0]
    file = tmp_path / "events.jsonl"
    file.write_text(POISON + good.read_text())
    visitors = {word for word in re.findall(r'"([^"]{4,})"', good.read_text()) if re.search(r"\d", word)}
    where = Place(tmp_path, (file,), ("--epoch", "100ms", "--log-format", "json"), "null")
    said = where.run().clean().said
    log = [json.loads(line) for line in said.splitlines()]
    assert log[0]["event"] == "begin"
    assert {line["event"] for line in log} == {"begin", "said", "epoch", "end"}
    assert sum(line.get("rejected", 0) for line in log) == 1
    assert len(visitors) > 100
    for secret in (*visitors, "hunter2", "v-poison"):
        assert secret not in said
    for kept in (where.state / "run.json", *(where.state / "metrics").glob("*.names")):
        assert "hunter2" not in kept.read_text()
    reasons = status(where)[1]["numbers"]["rejected_by_reason"]
    assert sum(reasons.values()) == 1


def test_status_of_what_is_not_there(tmp_path: Path) -> None:
    pathline("status", "--state", tmp_path).refused("holds no state", "--state")


def test_an_unforeseen_error_is_kept_without_its_words() -> None:
    try:
        unpack("intake", 5)  # type: ignore[arg-type]
    except TypeError as error:
        found = last_error(error)
    assert found.kind == "TypeError"
    assert re.search(r", at pipeline/core/snapshot.py:\d+: its traceback", found.message)
    assert "int" not in found.message


def test_a_restart_is_counted_and_kept_as_the_last_error_and_is_no_end(tmp_path: Path) -> None:
    settings = Settings(
        listen="none", log_format="json", clickhouse="clickhouse://me:tr0ub4dor@host:8123", workers=2
    )
    exposition = Exposition(Record(tmp_path))
    with Watch(settings, tmp_path, Console(file=io.StringIO())) as watch:
        restarts = [exposition.samples()["restarts_total"]]
        for number in range(2):
            watch.restarted(RunFailed(number, 1, None, "it said tr0ub4dor"))
            restarts.append(exposition.samples()["restarts_total"])
    assert restarts == [{(): 0.0}, {(): 1.0}, {(): 2.0}]
    error, run = Record(tmp_path).last_error(), Record(tmp_path).run()
    assert error is not None
    assert error.message == "worker process 1 ended with exit code 1, and the others were stopped"
    assert run is not None
    assert run.how == "finished"
