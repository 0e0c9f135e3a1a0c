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
)
NOT_STARTED: Final = np.iinfo(np.int64).min
FINISHED: Final = np.iinfo(np.int64).max


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
    watermark_ms: int | None


class Board:
    """The rows of all partitions; `create` starts a run, `open` joins one."""

    def __init__(self, path: Path, partitions: int, mode: str) -> None:
        shape = (partitions, len(COLUMNS))
        self._cells = np.memmap(path, np.int64, mode, shape=shape)  # type: ignore[call-overload]

    @classmethod
    def create(cls, path: Path, partitions: int) -> Board:
        board = cls(path, partitions, "w+")
        board._cells[:] = 0
        board._cells[:, COLUMNS.index("watermark_ms")] = NOT_STARTED
        return board

    @classmethod
    def open(cls, path: Path, partitions: int) -> Board:
        return cls(path, partitions, "r+")

    def put(self, partition: int, **values: int) -> None:
        """Writes some columns of one partition."""
        for name, value in values.items():
            self._cells[partition, COLUMNS.index(name)] = value

    def furthest_behind_ms(self) -> int:
        """The least watermark of the partitions that are not finished (NOT_STARTED before the first record)."""
        watermark = self._cells[:, COLUMNS.index("watermark_ms")]
        running = self._cells[:, COLUMNS.index("finished")] == 0
        return int(watermark[running].min()) if running.any() else FINISHED

    def latest_ms(self) -> int:
        """The greatest watermark of all partitions."""
        return int(self._cells[:, COLUMNS.index("watermark_ms")].max())

    def total(self) -> Total:
        sums = {
            name: int(self._cells[:, k].sum()) for k, name in enumerate(COLUMNS) if name != "watermark_ms"
        }
        watermark = self.furthest_behind_ms()
        known = watermark not in (NOT_STARTED, FINISHED)
        return Total(**sums, watermark_ms=watermark if known else None)
