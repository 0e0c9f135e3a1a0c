"""A board that all processes of a run write to: how far each source partition is, for progress and hints.

Plain 64-bit numbers in a memory-mapped file, one row per partition, one writer per row. Nothing that the
tables depend on may be read from here: it is a hint and a display.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

COLUMNS: Final = (
    "received",
    "accepted",
    "duplicate",
    "late",
    "rejected",
    "filtered",
    "watermark_ms",
    "bytes_read",
    "finished",
    "received_before",  # by earlier runs of the deployment
    "resting",  # a live partition without a record: nobody waits for it
    "lag",  # records that a broker has for us
)
NOT_STARTED: Final = np.iinfo(np.int64).min
FINISHED: Final = np.iinfo(np.int64).max
_WATERMARK: Final = COLUMNS.index("watermark_ms")
_FINISHED: Final = COLUMNS.index("finished")
_RESTING: Final = COLUMNS.index("resting")


@dataclass(frozen=True)
class Total:
    """All partitions together."""

    received: int
    accepted: int
    duplicate: int
    late: int
    rejected: int
    filtered: int
    bytes_read: int
    finished: int
    received_before: int
    watermark_ms: int | None
    resting: int = 0
    lag: int = 0

    @property
    def received_now(self) -> int:
        """Records of this run alone."""
        return self.received - self.received_before


class Board:
    """The rows of all partitions; `create` starts a run, `open` joins one."""

    def __init__(self, path: Path, partitions: int) -> None:
        shape = (partitions, len(COLUMNS))
        self._cells = np.memmap(path, np.int64, "r+", shape=shape)

    @classmethod
    def create(cls, path: Path, partitions: int) -> Board:
        cells = np.zeros((partitions, len(COLUMNS)), np.int64)
        cells[:, _WATERMARK] = NOT_STARTED
        # Written, not only mapped: on a full disk a write fails, while a mapped hole kills the process.
        path.write_bytes(cells.tobytes())
        return cls(path, partitions)

    @classmethod
    def open(cls, path: Path, partitions: int) -> Board:
        return cls(path, partitions)

    def clear(self) -> None:
        """As when it was created: a run begins again, and nothing on the board is true of it yet."""
        self._cells[:] = 0
        self._cells[:, _WATERMARK] = NOT_STARTED

    def put(self, partition: int, **values: int) -> None:
        """Writes some columns of one partition."""
        for name, value in values.items():
            self._cells[partition, COLUMNS.index(name)] = value

    def furthest_behind_ms(self) -> int:
        """The least watermark of those that have something to tell (NOT_STARTED before the first record)."""
        cells = self._cells
        running = cells[(cells[:, _FINISHED] == 0) & (cells[:, _RESTING] == 0), _WATERMARK]
        return int(running.min()) if len(running) else FINISHED

    def latest_ms(self) -> int:
        """The greatest watermark of all partitions."""
        return int(self._cells[:, _WATERMARK].max())

    def all_finished(self) -> bool:
        return bool((self._cells[:, _FINISHED] != 0).all())

    def column(self, name: str) -> list[int]:
        """A column, partition by partition."""
        return [int(value) for value in self._cells[:, COLUMNS.index(name)]]

    def total(self) -> Total:
        sums = {name: sum(self.column(name)) for name in COLUMNS if name != "watermark_ms"}
        watermark = self.furthest_behind_ms()
        if watermark == FINISHED:
            watermark = self.latest_ms()
        return Total(**sums, watermark_ms=None if watermark == NOT_STARTED else watermark)
