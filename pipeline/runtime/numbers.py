"""Numbers that one process writes and any other may read: what each is called in one file, their values in
another, which is memory-mapped.

Not prometheus_client's multiprocess mode: that maps files with holes (on a full disk the next number would
kill the process by SIGBUS), names them by process id (so a restart leaves old numbers among the new), and is
asked for in the environment before anything is imported. Here a process of a run has a place of its own, the
same in every run, and its file is written out before it is mapped.
"""

from __future__ import annotations

import json
import mmap
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np

CELLS_MAX: Final = 65_536
"""Numbers of a process: some ten for each source partition, and a hundred others. Half a megabyte."""

Key = tuple[str, ...]
"""The name of a metric, then the values of its labels."""


class Cells:
    """The numbers of this process: in memory until `share` puts them where others can see them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Key, int] = {}
        self._values = memoryview(bytearray(8 * CELLS_MAX)).cast("d")
        self._names: IO[str] | None = None

    @classmethod
    def shared(cls, folder: Path, process: str) -> Cells:
        """Numbers of one process of a run, all of them new. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        names, values = folder / f"{process}.names", folder / f"{process}.values"
        draft = folder / f"{process}.part"
        draft.write_bytes(bytes(8 * CELLS_MAX))
        cells = cls()
        with draft.open("r+b") as file:
            cells._values = memoryview(mmap.mmap(file.fileno(), 8 * CELLS_MAX)).cast("d")
        draft.replace(values)
        # Never removed first: a file that is made while the old one is there has another inode, by which
        # readers know that it is another.
        cells._names = draft.open("w", encoding="utf-8")
        draft.replace(names)
        return cells

    def put(self, key: Key, value: float) -> None:
        """Sets a number."""
        place = self._places.get(key)
        if place is None:
            place = self._claim(key)
        if place >= 0:
            self._values[place] = value

    def add(self, key: Key, by: float) -> None:
        """Adds to a number that began at 0."""
        place = self._places.get(key)
        if place is None:
            place = self._claim(key)
        if place >= 0:
            with self._lock:
                self._values[place] += by

    def get(self, key: Key) -> float:
        """A number of this process; 0 where it was never written."""
        place = self._places.get(key, -1)
        return self._values[place] if place >= 0 else 0.0

    def _claim(self, key: Key) -> int:
        """The place of a new number; −1 where there is none for it: numbers never stop a pipeline."""
        with self._lock:
            if key in self._places:
                return self._places[key]
            place = len(self._places) if len(self._places) < CELLS_MAX else -1
            if place >= 0 and self._names is not None:
                try:
                    self._names.write(json.dumps(key) + "\n")
                    self._names.flush()
                except OSError:  # half a line may be there: no further name can be told
                    self._names = None
            if place >= 0:
                self._places[key] = place
            return place


@dataclass
class Told:
    """What one process tells, read again and again by another; names are read once."""

    process: str
    names: Path
    _keys: list[Key]
    _read_to: int = 0
    _file: int = 0

    @classmethod
    def of(cls, names: Path) -> Told:
        return cls(names.stem, names, [])

    def read(self) -> dict[Key, float]:
        """Its numbers as they are now; none where the process has not begun."""
        try:
            self._read_names()
            values = np.fromfile(self.names.with_suffix(".values"), np.float64, count=len(self._keys))
        except OSError:
            return {}
        return dict(zip(self._keys, values.tolist(), strict=False))

    def _read_names(self) -> None:
        if (file := self.names.stat().st_ino) != self._file:  # another run
            self._keys, self._read_to, self._file = [], 0, file
        with self.names.open("rb") as opened:
            opened.seek(self._read_to)
            fresh = opened.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._keys += [tuple(json.loads(line)) for line in whole.splitlines()]


class Numbers:
    """What all processes of a run tell."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[str, Told] = {}

    def read(self) -> dict[str, dict[Key, float]]:
        """The numbers of each process."""
        for names in sorted(self._folder.glob("*.names")):
            self._told.setdefault(names.stem, Told.of(names))
        return {process: told.read() for process, told in self._told.items()}


def clear(folder: Path) -> None:
    """Forgets the numbers of an earlier run, which may have had more processes."""
    for path in _files(folder):
        path.unlink(missing_ok=True)


def remove(folder: Path, process: str) -> None:
    """Forgets the numbers of one."""
    for suffix in ("names", "values"):
        (folder / f"{process}.{suffix}").unlink(missing_ok=True)


def _files(folder: Path) -> Iterator[Path]:
    for suffix in ("names", "values"):
        yield from folder.glob(f"*.{suffix}")
