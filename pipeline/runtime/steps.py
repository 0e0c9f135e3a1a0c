"""Where the time goes: CPU seconds per step of the flow, named as in `flow.py`; where an error came from, and
what snapshots cost.

Measured per batch, never per event, so it costs nothing and is always on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TypeVar, cast

from pipeline.runtime import failure, metrics

Logic = TypeVar("Logic")
Taken = TypeVar("Taken")

_SECONDS: dict[str, float] = {}
_ROWS: dict[str, int] = {}
_BEGAN: list[tuple[float, float]] = []


@contextmanager
def step(name: str) -> Iterator[None]:
    """Adds the CPU time that this thread spends inside to step `name`; notes an error that leaves it."""
    if not _BEGAN:
        _BEGAN.append((time.time(), time.process_time()))
    before = time.thread_time()
    try:
        yield
    except Exception as error:
        failure.note(error, name)
        raise
    finally:
        spent(name, time.thread_time() - before)
        metrics.put(metrics.MOVED_AGE, time.time(), metrics.own_process())


def snapshot(name: str) -> Callable[[Callable[[Logic], Taken]], Callable[[Logic], bytes]]:
    """For a method that takes the snapshot of step `name`: what it takes and how large it is are measured.
    One that is only promised (`kept.py`) is bytes for bytewax too, when it pickles it; it measures itself.
    """

    def measured(take: Callable[[Logic], Taken]) -> Callable[[Logic], bytes]:
        @wraps(take)
        def taken(logic: Logic) -> bytes:
            with timed(name):
                state = take(logic)
            if isinstance(state, bytes):
                metrics.add(metrics.SNAPSHOT_BYTES, len(state), name)
            return cast("bytes", state)

        return taken

    return measured


@contextmanager
def timed(name: str) -> Iterator[None]:
    """A part of the snapshot of step `name`: CPU time, and how long everything else waits for it."""
    before = time.perf_counter()
    with step("snapshot"):
        yield
    metrics.add(metrics.SNAPSHOT_SECONDS, time.perf_counter() - before, name)


def spent(name: str, seconds: float) -> None:
    """Adds CPU time that another thread has spent for step `name`."""
    _SECONDS[name] = _SECONDS.get(name, 0.0) + seconds


def began() -> tuple[float, float]:
    """When the first step of this process began: by the clock, and in CPU seconds of the process. What is
    before is start-up; processes that look for each other may take a second of it.
    """
    return _BEGAN[0] if _BEGAN else (time.time(), time.process_time())


def wrote(table: str, rows: int) -> None:
    """Adds rows that a sink of this process has acknowledged."""
    _ROWS[table] = _ROWS.get(table, 0) + rows


def rows() -> dict[str, int]:
    """Rows written per table by this process."""
    return dict(_ROWS)


def seconds() -> dict[str, float]:
    """CPU seconds per step of this process, in the order the steps were first taken."""
    return dict(_SECONDS)
