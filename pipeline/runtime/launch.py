"""Running a flow: in this process, or in several that are started and watched as one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from bytewax._bytewax import cluster_main, run_main
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig

from pipeline.runtime import steps

POLL_SECONDS: Final = 0.2
"""How often the starter looks after its processes and the progress."""

GRACE_SECONDS: Final = 60.0
"""How long processes may take to end cleanly once one of them has died or a stop was asked for."""


def run_here(flow: Dataflow, epoch: timedelta, recovery: RecoveryConfig) -> None:
    """Runs the flow in this thread until its input ends or a stop is asked for."""
    run_main(flow, epoch_interval=epoch, recovery_config=recovery)


def run_worker(
    flow: Dataflow, epoch: timedelta, recovery: RecoveryConfig, addresses: list[str], process: int
) -> None:
    """Runs this process's part of a flow that several processes share."""
    cluster_main(
        flow, addresses, process, epoch_interval=epoch, recovery_config=recovery, worker_count_per_proc=1
    )


def free_addresses(count: int) -> list[str]:
    """Addresses on this machine alone: what bytewax says there is not authenticated."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def run_processes(command: list[str], count: int, watch: Callable[[], bool]) -> int:
    """Starts `count` processes (`command` with PATHLINE_PROCESS=i) and waits for all of them.

    `watch` is called a few times a second and says whether a stop was asked for. When one of them dies
    the others are stopped: a cluster lives or ends as one. Returns the first bad exit code, or 0.
    """
    processes = [
        subprocess.Popen(command, env={**os.environ, "PATHLINE_PROCESS": str(number)}, start_new_session=True)
        for number in range(count)
    ]
    asked = False
    deadline = float("inf")
    code = 0
    while any(process.poll() is None for process in processes):
        time.sleep(POLL_SECONDS)
        stop = watch()
        bad = next((process.returncode for process in processes if process.returncode), 0)
        code = code or bad
        if (stop or bad) and not asked:
            asked = True
            deadline = time.monotonic() + GRACE_SECONDS
            _signal(processes, signal.SIGTERM)
        if time.monotonic() > deadline:
            _signal(processes, signal.SIGKILL)
    return code or next((process.returncode for process in processes if process.returncode), 0)


def _signal(processes: list[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


@contextmanager
def measured(path: Path) -> Iterator[None]:
    """Leaves in `path` what the flow inside took, start-up apart, for whoever wants to look (the
    benchmark does): seconds by the clock, CPU seconds of this process, and CPU seconds per step.
    """
    wall, cpu = time.time(), time.process_time()
    try:
        yield
    finally:
        took = {
            "began": wall,
            "ended": time.time(),
            "cpu_seconds": time.process_time() - cpu,
            "cpu_seconds_before": cpu,
            "steps": steps.seconds(),
            "rows": steps.rows(),
        }
        path.write_text(json.dumps(took))


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
