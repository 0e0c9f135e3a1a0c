"""Moments at which time passed for a silent partition: the journal that makes them part of the input.

A partition whose broker says that nothing is there lets time pass by the wall clock. So that a run that goes
back does the same again, each such moment is written down before it takes effect, with how many records the
partition had brought by then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

BYTES_MAX: Final = 1 << 20
"""Beyond it the journal is written anew without what no run can go back to."""


@dataclass(frozen=True)
class Lull:
    """After `received` records, the last before `position`, time passed until `watermark_ms`."""

    received: int
    position: int
    watermark_ms: int


class Lulls:
    """The journal of one partition: a line each. A last line that is not whole was never acted upon."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept_from = 0
        self._positions: list[int] = []

    @classmethod
    def of(cls, folder: Path, number: int) -> Lulls:
        """That of the partition with this number."""
        return cls(folder / f"{number:05d}.jsonl")

    def read(self, received: int) -> list[Lull]:
        """Those that a run which has `received` so many records has still to meet, in order."""
        return [lull for lull in self._all() if lull.received >= received]

    def add(self, lull: Lull) -> None:
        """Writes one down, durably."""
        self._path.parent.mkdir(exist_ok=True)
        with self._path.open("a+b") as file:
            file.seek(0)
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(max(0, size - 4096))
                tail = file.read()
                file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
            file.write(json.dumps(asdict(lull)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            is_long = file.tell() > BYTES_MAX
        if is_long:
            self._shorten()

    def snapshot(self, received: int) -> None:
        """A snapshot has been taken after so many records. A run goes back to the last that all processes
        have taken: that is this one or the one before.
        """
        self._positions = [*self._positions[-3:], received]
        self._kept_from = self._positions[0]

    def _shorten(self) -> None:
        """Of those after the same record the last is enough: time only rises."""
        last = {lull.received: lull for lull in self._all() if lull.received >= self._kept_from}
        draft = self._path.with_suffix(".part")
        with draft.open("wb") as file:
            file.writelines(_lines(last.values()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def _all(self) -> list[Lull]:
        if not self._path.exists():
            return []
        *lines, _ = self._path.read_bytes().split(b"\n")
        return [Lull(**json.loads(line)) for line in lines]


def _lines(lulls: Iterable[Lull]) -> Iterable[bytes]:
    return (json.dumps(asdict(lull)).encode() + b"\n" for lull in lulls)
