"""Large states beside the recovery store: what changed is appended to files, and a snapshot says how far.

A state that is too large to be packed whole in every epoch is a log of frames (`changes` of the core) in
segment files of the folder `segments/`. Each epoch appends one frame per shard, and its snapshot is kept only
when that is on the disk; the snapshot that bytewax keeps is a pointer: the segments that count, each with its
length and its checksum. With what has changed a frame carries a slice of what has not. When these slices have
passed the whole state (a sweep), all segments before that sweep are needed no more. So no epoch pays for a
whole state.

What a crash leaves cannot be mistaken for state: files only grow, each run appends to files of its own, and
what lies behind the length that a pointer names, or in files that no pointer names, is never read.

**What may be deleted.** bytewax resumes at the first epoch that not all workers have completed, with the last
snapshot of each key from before it. Its sources begin an epoch only when every worker has completed the one
before, recovery store included (`probe` in its src/inputs.rs); a step is asked for the snapshot of an epoch
only when all sources have left that epoch. So while snapshot n of a key is made, n - 1 is durable everywhere
and no resume can name n - 2. We keep what the last `SNAPSHOTS_KEPT` snapshots of the key name, those of the
run before included.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from pipeline.core.snapshot import FORMAT, StateMismatch, pack, unpack
from pipeline.runtime import meters
from pipeline.runtime.deployment import unusable
from pipeline.runtime.steps import spent

LOG_FROM_BYTES: Final = 4 << 20
"""A state of a shard that takes more memory is logged; one that takes a quarter is packed whole again."""
SWEEP_SHARE: Final = 1 / 3
"""For three rows that have changed one that has not is written again: a sweep ends after three times as many
changes as there are rows, and what counts is at most two sweeps. More makes epochs dearer, less makes
restarts longer.
"""
SWEEP_ROWS: Final = 64
"""At least so many rows."""
SNAPSHOTS_KEPT: Final = 4
HEADER: Final = b"PLsg" + FORMAT.to_bytes(2, "little")
LENGTH_BYTES: Final = 8
_FORCING: Final = ThreadPoolExecutor(8, "segments")
"""A disk takes the frames of all shards in little more time than one of them, if it is asked at once, and
packing them needs no lock of Python's. One after the other they took half of an epoch of one second.
"""
WAY_OUT: Final = (
    "bring the file back, `pathline state restore` a copy of the state folder, "
    "or begin anew with `pathline reset`"
)
_NAME: Final = re.compile(r"([a-z]+(?:-\d+)?)-(\d+)\.seg")


class Changing(Protocol):
    """A state that can tell what has changed in it."""

    @property
    def bytes(self) -> int:
        """About what it has in memory."""

    @property
    def rows(self) -> int:
        """What a sweep has to pass."""

    @property
    def dirty(self) -> int:
        """Rows that have changed since `changes` was asked for."""

    @property
    def moved(self) -> bool:
        """Whether rows have other places than before: then a sweep must begin anew."""

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        """What has changed since, and the rows from `first` to `stop`."""


@dataclass
class Segment:
    """So many bytes of a file count."""

    name: str
    length: int
    checksum: int


class SegmentLog:
    """The log of one state. `name` is that of its files: the step and the shard."""

    def __init__(self, folder: Path, name: str, pointer: dict[str, Any] | None = None) -> None:
        """Goes on from `pointer`, which `write` gave, or begins. A sweep that was under way begins anew: what
        a state is loaded from says nothing of where its rows will lie (a set of ids is filled in another
        order, a ring has another size), so what the sweep had passed are other rows now.
        """
        self._folder, self._name = folder, name
        self._segments = [Segment(*told) for told in pointer["segments"]] if pointer else []
        self._began = 0  # the segment in which the running sweep began
        self._next: int | None = None  # the row with which it goes on; None: it is over
        self._file: BinaryIO | None = None
        self._put: Future[tuple[int, float]] | None = None  # the last frame: done when it is on the disk
        self._files: dict[str, int] = {}  # that are there, and their numbers, once one was opened
        self._named = deque([self._names()], SNAPSHOTS_KEPT)

    def frames(self) -> Iterator[dict[str, Any]]:
        """All frames, oldest first. Raises StateMismatch where a segment is not whole."""
        for segment in self._segments:
            yield from _read(self._folder, segment, self._name)

    def write(self, state: Changing) -> bool:
        """Begins to write what has changed; `pointer` waits for it. False: the state is too small to be
        logged, and must be kept whole. Raises StateUnusable.
        """
        self._settle()
        if state.bytes < (LOG_FROM_BYTES // 4 if self._segments else LOG_FROM_BYTES):
            self._close()
            self._segments = []
        else:
            self._append(state)
        self._named.append(self._names())
        self._forget()
        return bool(self._segments)

    def pointer(self) -> dict[str, Any]:
        """To all of the state that was written, now that it is on the disk. Raises StateUnusable."""
        self._settle()
        return {"segments": [[one.name, one.length, one.checksum] for one in self._segments]}

    def _append(self, state: Changing) -> None:
        whole = not self._segments
        if self._next is None or state.moved:
            self._close()
            self._began, self._next = len(self._segments), 0
        assert self._next is not None
        stop = state.rows if whole else self._next + max(SWEEP_ROWS, int(state.dirty * SWEEP_SHARE))
        changes = state.changes(self._next, stop)
        fresh = self._file is None
        if self._file is None:
            self._file = self._open()
        head = HEADER if fresh else b""
        self._put = _FORCING.submit(_put, self._file, self._segments[-1], self._name, head, changes)
        self._next = stop
        if stop >= state.rows:
            del self._segments[: self._began]
            self._began, self._next = 0, None

    def _settle(self) -> None:
        """Waits until what was begun is on the disk."""
        if self._put is None:
            return
        try:
            size, seconds = self._put.result()
        except OSError as error:
            raise unusable(self._folder, error) from error
        self._put = None
        spent("snapshot", seconds)
        meters.logged(self._name.split("-")[0], size)

    def _open(self) -> BinaryIO:
        """A new file. Never one that is there: a run that died may have left it."""
        self._folder.mkdir(exist_ok=True)
        if not self._files:
            self._files = self._found()
        number = max(self._files.values(), default=0) + 1
        segment = Segment(f"{self._name}-{number:08}.seg", 0, 0)
        try:
            file = (self._folder / segment.name).open("xb")
            sync_folder(self._folder)
        except OSError as error:
            raise unusable(self._folder, error) from error
        self._files[segment.name] = number
        self._segments.append(segment)
        return file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _names(self) -> set[str]:
        return {segment.name for segment in self._segments}

    def _found(self) -> dict[str, int]:
        """The files of this log, and their numbers."""
        found = ((path.name, _NAME.fullmatch(path.name)) for path in self._folder.glob(f"{self._name}-*.seg"))
        return {name: int(match[2]) for name, match in found if match and match[1] == self._name}

    def _forget(self) -> None:
        """Deletes what no resume can name."""
        if len(self._named) == SNAPSHOTS_KEPT:
            for name in self._files.keys() - set().union(*self._named):
                (self._folder / name).unlink(missing_ok=True)
                del self._files[name]


def name_of(pointer: dict[str, Any]) -> str:
    """The name of the log that a pointer belongs to."""
    match = _NAME.fullmatch(str(pointer["segments"][-1][0]))
    if match is None:
        raise StateMismatch("a snapshot names a segment that cannot be one", WAY_OUT)
    return match[1]


def sync_folder(folder: Path) -> None:
    """Makes durable which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put(
    file: BinaryIO, segment: Segment, kind: str, head: bytes, changes: dict[str, Any]
) -> tuple[int, float]:
    """Appends a frame to a segment, and waits until it is on the disk: its bytes and its CPU time."""
    before = time.thread_time()
    frame = pack(kind, changes)
    for part in (head, len(frame).to_bytes(LENGTH_BYTES, "little"), frame):
        file.write(part)
        segment.length += len(part)
        segment.checksum = zlib.crc32(part, segment.checksum)
    file.flush()
    os.fdatasync(file.fileno())
    return len(frame), time.thread_time() - before


def _read(folder: Path, segment: Segment, kind: str) -> Iterator[dict[str, Any]]:
    """The frames of a segment, if it is what the pointer says."""
    path = folder / segment.name
    try:
        with path.open("rb") as file:
            data = memoryview(file.read(segment.length))
    except FileNotFoundError:
        raise StateMismatch(f"{path} is missing: the last snapshot needs it", WAY_OUT) from None
    except OSError as error:
        raise unusable(path, error) from error
    if len(data) < segment.length:
        raise StateMismatch(
            f"{path} has {len(data):,} bytes, the last snapshot needs {segment.length:,}", WAY_OUT
        )
    if zlib.crc32(data) != segment.checksum or data[: len(HEADER)] != HEADER:
        raise StateMismatch(f"{path} is damaged: its checksum does not fit", WAY_OUT)
    at = len(HEADER)
    while at < len(data):
        start = at + LENGTH_BYTES
        at = start + int.from_bytes(data[at:start], "little")
        yield unpack(kind, bytes(data[start:at]))
