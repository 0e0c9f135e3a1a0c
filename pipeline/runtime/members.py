"""Several machines: each call of `pathline run --process-id I` is one process of a cluster.

They share the state folder (one volume that all of them mount). Process 0 begins the deployment and creates
the board; the others wait for it. Each opens only its part of the recovery store: SQLite's log must not be
opened on two machines at once.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bytewax.recovery import RecoveryConfig

from pipeline.runtime.deployment import LOCK_SECONDS, DeploymentRefused, StateFolder, StateUnusable
from pipeline.runtime.processes import Task

FIRST_SECONDS: Final = 300.0
"""How long the others wait for process 0 to begin: it may have kernels to compile."""


def problems(process_id: int | None, addresses: Sequence[str], workers: int, clickhouse: str) -> list[str]:
    """What is wrong with the settings of a cluster, each with a hint."""
    if not addresses and process_id is None:
        return []
    found = []
    if not addresses:
        found.append(
            "--process-id: of how many?\n  hint: --addresses names all processes: host:port,host:port"
        )
    elif process_id is None:
        found.append("--addresses: which of them is this process?\n  hint: --process-id 0 is the first")
    elif not 0 <= process_id < len(addresses):
        found.append(
            f"--process-id: {process_id} is none of {len(addresses)} addresses\n  hint: they count from 0"
        )
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65_536:
            found.append(f"--addresses: {address!r} is no address\n  hint: host:port, separated by commas")
    if len(set(addresses)) < len(addresses):
        found.append("--addresses: one is given twice\n  hint: every process has its own")
    if workers > 1:
        found.append(
            "--workers: not together with --addresses\n  hint: each call is one process: give each its own"
        )
    if clickhouse.startswith("chdb:"):
        found.append(
            "--clickhouse: the embedded database belongs to one process\n"
            "  hint: several machines need a server: clickhouse://user:password@host:8123"
        )
    return found


def exposed(addresses: Sequence[str]) -> list[str]:
    """The addresses that other machines may reach."""
    return [address for address in addresses if not _is_loopback(address.rpartition(":")[0])]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def await_first(folder: Path, process_id: int | None) -> None:
    """Returns when process 0 has begun the deployment. Raises StateUnusable where it does not."""
    if process_id:
        _await((folder / "deployment.json").exists, folder)


def await_board(board: Path, process_id: int | None, bytes_: int) -> None:
    """Returns when process 0 has created the board. Raises StateUnusable where it does not."""
    if process_id:
        _await(lambda: board.exists() and board.stat().st_size == bytes_, board.parent)


def _await(condition: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + FIRST_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise StateUnusable(
                f"{folder}: process 0 has not begun within {FIRST_SECONDS:.0f} s",
                "all processes need the same --state, on a volume that they share; start process 0 as well",
            )
        time.sleep(0.1)


@contextmanager
def joined(state: StateFolder, process_id: int) -> Iterator[tuple[int, ...]]:
    """Holds the folder against runs that are no process of this cluster, and the place of this process in it
    against a second one. Gives the descriptors that hold them. Raises DeploymentRefused.
    """
    with ExitStack() as stack:
        own = state.path / f"lock-{process_id}"
        both = ((state.path / "lock", fcntl.LOCK_SH), (own, fcntl.LOCK_EX))
        yield tuple(stack.enter_context(_held(path, how, state.path, process_id)) for path, how in both)


@contextmanager
def _held(path: Path, how: int, folder: Path, process_id: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DeploymentRefused(
                        f"{folder} is in use by another run, or process {process_id} of it runs already\n"
                        f"  hint: stop that one first"
                    ) from None
                time.sleep(0.05)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def recovery_of(state: StateFolder, process_id: int | None, task: Task) -> Iterator[RecoveryConfig]:
    """The recovery store as this process may see it: all of it where all processes are on one machine, else
    every n-th part. The cluster must see each part; a process need not see any.
    """
    whole = state.path / "recovery"
    if process_id is None:
        yield state.recovery()
        return
    with tempfile.TemporaryDirectory(prefix="pathline-recovery-") as own:
        for number, part in enumerate(sorted(whole.glob("part-*.sqlite3"))):
            if number % len(task.addresses) == process_id:
                (Path(own) / part.name).symlink_to(part.resolve())
        yield RecoveryConfig(own)
