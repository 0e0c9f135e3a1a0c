"""Where the time goes: CPU seconds per step of the flow, named as in `flow.py`; and where an error came from.

Measured per batch, never per event, so it costs nothing and is always on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.runtime import failure

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
        failure.note(error)
        raise
    finally:
        _SECONDS[name] = _SECONDS.get(name, 0.0) + time.thread_time() - before


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
