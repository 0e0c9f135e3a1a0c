"""A clean stop: a signal sets a flag, every source partition then ends, and bytewax takes a last snapshot."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_STOP = threading.Event()
_PAUSE = threading.Event()
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SHOW_CURSOR: Final = "\x1b[?25h"


class StoppedEarly(BaseException):
    """A stop was asked for before there was anything to stop."""


def stopping() -> bool:
    """Whether a stop was asked for."""
    return _STOP.is_set()


def stop() -> None:
    """Asks for a stop."""
    _STOP.set()


def pause() -> None:
    """Asks for a stop after which the run goes on, otherwise than before."""
    if not stopping():
        _PAUSE.set()
        stop()


def paused() -> bool:
    """Whether the stop was a pause, and nobody asked for more since."""
    return _PAUSE.is_set()


def reset() -> None:
    """Forgets that a stop was asked for: for a second run in one process."""
    _PAUSE.clear()
    _STOP.clear()


def on_signals(*, second_forces: bool = True) -> None:
    """From now on SIGTERM, SIGINT and SIGHUP ask for a stop; a second one ends the process the hard way.

    Not so in a worker: systemd and others signal every process of a group, and its starter does once more.
    Who wants it gone at once ends the starter, and it goes with that.
    """
    _handle(_ask if second_forces else _stop_asked)


@contextmanager
def interrupting() -> Iterator[None]:
    """Until the flow runs there is nothing to finish: inside, a signal raises StoppedEarly at once."""
    _handle(_interrupt)
    try:
        yield
    finally:
        on_signals()


def _handle(handler: object) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may; whoever runs a flow elsewhere calls `stop`
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants to outlive its terminal
            signal.signal(number, handler)  # type: ignore[arg-type]


def _ask(number: int, frame: FrameType | None) -> None:
    if stopping() and not _PAUSE.is_set():
        if sys.stderr.isatty():
            sys.stderr.write(_SHOW_CURSOR)
            sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _stop_asked(number, frame)


def _stop_asked(number: int, frame: FrameType | None) -> None:
    _PAUSE.clear()
    stop()


def _interrupt(number: int, frame: FrameType | None) -> None:
    stop()
    raise StoppedEarly
