"""What a load run consists of, each a process of its own: a producer, a server, and `pathline run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pipeline.runtime.board import Board
from tests.e2e.runs import ROOT
from tests.kafka.broker import Broker
from tests.kafka.node import free_ports
from tests.kafka.topics import Topics

STOP_SECONDS_MAX: Final = 600.0
PATHLINE: Final = (sys.executable, "-c", "from pipeline.cli import main; main()")


class LoadFailed(AssertionError):  # noqa: N818 - the word that is shown
    """The load run itself could not be carried out: no verdict."""


def environment() -> dict[str, str]:
    """Without settings of a run that whoever started us may have."""
    whole = {key: value for key, value in os.environ.items() if not key.startswith("PATHLINE_")}
    return {**whole, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


class Producer:
    """`tests.load.producer` as it runs; what it says is kept."""

    def __init__(self, servers: str, topic: str, rate: float, **options: object) -> None:
        told = [f"--{name}={value}" for name, value in options.items()]
        self.popen = subprocess.Popen(
            [
                sys.executable, "-m", "tests.load.producer", "--servers", servers, "--topic", topic,
                "--rate", str(rate), *told,
            ],
            env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[dict[str, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def sent(self) -> int:
        """Events so far, as of a second ago."""
        return int(self.said[-1]["sent"]) if self.said else 0

    @property
    def behind(self) -> float:
        """Seconds behind the time, as of a second ago."""
        return self.said[-1]["behind"] if self.said else 0.0

    def stop(self) -> int:
        """Ends it; returns the events that the broker has acknowledged, all that were sent."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.popen.wait(STOP_SECONDS_MAX)
        self._reader.join()
        last = self.said[-1] if self.said else {}
        if self.popen.returncode or last.get("lost", 1):
            raise LoadFailed(f"the producer ended with exit code {self.popen.returncode}: {last}")
        return self.sent

    def close(self) -> None:
        end(self.popen)

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.said.append(json.loads(line))


class Engine:
    """What stands for a ClickHouse server (tests/sinks/clickhouse_server.py), with its data in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.sinks.clickhouse_server", str(folder)],
            env=environment(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.popen.stdout is not None
        self.port = int(self.popen.stdout.readline())

    def close(self) -> None:
        end(self.popen)


@contextmanager
def broker_at(servers: str | None, folder: Path) -> Iterator[tuple[Topics, dict[str, int]]]:
    """A broker of our own in `folder` with its process, unless there is one at `servers`."""
    if servers:
        yield Topics(servers), {}
        return
    broker = Broker(folder)
    try:
        broker.start()
        yield broker, {"broker": broker.pid}
    finally:
        broker.stop()


@dataclass
class Live:
    """A deployment that reads a topic; always the same command, whose words go to `run.log`."""

    folder: Path
    source: str
    clickhouse: str
    options: Sequence[str]
    partitions: int
    popen: subprocess.Popen[bytes] | None = field(default=None, init=False)
    port: int = field(default_factory=lambda: free_ports().open, init=False)
    _log: IO[bytes] | None = field(default=None, init=False)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def command(self) -> list[str]:
        """As people would type it, after `pathline`."""
        return [
            "run", "--input", self.source, "--clickhouse", self.clickhouse, "--state", str(self.state),
            "--listen", f"127.0.0.1:{self.port}", "--log-format", "logfmt", *self.options,
        ]  # fmt: skip

    def start(self, *more: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = (self.folder / "run.log").open("ab")
        self.popen = subprocess.Popen(
            [*PATHLINE, *self.command, *more],
            env=environment(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
        )  # fmt: skip

    def stop(self) -> None:
        """As SIGTERM does; it must end well."""
        assert self.popen is not None
        self.popen.send_signal(signal.SIGTERM)
        self.ended()

    def ended(self) -> None:
        """Waits for its end, which must be a good one."""
        assert self.popen is not None
        try:
            self.popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise LoadFailed(f"pathline did not end within {STOP_SECONDS_MAX:g} s") from None
        if self.popen.returncode:
            raise LoadFailed(f"pathline ended with exit code {self.popen.returncode}:\n{self.last_words()}")
        self.close()

    def drain(self) -> None:
        """Goes on to the end of what is in the topic, and no further: time stands where the records do."""
        self.start("--until-drained")
        self.ended()

    def last_words(self) -> str:
        """The end of its log."""
        return (self.folder / "run.log").read_text(errors="replace")[-3000:]

    def require_alive(self) -> None:
        """Raises LoadFailed if it has ended by itself."""
        assert self.popen is not None
        if self.popen.poll() is not None:
            raise LoadFailed(f"pathline ended with code {self.popen.returncode}:\n{self.last_words()}")

    def received(self) -> int | None:
        """Records read since the deployment began; None while nobody knows, as after a restart."""
        with suppress(OSError, ValueError):
            return Board.open(self.state / "board.bin", self.partitions).total().received or None
        return None

    def close(self) -> None:
        """Kills what is left of it."""
        if self.popen is not None:
            end(self.popen)
        if self._log is not None:
            self._log.close()
            self._log = None


def end(popen: subprocess.Popen[Any]) -> None:
    """Gone when this returns, with its children: those of pathline end with it."""
    if popen.stdin is not None:
        with suppress(OSError):
            popen.stdin.close()
    if popen.poll() is None:
        popen.terminate()
        try:
            popen.wait(30)
        except subprocess.TimeoutExpired:
            popen.send_signal(signal.SIGTERM)  # a second one does not wait
            with suppress(subprocess.TimeoutExpired):
                popen.wait(10)
            popen.kill()
            popen.wait()
    if popen.stdout is not None:
        popen.stdout.close()


def until(condition: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    """Waits for a condition; raises LoadFailed when that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LoadFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)


@contextmanager
def closing_all(*things: Any) -> Iterator[None]:
    """Closes them in turn, the last first, whatever happens."""
    try:
        yield
    finally:
        for thing in reversed(things):
            with suppress(Exception):
                thing.close()
