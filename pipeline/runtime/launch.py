"""Running a flow in this process: alone, or as one of several; and finding out what it died of."""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
from bytewax._bytewax import cluster_main, run_main
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig

from pipeline.runtime import failure, steps
from pipeline.runtime.deployment import RESET_HINT, StateUnusable, unusable

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
    if is_foreign(cause):
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


def is_foreign(error: BaseException) -> bool:
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
