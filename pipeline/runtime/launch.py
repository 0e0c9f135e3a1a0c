"""Running a flow: in this process, or in several that are started and watched as one."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import pyarrow as pa
from bytewax._bytewax import cluster_main, run_main
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig

from pipeline.runtime import failure, steps
from pipeline.runtime.deployment import RESET_HINT, StateUnusable, unusable
from pipeline.runtime.failure import Failure

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

FULL_BYTES: Final = 1 << 20

_STORE: Final = re.compile(r"SqliteFailure\(.*?Some\(\"(.*?)\"\)\)")
_STORE_FULL: Final = ("DiskFull", "disk is full", "No space left on device")


def run_here(flow: Dataflow, epoch: timedelta, recovery: RecoveryConfig) -> None:
    """Runs the flow in this thread until its input ends or a stop is asked for.

    What a step raises leaves here as it was raised; a state folder that fails is StateUnusable.
    """
    with _explained(recovery):
        run_main(flow, epoch_interval=epoch, recovery_config=recovery)


def run_worker(
    flow: Dataflow, epoch: timedelta, recovery: RecoveryConfig, addresses: list[str], process: int
) -> None:
    """Runs this process's part of a flow that several processes share."""
    with _explained(recovery):
        cluster_main(
            flow, addresses, process, epoch_interval=epoch, recovery_config=recovery, worker_count_per_proc=1
        )


@contextmanager
def _explained(recovery: RecoveryConfig) -> Iterator[None]:
    """Whatever leaves is the cause. A flow that fails ends in an error of bytewax, or in a panic, with a
    backtrace of Rust that helps nobody here: that is kept aside.
    """
    failure.forget()
    with _kept_aside() as said:
        try:
            yield
        except BaseException as error:
            output = _read(said)
            cause = failure.noted() or _store_failure(recovery, f"{error}\n{output}") or error
        else:
            return
    if _is_foreign(cause):
        sys.stderr.write(output)
    raise cause from cause.__cause__


def _store_failure(recovery: RecoveryConfig, text: str) -> StateUnusable | None:
    """What bytewax says of its recovery store, as a word to the operator. In a cluster it says nothing."""
    where = Path(recovery.db_dir)
    if any(sign in text for sign in _STORE_FULL) or _is_full(where):
        return unusable(where, OSError(errno.ENOSPC, ""))
    if found := _STORE.search(text):
        return StateUnusable(f"{where}: the recovery store cannot be used: {found[1]}", RESET_HINT)
    return None


def _is_full(store: Path) -> bool:
    """Whether there is less room than a snapshot may take: none is larger than all that are kept."""
    with suppress(OSError):
        found = os.statvfs(store)
        kept = sum(part.stat().st_size for part in store.iterdir())
        return found.f_bavail * found.f_frsize < max(kept, FULL_BYTES)
    return False


@contextmanager
def _kept_aside() -> Iterator[IO[bytes]]:
    """While inside, what native code prints to descriptor 2 goes to a file; what Python prints does not."""
    with tempfile.TemporaryFile() as said:
        shown = sys.stderr
        shown.flush()
        original = os.dup(2)
        if _is_descriptor_2(shown):
            sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=shown.encoding, errors="replace")
        os.dup2(said.fileno(), 2)
        faulthandler.enable(original)  # a crash would take what it said with it
        try:
            yield said
        finally:
            faulthandler.disable()
            os.dup2(original, 2)
            os.close(original)
            sys.stderr.flush()
            sys.stderr = shown


def _is_descriptor_2(stream: Any) -> bool:
    with suppress(OSError, AttributeError, ValueError):
        return bool(stream.fileno() == 2)
    return False


def _read(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read(64 << 10).decode(errors="replace")


# --- several processes ------------------------------------------------------------------------------------


PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal that this process gets when its parent dies."""


@dataclass(frozen=True)
class Task:
    """What a worker process is to do. Travels through a pipe: a DSN holds a secret."""

    process: int
    addresses: list[str]
    settings: dict[str, Any]


class RunFailed(Exception):  # noqa: N818  the word that users read
    """A process of the run has died, and the others were stopped. `failure` is what it said, if anything."""

    def __init__(self, message: str, said: Failure | None, output: str) -> None:
        super().__init__(message)
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


def run_processes(
    count: int, settings: dict[str, Any], watch: Callable[[], bool], hold: tuple[int, ...]
) -> bool:
    """Starts `count` worker processes and waits for all of them; they inherit the descriptors `hold`.

    `watch` is called a few times a second and says whether a stop was asked for. A cluster lives or ends as
    one: when a process dies the others are ended. Raises RunFailed. Returns False where a stop took too long
    and was made the hard way.
    """
    addresses = _free_addresses(count)
    processes = [_start(Task(number, addresses, settings), hold) for number in range(count)]
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
        env={**os.environ, **ONE_THREAD},
        pass_fds=hold,
        start_new_session=True,  # Ctrl-C in the terminal is for us alone
    )
    assert popen.stdin is not None
    with suppress(BrokenPipeError):
        popen.stdin.write(json.dumps(task.__dict__) + "\n")
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
    code = first.code or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    message = f"worker process {first.number} {how}, and the others were stopped"
    raise RunFailed(message, first.failure(), "".join(first.output))


def _free_addresses(count: int) -> list[str]:
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
    task = Task(**json.loads(sys.stdin.readline()))
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
    print(Failure.of(error, is_cause=not _is_foreign(error)).dump())  # noqa: T201  a pipe
    leave(1)


def leave(code: int) -> NoReturn:
    """Ends a worker process at once: threads of bytewax and of the embedded engine may still be about, and
    would crash an interpreter that takes its time. All that counts has been acknowledged.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _is_foreign(error: BaseException) -> bool:
    """Raised by bytewax itself, not by a step: most likely it lost a neighbour."""
    return type(error).__module__.startswith(("pyo3", "bytewax")) or not isinstance(error, Exception)


def share_cores(processes: int) -> None:
    """Arrow's threads: the cores are divided among the processes of a run."""
    pa.set_cpu_count(max(1, (os.cpu_count() or 1) // processes))


@contextmanager
def measured(path: Path) -> Iterator[None]:
    """Leaves in `path` what the flow inside took from its first step on, for whoever wants to look (the
    benchmark does): seconds by the clock, CPU seconds of this process, and CPU seconds per step.
    """
    try:
        yield
    finally:
        wall, cpu = steps.began()
        took = {
            "began": wall,
            "ended": time.time(),
            "cpu_seconds": time.process_time() - cpu,
            "cpu_seconds_before": cpu,
            "steps": steps.seconds(),
            "rows": steps.rows(),
        }
        with suppress(OSError):  # a full disk has been told of already
            path.write_text(json.dumps(took))
