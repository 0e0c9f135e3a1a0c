"""Asking a database in a process of its own: one process can have one embedded database open, and whoever
asks here has another one to write to.

    python -m pipeline.cli.apart      `dsn` and `questions` on stdin as JSON, Arrow streams on stdout
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

import pyarrow as pa

from pipeline.runtime.failure import Failure
from sinks.base import SinkRefused, SinkUnavailable
from sinks.clickhouse.query import QueryRefused, Reader

QUESTIONS: Final = files("sinks.clickhouse") / "sql" / "replay"
REFUSED: Final = 2


class NotAnswered(Exception):  # noqa: N818  the word that users read
    """The database cannot be asked: a message and a hint."""

    def __init__(self, met: Failure) -> None:
        super().__init__(met.message)
        self.message, self.hint = met.message, met.hint or "--of names the database of a run"


def ask(dsn: str, questions: Sequence[str]) -> list[pa.Table]:
    """The answers to some of the questions in `sql/replay`. Raises NotAnswered."""
    asked = json.dumps({"dsn": dsn, "questions": list(questions)})  # on stdin: a DSN holds a password
    command = [sys.executable, "-m", "pipeline.cli.apart"]
    done = subprocess.run(command, input=asked.encode(), capture_output=True, check=False)
    if done.returncode == REFUSED:
        raise NotAnswered(Failure.load(done.stderr.decode().splitlines()[-1]))
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.decode()}")
    source = pa.BufferReader(done.stdout)
    return [pa.ipc.open_stream(source).read_all() for _ in questions]


def answers(dsn: str, questions: Sequence[str]) -> list[pa.Table]:
    """The same in this process, which then has the database open."""
    with Reader(dsn) as reader:
        return [reader.query((QUESTIONS / f"{name}.sql").read_text("utf-8")) for name in questions]


def _answer() -> None:
    asked = json.load(sys.stdin)
    try:
        found = answers(asked["dsn"], asked["questions"])
    except (SinkRefused, SinkUnavailable, QueryRefused) as error:
        sys.stderr.write(Failure.of(error, is_cause=True).dump())
        sys.exit(REFUSED)
    for answer in found:
        with pa.ipc.new_stream(sys.stdout.buffer, answer.schema) as stream:
            stream.write_table(answer)


if __name__ == "__main__":
    _answer()
