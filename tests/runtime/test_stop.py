"""Signals: the first finishes what was begun and says so, the second does not wait."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.cli.progress import STOPPING
from pipeline.runtime import metrics
from pipeline.runtime.numbers import Numbers
from pipeline.runtime.record import Record
from tests.e2e.conftest import Stream, stream
from tests.e2e.runs import Place, is_worker, until

__all__ = ["stream"]  # the fixture


def slow(stream: Stream, folder: Path, *options: str) -> Place:
    return Place(
        folder, stream(1_500, 11, 2), ("--epoch", "100ms", *options), "null", {"PATHLINE_BATCH_ROWS": "4"}
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_drains_and_says_so(stream: Stream, tmp_path: Path, number: int) -> None:
    place = slow(stream, tmp_path)
    with place.in_the_middle(200) as running:
        running.signal(number)
        said = running.ended().clean().said
    assert said.count(STOPPING) == 1
    assert "stopped cleanly; the same command goes on from here" in said
    found = Record(place.state).run()
    assert found is not None
    assert found.how == "stopped"


def test_a_stop_is_said_in_the_words_of_the_log_where_that_was_asked_for(
    stream: Stream, tmp_path: Path
) -> None:
    place = slow(stream, tmp_path, "--workers", "2", "--log-format", "json")
    with place.in_the_middle(200) as running:
        running.signal(signal.SIGINT)
        said = running.ended().clean().said
    log = [json.loads(line) for line in said.splitlines()]
    assert [line.get("text") for line in log].count(STOPPING) == 1
    assert (log[-1]["event"], log[-1]["how"]) == ("end", "stopped")


def test_every_process_may_be_told_to_stop_at_once(stream: Stream, tmp_path: Path) -> None:
    """As systemd does it; then the starter passes it on, and a worker hears of it twice."""
    place = slow(stream, tmp_path, "--workers", "2")
    with place.in_the_middle(200) as running:
        members = running.workers()
        for pid in [*members, running.popen.pid]:
            os.kill(pid, signal.SIGTERM)
        running.ended().clean()
    assert not any(map(is_worker, members))
    stopped_at = place.received()
    said = replace(place, env={}).run().clean().said
    whole = place.received()
    assert f"({whole - stopped_at:,} of them now)" in said, "nothing is read twice"


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """An input that never says anything more: whoever reads it hangs."""
    path = tmp_path / "silent.jsonl"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    yield path
    os.close(held)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_does_not_wait(silent: Path, tmp_path: Path, number: int) -> None:
    """In one process: the thread that runs the flow is the one that hears of signals, and it hangs."""
    place = Place(tmp_path, (silent,), sink="null")
    numbers = Numbers(Record(place.state).numbers)
    running = place.start()
    try:
        until(lambda: (metrics.INPUT_AGE.name, "0") in numbers.read().get("0", {}), "the input to be read")
        running.signal(number)
        time.sleep(1)
        assert running.popen.poll() is None, "the first one waits"
        running.signal(number)
        ended = running.ended()
    finally:
        running.close()
    assert ended.code == -number
    assert STOPPING in ended.said
    assert "Traceback" not in ended.said
    found = Record(place.state).run()
    assert found is not None
    assert found.how is None, "as if it had been killed"
