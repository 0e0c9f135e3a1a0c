"""One line that says how far a run is: events, rate, event time, what was set aside.

On a terminal it moves. Elsewhere it is said once, at the end: what is between the log tells, epoch by epoch.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.runtime.board import Board, Total
from pipeline.runtime.intake import Origin
from pipeline.runtime.log import EpochLines
from pipeline.runtime.stop import stopping

STOPPING: Final = (
    "stopping as soon as what was read is written; a second signal (Ctrl-C) does not wait for that"
)

LAG_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Progress:
    """Shows a board, and writes `lines`. Use as a context manager; call `tick` now and then."""

    def __init__(
        self, board: Board, origins: Sequence[Origin], console: Console, lines: EpochLines | None = None
    ) -> None:
        self._board = board
        self._sizes = [origin.file.stat().st_size if origin.file else 0 for origin in origins]
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._lines = lines
        self._started = time.monotonic()
        self._closed = False
        self._said_stopping = False

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Says the last word; nothing is shown after that."""
        if self._closed:
            return
        self._closed = True
        self._say_stopping()
        if self._live:
            self._live.update(self._line())
            self._live.stop()
        else:
            self._tell_epochs()
            self._console.print(self._line(), soft_wrap=True)

    def tick(self) -> None:
        self._say_stopping()
        if self._live:
            self._live.update(self._line())
        self._tell_epochs()

    def _say_stopping(self) -> None:
        """From here, not from where the signal is heard: there nothing may be written."""
        if stopping() and not self._said_stopping:
            self._said_stopping = True
            self._console.print(STOPPING, soft_wrap=True, highlight=False)

    def _tell_epochs(self) -> None:
        if self._lines:
            self._lines.tick(read_percent=round(100 * _share_read(self._sizes, self._board)))

    def _line(self) -> Text:
        total = self._board.total()
        now = time.monotonic()
        line = describe(total, _share_read(self._sizes, self._board), now - self._started, time.time())
        if not total.received_now:
            self._started = now  # worker processes take their time to begin
        return Text(line)


def describe(total: Total, share: float, seconds: float, now: float) -> str:
    """The line: of `total`, with `share` of the input read, `seconds` after the start, at time `now`."""
    parts = [
        f"{total.received:,} events",
        f"{total.received_now / max(seconds, 1e-3):,.0f}/s",
        f"{share:.0%} read",
    ]
    if total.watermark_ms is not None:
        at = total.watermark_ms / 1000
        parts.append(
            f"at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}, {lag_in_words(now - at)} behind"
        )
    parts += [f"{value:,} {name}" for name, value in set_aside(total).items() if value]
    return " · ".join(parts)


def lag_in_words(seconds: float) -> str:
    """A length of time in the largest unit that says something."""
    seconds = max(seconds, 0)  # a watermark may be ahead of this machine's clock
    size, unit = next((size, unit) for size, unit in LAG_UNITS if seconds >= 2 * size or unit == "s")
    return f"{seconds // size:,.0f} {unit}"


def _share_read(sizes: list[int], board: Board) -> float:
    """By the bytes of all files; what is finished is read, however its bytes are counted. Of topics by the
    records that wait.
    """
    if not sum(sizes) and (lag := sum(board.column("lag"))):
        received = board.total().received
        return received / (received + lag)
    read = sum(
        size if finished else min(done, size)
        for size, done, finished in zip(
            sizes, board.column("bytes_read"), board.column("finished"), strict=True
        )
    )
    return read / sum(sizes) if sum(sizes) else 1.0


def set_aside(total: Total) -> dict[str, int]:
    """Records that became no event, by what became of them."""
    return {
        "duplicate": total.duplicate,
        "late": total.late,
        "rejected": total.rejected,
        "filtered": total.filtered,
    }
