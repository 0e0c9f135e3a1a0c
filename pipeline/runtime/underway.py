"""Which block each partition is at, where a process that dies cannot take it along; and whose turn it is.

A memory-mapped file like the board. The records of a block are written down before they are read. As a rule
several blocks are under way at once, and a death says little about any of them. In a *narrow* run
(`Narrow`) there is one at a time in the whole cluster: the partitions take turns, and one hands on
its turn when the epoch of its block is over. bytewax asks a partition for the next epoch only when all
steps of all processes are through with the last one. So what dies, dies of the block that is written down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

NARROW_EPOCH_SECONDS: Final = 0.05
"""One block an epoch: the shorter, the sooner the search is over. What a snapshot takes comes on top."""

FILE: Final = "underway.bin"
COLUMNS: Final = ("received", "after", "expected", "first", "last")
"""Of a partition: records before its block and after it; the position of the next; first and last of it."""

UNKNOWN: Final = -1
"""A position that nobody could tell: of a block that is still being read."""

END: Final = -2
"""The partition was at its end: no record is under way, but that time passes."""

ALL: Final = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Narrow:
    """One block at a time in the whole cluster, of at most `rows` records, until every partition has come
    to as many records as `until` says: what fails then fails on a block that is known.
    """

    rows: int
    until: tuple[int, ...]


@dataclass(frozen=True)
class Spot:
    """The block that was under way alone: of which partition, and its records."""

    partition: int
    received: int  # by the partition, before it
    expected: int  # position of its first record, where it was still being read
    first: int
    last: int

    @property
    def is_one_record(self) -> bool:
        return self.first == self.last != UNKNOWN

    def of_one(self) -> Spot:
        """The same, known to have one record alone."""
        return self if self.first != UNKNOWN else replace(self, first=self.expected, last=self.expected)


class Underway:
    """The cells of all partitions; `create` begins a run, `join` takes part in one."""

    def __init__(self, path: Path, partitions: int, narrow: Narrow | None = None) -> None:
        cells = np.memmap(path, np.int64, "r+", shape=(partitions + 1, len(COLUMNS)))
        self._blocks: NDArray[np.int64] = cells[:partitions]
        self._shared: NDArray[np.int64] = cells[partitions]  # whose turn it is; whose block is under way
        self.narrow = narrow

    @classmethod
    def create(cls, folder: Path, partitions: int) -> Underway:
        cells = np.full((partitions + 1, len(COLUMNS)), UNKNOWN, np.int64)
        cells[:, :2] = 0
        (folder / FILE).write_bytes(cells.tobytes())
        return cls(folder / FILE, partitions)

    @property
    def is_narrow(self) -> bool:
        """Whether one block at a time is the rule, still."""
        return self.narrow is not None and not self.is_past(self.narrow)

    def is_past(self, narrow: Narrow) -> bool:
        """Whether all partitions have come as far as a narrow run was to go."""
        return bool((self._blocks[:, 0] >= np.array(narrow.until)).all())

    def ends(self, rows_max: int) -> tuple[int, ...]:
        """How many records each partition has received when its block is over. One that is still being read
        may have up to `rows_max`.
        """
        before, after = self._blocks[:, 0], self._blocks[:, 1]
        ends = np.where((after == UNKNOWN) & (before != ALL), before + rows_max, np.maximum(before, after))
        return tuple(map(int, ends))

    @property
    def alone(self) -> Spot | None:
        """The block under way in a narrow run, if there was one."""
        number = int(self._shared[1])
        if number == UNKNOWN:
            return None
        received, _, expected, first, last = map(int, self._blocks[number])
        return Spot(number, received, expected, first, last)

    @property
    def turn(self) -> int:
        return int(self._shared[0])

    def put(
        self,
        number: int,
        received: int,
        after: int = UNKNOWN,
        expected: int = UNKNOWN,
        first: int = UNKNOWN,
        last: int = UNKNOWN,
    ) -> None:
        """What a partition is at."""
        self._blocks[number] = received, after, expected, first, last

    def stands(self, number: int) -> None:
        """The block of this partition is the one under way."""
        self._shared[1] = number

    def hand_on(self, number: int) -> None:
        """The turn goes to the next partition that has not left."""
        self._shared[1] = UNKNOWN
        count = len(self._blocks)
        others = [(number + step) % count for step in range(1, count + 1)]
        self._shared[0] = next((other for other in others if self._blocks[other, 0] != ALL), number)


class Turn:
    """One partition's view. Where no file was joined it is always its turn, and nothing is written down."""

    def __init__(self, underway: Underway | None, number: int, received: int) -> None:
        self._all = underway
        self._number = number
        self._received = received
        self._has_read = False
        self._epoch_is_over = False
        if underway is not None:
            underway.put(number, received, received)

    @property
    def rows_max(self) -> int:
        """How many records the next block may have."""
        found = self._all
        return found.narrow.rows if found and found.narrow and found.is_narrow else ALL

    def comes(self) -> bool:
        """Whether the partition may read now (or leave)."""
        if self._all is None or not self._all.is_narrow:
            return True
        if self._all.turn != self._number or (self._has_read and not self._epoch_is_over):
            return False
        if self._has_read:
            self._has_read = False
            self._all.hand_on(self._number)
        return self._all.turn == self._number

    def begin(self, received: int, reader: object) -> None:
        """A block is about to be read: said before, because reading may be what kills."""
        self._received = received
        self._has_read, self._epoch_is_over = True, False
        if self._all is not None:
            self._all.put(self._number, received, expected=getattr(reader, "next_position", UNKNOWN))
            self._all.stands(self._number)

    def took(self, position: NDArray[np.int64]) -> None:
        """The block has records at these positions, if any."""
        if self._all is None:
            return
        after = self._received + len(position)
        if len(position):
            self._all.put(
                self._number, self._received, after, UNKNOWN, int(position.min()), int(position.max())
            )
        else:
            self._all.put(self._number, self._received, after)
            self._has_read = False
            self.skip()

    def ends(self) -> None:
        """There is nothing more to read: what is under way is that time passes."""
        if self._all is not None:
            self._all.put(self._number, self._received, self._received, UNKNOWN, END, END)

    def skip(self) -> None:
        """The partition has nothing, or waits for others, and lets them go first."""
        if self._all is not None and self._all.is_narrow and not self._has_read:
            self._all.hand_on(self._number)

    def epoch_over(self) -> None:
        """Bytewax has asked for a snapshot."""
        self._epoch_is_over = True

    def leave(self) -> None:
        """The partition has said its last word, and takes no more turns."""
        if self._all is not None:
            self._all.put(self._number, ALL, ALL)
            if self._all.turn == self._number:
                self._all.hand_on(self._number)


_JOINED: list[Underway] = []


def join(folder: Path, partitions: int, narrow: Narrow | None) -> None:
    """The partitions of this process write down what they are at, from now on."""
    _JOINED[:] = [Underway(folder / FILE, partitions, narrow)]


def is_narrow() -> bool:
    """Whether this process takes part in a narrow run, and it is not past its place."""
    return bool(_JOINED) and _JOINED[0].is_narrow


def turn(number: int, received: int) -> Turn:
    """The view of one partition, which has received so many records."""
    return Turn(_JOINED[0] if _JOINED else None, number, received)
