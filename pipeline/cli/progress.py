"""One line that says how far a run is: events, rate, event time, what was set aside."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.runtime.board import Board, Total

SECONDS_BETWEEN_LINES = 5.0
"""Where the output is no terminal: a line now and then, not a picture."""


class Progress:
    """Shows a board. Use as a context manager; call `tick` now and then."""

    def __init__(self, board: Board, input_bytes: int, console: Console) -> None:
        self._board = board
        self._input_bytes = input_bytes
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._started = time.monotonic()
        self._first = board.total().received
        self._told = self._started

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.update(self._line())
            self._live.stop()
        else:
            self._console.print(self._line(), soft_wrap=True)

    def tick(self) -> None:
        if self._live:
            self._live.update(self._line())
        elif time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)

    def _line(self) -> Text:
        total = self._board.total()
        seconds = max(time.monotonic() - self._started, 1e-3)
        rate = (total.received - self._first) / seconds
        parts = [f"{total.received:,} events", f"{rate:,.0f}/s"]
        if self._input_bytes:
            parts.append(f"{min(total.bytes_read / self._input_bytes, 1):.0%} read")
        if total.watermark_ms is not None:
            parts.append(f"at {datetime.fromtimestamp(total.watermark_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}")
        parts += [f"{value:,} {name}" for name, value in set_aside(total).items() if value]
        return Text(" · ".join(parts))


def set_aside(total: Total) -> dict[str, int]:
    """Records that became no event, by what became of them."""
    return {
        "duplicate": total.duplicate,
        "late": total.late,
        "rejected": total.rejected,
        "filtered": total.filtered,
    }


def input_bytes(paths: tuple[Path, ...]) -> int:
    """Bytes to read where that is known beforehand: plain lines; else 0."""
    plain = all(path.suffix in (".jsonl", ".ndjson", ".json") for path in paths)
    return sum(path.stat().st_size for path in paths) if plain else 0


Tick = Callable[[], None]
