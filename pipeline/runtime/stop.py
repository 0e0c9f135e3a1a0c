"""A clean stop: a signal sets a flag, every source partition then ends, and bytewax takes a last snapshot."""

from __future__ import annotations

import signal
import threading
from types import FrameType

_STOP = threading.Event()


def stopping() -> bool:
    """Whether a stop was asked for."""
    return _STOP.is_set()


def stop() -> None:
    """Asks for a stop."""
    _STOP.set()


def reset() -> None:
    """Forgets that a stop was asked for: for a second run in one process (tests, the demo)."""
    _STOP.clear()


def on_signals() -> None:
    """SIGTERM and SIGINT ask for a stop; a second one ends the process the hard way."""

    def ask(number: int, frame: FrameType | None) -> None:
        if stopping():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
