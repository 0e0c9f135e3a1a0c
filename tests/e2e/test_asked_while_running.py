"""A run has its embedded database open, and `pathline query`, `show` and `explain` answer meanwhile."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sinks.clickhouse.serve_file import SERVING_FILE
from tests.e2e.conftest import Stream
from tests.e2e.runs import Ended, Place, pathline, until

ATOMIC_BYTES = 4096
"""A pipe takes so much whole or not at all."""


@contextmanager
def trickling(file: Path, pipe: Path) -> Iterator[None]:
    """The lines of a file, over and over, through a pipe that stands for a file: a run of it does not end."""
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # it is there for whoever opens the pipe to look at it
    chunks = list(whole_lines(file.read_bytes()[:200_000]))
    done = threading.Event()

    def feed() -> None:
        number = 0
        while not done.wait(0.01):
            with suppress(BlockingIOError):
                os.write(end, chunks[number % len(chunks)])
                number += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        os.close(end)


def whole_lines(text: bytes) -> Iterator[bytes]:
    while text:
        end = text[:ATOMIC_BYTES].rfind(b"\n") + 1
        if not end:
            return
        yield text[:end]
        text = text[end:]


@pytest.mark.parametrize("workers", [1, 2])
def test_readers_are_answered_while_it_runs(stream: Stream, tmp_path: Path, workers: int) -> None:
    pipe = tmp_path / "live.jsonl"
    options = ("--store-events", "--workers", str(workers))
    place = Place(tmp_path, (pipe,), options=options, env={"PATHLINE_EPOCH": "200ms"})
    where = ("--clickhouse", place.dsn)

    def asked(sql: str) -> Ended:
        return pathline("query", *where, "--format", "json", sql)

    with trickling(stream(1_000, 5, 1)[0], pipe), place.in_the_middle(1) as run:
        until(lambda: (tmp_path / "chdb" / SERVING_FILE).exists(), "a file that says where it is served")
        until(lambda: asked("SELECT * FROM bi.events LIMIT 1").clean().said, "events")
        if workers == 1:  # where several run, one of them has it open: no other way to ask
            visitor = json.loads(asked("SELECT visitor_id FROM bi.events LIMIT 1").clean().said)["visitor_id"]
            assert visitor in pathline("explain", *where, "--journey", "w1", visitor).clean().said
            assert "records" in pathline("show", *where).clean().said
            pathline("migrate", *where).refused("has it open")
        assert run.popen.poll() is None, "it must have been running all the while"
        run.signal(signal.SIGTERM)
        run.ended().clean()
    assert not (tmp_path / "chdb" / SERVING_FILE).exists()
    asked("SELECT * FROM bi.events LIMIT 1").clean()
