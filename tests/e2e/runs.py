"""The command line as people use it: real processes, stopped and killed, and the rows that they leave.

A `Place` is a deployment: files, a state folder, a database, and always the same command. Rows are read by
a process of their own (`python -m tests.e2e.runs DSN`), because the embedded engine belongs to one process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.runtime.board import Board
from schemas.tables import TABLES
from sinks.clickhouse.query import Reader
from sinks.parquet import read_parquet_table

ROOT = Path(__file__).parents[2]
LONG = os.environ.get("PATHLINE_PROFILE") == "long"
PATIENCE_SECONDS = 300.0
"""Kernels may have to be compiled first, on a machine with other things to do."""

VIEWS = "SELECT name FROM system.tables WHERE database = 'bi' AND name != 'freshness' ORDER BY name"
"""All but freshness, which tells the wall clock."""

Rows = dict[str, list[str]]


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code and what it said."""

    code: int
    said: str

    def clean(self) -> Ended:
        """The same, which must have gone well."""
        assert self.code == 0, f"exit code {self.code}\n{self.said}"
        self._without_trace()
        return self

    def died(self, *words: str) -> Ended:
        """The same, which must have come to an end that nobody asked for, and have said so."""
        assert self.code == 1, f"exit code {self.code}\n{self.said}"
        self._without_trace()
        for word in words:
            assert word in self.said, f"{word!r} is not in:\n{self.said}"
        return self

    def _without_trace(self) -> None:
        for word in ("Traceback", "panicked", "stack backtrace", "os error"):
            assert word not in self.said, self.said

    def refused(self, *words: str) -> Ended:
        """The same, which must have been refused in so many words: exit code 2, a hint, no traceback."""
        assert self.code == 2, f"exit code {self.code}\n{self.said}"
        self._without_trace()
        assert "hint: " in self.said, self.said
        for word in words:
            assert word in self.said, f"{word!r} is not in:\n{self.said}"
        return self


def pathline(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ended:
    """Runs `pathline` to its end."""
    return Running(list(map(str, arguments)), env or {}, cwd).ended()


class Running:
    """A command that runs. Whatever is left of it is killed by `close`."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        whole = {key: value for key, value in os.environ.items() if not key.startswith("PATHLINE_")}
        self.popen = subprocess.Popen(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            env={**whole, "PYTHONPATH": str(ROOT), "COLUMNS": "500", "PATHLINE_LISTEN": "none", **env},
            cwd=cwd,
            preexec_fn=_usual_signals,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def ended(self) -> Ended:
        try:
            said, _ = self.popen.communicate(timeout=PATIENCE_SECONDS)
        finally:
            self.close()
        return Ended(self.popen.returncode, said)

    def close(self) -> None:
        for process in [self.popen.pid, *self.workers()]:
            with suppress(ProcessLookupError):
                if self.popen.poll() is None or process != self.popen.pid:
                    os.kill(process, signal.SIGKILL)

    def workers(self) -> list[int]:
        """The worker processes that it has now, by their place in the cluster."""
        if self.popen.poll() is not None:
            return []
        children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children")
        return [int(pid) for pid in children.read_text().split() if is_worker(int(pid))]


def _usual_signals() -> None:
    """Whoever starts the tests may ignore some, as nohup does: what they start must not."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def is_worker(pid: int) -> bool:
    """Whether a process is alive and one of our workers."""
    try:
        return b"pipeline.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def until(condition: Callable[[], Any], what: str) -> None:
    """Waits for a condition, for as long as patience lasts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


@dataclass(frozen=True)
class Place:
    """A deployment: what it reads, where its state and its rows are, and how it is run."""

    folder: Path
    files: tuple[Path, ...]
    options: tuple[str, ...] = ()
    sink: str = "chdb"
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("run",)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def dsn(self) -> str:
        return "null:" if self.sink == "null" else f"{self.sink}://{self.folder / self.sink}"

    def start(self, *more: str) -> Running:
        """Begins, or goes on: it is always the same command."""
        inputs = [word for file in self.files for word in ("--input", str(file))]
        base = [*self.command, *inputs, "--mapping", "w1", "--journey", "w1"]
        where = ["--state", str(self.state), "--clickhouse", self.dsn]
        return Running([*base, *where, *self.options, *more], self.env, self.folder)

    def run(self, *more: str) -> Ended:
        return self.start(*more).ended()

    @contextmanager
    def in_the_middle(self, records: int, *more: str) -> Iterator[Running]:
        """A run that has come to so many records (of all runs), and goes on."""
        # what an earlier run wrote on the board is not news
        (self.state / "board.bin").unlink(missing_ok=True)
        running = self.start(*more)
        try:
            gone = running.popen.poll
            until(lambda: self.received() >= records or gone() is not None, f"{records} records")
            assert gone() is None, f"ended too early: {running.ended()}"
            yield running
        finally:
            running.close()

    def received(self) -> int:
        """Records read so far, by the board of the run."""
        return sum(self.board("received"))

    def board(self, column: str) -> list[int]:
        with suppress(OSError, ValueError):  # not written yet, or not all of it
            return Board.open(self.state / "board.bin", len(self.files)).column(column)
        return []

    def rows(self) -> Rows:
        """What can be read in the end, view by view (or table by table), sorted."""
        if self.sink == "parquet":
            return {
                table: sorted(map(str, read_parquet_table(self.folder / self.sink, table).to_pylist()))
                for table in TABLES
                if table != "freshness"
            }
        views = [row["name"] for row in ask(self.dsn, {"views": VIEWS})["views"]]
        found = ask(self.dsn, {view: f"SELECT * FROM bi.{view}" for view in views})
        return {view: sorted(json.dumps(row) for row in rows) for view, rows in found.items()}


def same(rows: Rows, expected: Rows) -> None:
    """Fails with the first rows that differ."""
    assert rows.keys() == expected.keys()
    for table, wanted in expected.items():
        if rows[table] != wanted:
            more, less = set(rows[table]) - set(wanted), set(wanted) - set(rows[table])
            words = [
                f"{table}: {len(rows[table])} rows for {len(wanted)}; {len(more)} more, {len(less)} less"
            ]
            words += [f"  + {row}" for row in sorted(more)[:3]] + [f"  - {row}" for row in sorted(less)[:3]]
            raise AssertionError("\n".join(words))


def ask(dsn: str, questions: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Answers of a database that nobody has open, each a list of rows."""
    command = [sys.executable, "-m", "tests.e2e.runs", dsn, json.dumps(questions)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    answers: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return answers


def _told(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


if __name__ == "__main__":
    _, where, asked = sys.argv
    with Reader(where) as reader:
        found = {name: reader.query(sql).to_pylist() for name, sql in json.loads(asked).items()}
    print(json.dumps(found, default=_told))
