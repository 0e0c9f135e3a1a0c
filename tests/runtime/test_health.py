"""When a run is alive, when it is ready, and what the server says."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.runtime import health, metrics
from pipeline.runtime.exposition import Exposition, merged
from pipeline.runtime.health import BadListener, Server, Verdict, address, judge
from pipeline.runtime.metrics import Metric
from pipeline.runtime.record import Record

NOW = 1_000_000.0
CLICKS, VIEWS = ("clicks", "0"), ("views", "1")
Told = dict[tuple[str, ...], float]


def told(process: str = "0", **ages: float) -> Told:
    """What a process tells that reads: `input` and `moved` are seconds ago."""
    moments = {"input": metrics.INPUT_AGE, "moved": metrics.MOVED_AGE}
    return {
        (moments[name].name, process): NOW - age for name, age in {"input": 0.1, "moved": 0.1, **ages}.items()
    }


def of(metric: Metric, value: float, *labels: str) -> Told:
    return {(metric.name, *labels): value}


def partition(who: tuple[str, str], *, idle: float = 0, still: float = 1.0, lag: float | None = None) -> Told:
    out = of(metrics.IDLE, idle, *who) | of(metrics.WATERMARK_AGE, NOW - still, *who)
    return out | (of(metrics.CONSUMER_LAG, lag, *who) if lag is not None else {})


def verdict(*processes: Told) -> Verdict:
    return judge({str(number): told for number, told in enumerate(processes)}, merged(processes, NOW), NOW)


GOOD = Verdict(alive=True, ready=True, reasons=())


def lacks(*processes: Told, alive: bool = True) -> str:
    """The one thing that is missing."""
    found = verdict(*processes)
    assert (found.alive, found.ready) == (alive, False)
    (reason,) = found.reasons
    return reason


def test_a_run_that_reads_writes_and_goes_on_is_ready() -> None:
    assert verdict(told() | partition(CLICKS)) == GOOD
    assert verdict(told() | partition(CLICKS), told("1") | partition(VIEWS)) == GOOD


def test_before_the_first_record_it_lives_and_is_not_ready() -> None:
    assert lacks() == "it is starting: nothing was read yet"
    assert lacks({}) == "it is starting: nothing was read yet"


def test_a_process_that_does_nothing_at_all_is_stuck() -> None:
    stuck = told("1", moved=health.STUCK_SECONDS + 5, input=health.STUCK_SECONDS + 5)
    assert (
        lacks(told() | partition(CLICKS), stuck | partition(VIEWS), alive=False)
        == "process 1 has done nothing for 305 s"
    )
    almost = told("1", moved=health.STUCK_SECONDS - 5, input=health.STUCK_SECONDS - 5)
    assert verdict(told() | partition(CLICKS), almost | partition(VIEWS)) == GOOD


def test_a_process_that_has_read_all_it_has_may_wait_and_so_may_one_that_reads_nothing() -> None:
    waits = told("1", moved=9_999, input=9_999) | partition(VIEWS, idle=1, still=9_999)
    assert verdict(told() | partition(CLICKS), waits) == GOOD
    helps = of(metrics.MOVED_AGE, NOW - 9_999, "1")
    assert verdict(told() | partition(CLICKS), helps) == GOOD


def test_while_the_sink_is_tried_it_lives_and_is_not_ready() -> None:
    away = told(input=9_999, moved=20) | partition(CLICKS, still=50)
    away |= of(metrics.UNACKNOWLEDGED_AGE, NOW - 600) | of(metrics.SINK_RETRIES, 9, "252")
    assert lacks(away) == "the sink has acknowledged nothing for 600 s (retries: 9 × 252)"
    away[(metrics.UNACKNOWLEDGED_AGE.name,)] = 0.0
    assert verdict(away) == GOOD


def test_time_that_stands_still_while_there_are_records_is_not_ready() -> None:
    assert lacks(told() | partition(CLICKS, still=90)) == "no watermark has moved for 90 s"
    waiting = told() | partition(CLICKS, still=90, lag=1_500)
    assert lacks(waiting) == "no watermark has moved for 90 s, and 1,500 records wait"


def test_nothing_to_read_is_ready() -> None:
    assert verdict(told() | partition(CLICKS, still=90, lag=0)) == GOOD
    assert verdict(told() | partition(CLICKS, still=90, idle=1)) == GOOD
    ahead = told() | partition(CLICKS, still=90) | partition(VIEWS, still=2)
    assert verdict(ahead) == GOOD, "one that waits for another is held back by it"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path)
    metrics.begin(record.numbers, "0", os.getpid())
    return record


@pytest.fixture
def server(record: Record) -> Iterator[Server]:
    server = Server("127.0.0.1", 0, Exposition(record))
    yield server
    server.close()


def get(server: Server, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


def asked(server: Server, path: str) -> tuple[int, dict[str, Any]]:
    status, said = get(server, path)
    return status, json.loads(said)


def test_probes_say_what_is_so(server: Server) -> None:
    assert asked(server, "/healthz")[0] == 200
    assert asked(server, "/readyz") == (
        503, {"alive": True, "ready": False, "reasons": ["it is starting: nothing was read yet"]}
    )  # fmt: skip
    metrics.put(metrics.INPUT_AGE, time.time(), "0")
    metrics.put(metrics.MOVED_AGE, time.time(), "0")
    assert asked(server, "/readyz") == (200, {"alive": True, "ready": True, "reasons": []})
    metrics.put(metrics.MOVED_AGE, time.time() - 2 * health.STUCK_SECONDS, "0")
    assert asked(server, "/healthz")[0] == 503


def test_metrics_are_served_with_what_the_server_sees_itself(server: Server) -> None:
    metrics.add(metrics.RECEIVED, 5, "clicks\n", "0")
    status, said = get(server, "/metrics")
    assert status == 200
    lines = said.splitlines()
    assert 'pathline_records_received_total{partition="0",source="clicks\\n"} 5.0' in lines
    assert 'pathline_process_up{process="0"} 1.0' in lines
    assert "pathline_alive 1.0" in lines
    assert "pathline_ready 0.0" in lines
    memory = next(line for line in lines if line.startswith('pathline_process_resident_bytes{process="0"}'))
    assert float(memory.split()[-1]) > 10e6
    assert any(line.startswith("pathline_build_info{bytewax=") for line in lines)
    assert not any(line.startswith("pathline_last_error") for line in lines), "there was none"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../deployment.json", "/healthz/x"])
def test_there_is_nothing_else(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_can_only_be_read(server: Server, method: str) -> None:
    assert get(server, "/metrics", method)[0] == 501


def test_a_port_that_is_taken_is_said(server: Server, record: Record) -> None:
    with pytest.raises(BadListener, match=f"127.0.0.1:{server.port}: Address already in use"):
        Server("127.0.0.1", server.port, Exposition(record))


def test_a_server_that_was_closed_leaves_its_port(record: Record) -> None:
    first = Server("127.0.0.1", 0, Exposition(record))
    assert asked(first, "/healthz")[0] == 200
    first.close()
    second = Server("127.0.0.1", first.port, Exposition(record))
    assert asked(second, "/healthz")[0] == 200
    second.close()


@pytest.mark.parametrize(
    ("listen", "where"),
    [
        ("127.0.0.1:9464", ("127.0.0.1", 9464)),
        ("[::1]:80", ("::1", 80)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("none", None),
    ],
)
def test_addresses(listen: str, where: tuple[str, int] | None) -> None:
    assert address(listen) == where


@pytest.mark.parametrize(
    "listen", ["9464", ":9464", "here", "here:", "here:http", "here:70000", "here:-1", ""]
)
def test_what_is_no_address_is_said(listen: str) -> None:
    with pytest.raises(BadListener, match="is no HOST:PORT, like "):
        address(listen)
