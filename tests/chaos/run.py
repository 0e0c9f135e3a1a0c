"""The run that is killed: one deployment, and an operator who starts it again whenever it has ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipeline.runtime.restarts import read_restarts
from sinks.clickhouse.serve_file import Served, served
from tests.e2e.runs import PATIENCE_SECONDS, ROOT, Running, is_worker
from tests.kafka.test_runs import FromTopic

SEGMENTS: Final = Path(__file__).parent / "segments"
BROKER_AWAY: Final = "no broker answers"
"""What a command says that finds no broker at its start, and ends: whoever runs it starts it again."""


KILLED_EACH_TIME: Final = ("the run fails each time", "it was killed by SIGKILL")
"""What a run says that was killed again and again in one place: it takes a record for the cause, and ends."""


class Surprise(AssertionError):  # noqa: N818 - the word of the failure that is shown
    """Something that no kill explains."""


class LoggedRun(Running):
    """A command whose words go to a file: nobody reads a pipe while it is killed."""

    def __init__(self, arguments: list[str], env: dict[str, str], cwd: Path, log: Path) -> None:
        whole = {key: value for key, value in os.environ.items() if not key.startswith("PATHLINE_")}
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            self.popen = subprocess.Popen(  # type: ignore[assignment]  # its output is no pipe
                [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
                env={**whole, "PATHLINE_LISTEN": "none", "COLUMNS": "500", **env},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    @property
    def said(self) -> str:
        """What this command, of all that wrote to the file, has said so far."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")


@dataclass(frozen=True)
class Deployment(FromTopic):
    """A deployment that reads a topic, with all it says in a file."""

    logs_small_states: bool = False

    @property
    def log(self) -> Path:
        return self.folder / "run.log"

    def start(self, *more: str) -> LoggedRun:
        inputs = [word for file in self.files for word in ("--input", str(file))]
        where = ["--state", str(self.state), "--clickhouse", self.dsn]
        paths = [SEGMENTS, ROOT] if self.logs_small_states else [ROOT]
        env = {"PYTHONPATH": os.pathsep.join(map(str, paths)), **self.env}
        return LoggedRun(["run", *inputs, *where, *self.options, *more], env, self.folder, self.log)

    def drain(self) -> None:
        """Runs up to the end of the topic, in one process, however many there were before."""
        run = self.start("--until-drained", "--workers", "1")
        try:
            code = run.popen.wait(PATIENCE_SECONDS)
        finally:
            run.close()
        if code != 0 or "Traceback" in run.said:
            raise Surprise(f"draining ended with exit code {code}:\n{run.said[-6000:]}")


@dataclass
class Operator:
    """Keeps the command going: it is started again when it has ended, if a kill explains why it has.

    `is_broker_away` says whether a command may find no broker now.
    """

    place: Deployment
    is_broker_away: Callable[[], bool]
    starts: int = 0
    refused: int = 0  # starts that found no broker
    gave_up: int = 0  # runs that were killed too often in one place
    _running: LoggedRun | None = field(default=None, init=False)

    @property
    def running(self) -> LoggedRun:
        assert self._running is not None, "start it first"
        return self._running

    def start(self) -> None:
        self._running = self.place.start()
        self.starts += 1

    def look(self) -> None:
        """Starts the command again where it has ended because it found no broker, or was killed too often in
        one place. Raises Surprise where it has ended otherwise.
        """
        code = self.running.popen.poll()
        if code is None:
            return
        said = self.running.said
        if BROKER_AWAY in said and self.is_broker_away():
            self.refused += 1
            time.sleep(0.2)
        elif all(words in said for words in KILLED_EACH_TIME):
            self.gave_up += 1
        else:
            raise Surprise(f"the run ended with exit code {code} by itself:\n{said[-6000:]}")
        self.start()

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Waits for what must come about while the run is kept going; returns what the condition gave."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := condition()):
            self.look()
            if time.monotonic() > deadline:
                raise Surprise(f"waited in vain for {what}:\n{self.running.said[-6000:]}")
            time.sleep(0.005)
        return found

    def received(self) -> int:
        return sum(self.place.board("received"))

    def workers(self) -> list[int]:
        with suppress(OSError):  # it has just ended
            return self.running.workers()
        return []

    def bridge(self) -> Served | None:
        """The worker that has the database open and serves it, once it does."""
        there = served(Path(self.place.folder / self.place.sink))
        return there if there is not None and there.pid in self.workers() else None

    def kill_all(self, *, by_name: bool) -> list[int]:
        """The whole cluster: every process of it by name, or only the one that the others hang on. Returns
        all of them: they are gone.
        """
        workers = self.workers()
        self.running.popen.kill()
        for process in workers if by_name else ():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.running.popen.wait()
        self.until_gone(workers)
        return [self.running.popen.pid, *workers]

    @staticmethod
    def until_gone(workers: list[int]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(is_worker(process) and not _is_zombie(process) for process in workers):
            if time.monotonic() > deadline:
                raise Surprise(f"of the workers {workers} some live on without whoever started them")
            time.sleep(0.005)

    def restarts(self) -> int:
        """Restarts that the command made by itself, over all its lives."""
        return read_restarts(self.place.state).restarts

    def stop(self) -> None:
        """Ends the command as people do; it must end well."""
        self.running.signal(signal.SIGTERM)
        code = self.running.popen.wait(PATIENCE_SECONDS)
        if code != 0 or "stopped cleanly" not in self.running.said:
            raise Surprise(f"a stop that was asked for ended with {code}:\n{self.running.said[-6000:]}")

    def close(self) -> None:
        if self._running is not None:
            self._running.close()


def _is_zombie(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
