"""Worker processes: started, watched as one, and asked what they died of.

A cluster lives or ends as a whole. Who starts it anew, and how often, is decided in `supervise.py`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NoReturn

from pipeline.runtime.failure import Failure
from pipeline.runtime.launch import is_foreign
from pipeline.runtime.underway import Narrow

POLL_SECONDS: Final = 0.1
"""How often the starter looks after its processes and the progress."""

STOP_SECONDS: Final = 60.0
"""How long processes may take to end cleanly once a stop was asked for."""

DEATH_SECONDS: Final = 2.0
"""How long the others may take to say what they died of, once one has died. They cannot go on alone."""

LAST_WORDS: Final = 200
"""Lines of a process's output that are kept, in case it dies of something that only they tell."""

ONE_THREAD: Final = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
}
"""A process per core is the plan: libraries that start a thread per core would undo it."""

PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal that this process gets when its parent dies."""


@dataclass(frozen=True)
class Task:
    """What a worker process is to do. Travels through a pipe: a DSN holds a secret."""

    process: int
    addresses: list[str]  # of all processes of the cluster; none where it is alone
    settings: dict[str, Any]
    narrow: Narrow | None = None

    def dump(self) -> str:
        """As a line of text."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, line: str) -> Task:
        told = json.loads(line)
        narrow = told.pop("narrow")
        return cls(**told, narrow=Narrow(narrow["rows"], tuple(narrow["until"])) if narrow else None)


class RunFailed(Exception):  # noqa: N818  the word that users read
    """A process of the run has died, and the others were stopped. `failure` is what it said, if anything."""

    def __init__(self, process: int, code: int, said: Failure | None, output: str) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        super().__init__(f"worker process {process} {how}, and the others were stopped")
        self.process = process
        self.how = how
        self.is_killed = code < 0
        self.failure = said
        self.output = output


@dataclass
class _Process:
    """A worker process, and what it says."""

    number: int
    popen: subprocess.Popen[str]
    killed: bool = False  # by us
    failures: deque[str] = field(default_factory=lambda: deque(maxlen=1))
    output: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_WORDS))
    readers: list[threading.Thread] = field(default_factory=list)

    def listen(self) -> None:
        for stream, into in ((self.popen.stdout, self.failures), (self.popen.stderr, self.output)):
            reader = threading.Thread(target=into.extend, args=(stream,), daemon=True)
            reader.start()
            self.readers.append(reader)

    @property
    def code(self) -> int | None:
        return self.popen.poll()

    def failure(self) -> Failure | None:
        with suppress(ValueError, TypeError):  # native code may print there too
            return Failure.load(self.failures[0]) if self.failures else None
        return None


def local_tasks(count: int, settings: dict[str, Any], narrow: Narrow | None) -> list[Task]:
    """The tasks of `count` processes on this machine. One alone needs no port."""
    addresses = free_addresses(count) if count > 1 else []
    return [Task(number, addresses, settings, narrow) for number in range(count)]


def run_processes(tasks: list[Task], watch: Callable[[], bool], hold: tuple[int, ...]) -> bool:
    """Starts a worker process for each task and waits for all of them; they inherit the descriptors `hold`.

    `watch` is called a few times a second and says whether a stop was asked for. A cluster lives or ends as
    one: when a process dies the others are ended. Raises RunFailed. Returns False where a stop took too long
    and was made the hard way.
    """
    processes = [_start(task, hold) for task in tasks]
    deadline = float("inf")
    try:
        while any(process.code is None for process in processes):
            time.sleep(POLL_SECONDS)
            if watch() and deadline == float("inf"):
                deadline = time.monotonic() + STOP_SECONDS
                _signal(processes, signal.SIGTERM)
            if any(process.code for process in processes):
                deadline = min(deadline, time.monotonic() + DEATH_SECONDS)
            if time.monotonic() > deadline:
                _kill(processes)
    finally:
        _kill(processes)
    for process in processes:
        for reader in process.readers:
            reader.join()
    _raise_cause(processes)
    return not any(process.killed for process in processes)


def _start(task: Task, hold: tuple[int, ...]) -> _Process:
    """A worker. Its input stays open as long as we live, so that it knows when we do not."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "pipeline.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, **ONE_THREAD} if task.addresses else None,
        pass_fds=hold,
        start_new_session=True,  # Ctrl-C in the terminal is for us alone
    )
    assert popen.stdin is not None
    with suppress(BrokenPipeError):
        popen.stdin.write(task.dump() + "\n")
        popen.stdin.flush()
    process = _Process(task.process, popen)
    process.listen()
    return process


def _signal(processes: list[_Process], number: int) -> None:
    for process in processes:
        if process.code is None:
            process.popen.send_signal(number)


def _kill(processes: list[_Process]) -> None:
    for process in processes:
        if process.code is None:
            process.killed = True
            process.popen.kill()
            process.popen.wait()


def _raise_cause(processes: list[_Process]) -> None:
    """Raises what the run died of: rather a step's error than a signal, rather a signal than what others
    say who only saw their neighbour go.
    """
    dead = [process for process in processes if process.code and not process.killed]
    if not dead:
        return

    def weight(process: _Process) -> tuple[bool, bool]:
        said = process.failure()
        return (said is not None and said.is_cause, (process.code or 0) < 0)

    first = max(dead, key=weight)
    raise RunFailed(first.number, first.code or 0, first.failure(), "".join(first.output))


def free_addresses(count: int) -> list[str]:
    """Addresses on this machine alone: what bytewax says there is not authenticated."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def receive_task() -> Task:
    """What the starter of this worker process wants done. From now on the process ends when its starter does:
    a worker that nobody watches would hold the state and the database for ever.
    """
    task = Task.load(sys.stdin.readline())
    with suppress(OSError, AttributeError):  # Linux alone; there it ends even a process that is stopped
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    threading.Thread(target=_end_with_starter, name="lifeline", daemon=True).start()
    return task


def _end_with_starter() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def die_of(error: BaseException) -> NoReturn:
    """Tells the starter what this worker process dies of, and ends it."""
    print(Failure.of(error, is_cause=not is_foreign(error)).dump())  # noqa: T201  a pipe
    leave(1)


def leave(code: int) -> NoReturn:
    """Ends a worker process at once: threads of bytewax and of the embedded engine may still be about, and
    would crash an interpreter that takes its time. All that counts has been acknowledged.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
