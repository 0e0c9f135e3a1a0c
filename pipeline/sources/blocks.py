"""What every source hands out: decoded records with their positions, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.core.decode.decoder import Decoded


@dataclass(frozen=True)
class Block:
    """Some decoded records with their positions in the partition (line, row or offset)."""

    decoded: Decoded
    position: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        """In memory."""
        return int(self.decoded.batch.nbytes)


class Gap(NamedTuple):
    """Positions of records that were gone when they were due: from `first` on, before `until`."""

    first: int
    until: int


class NothingYet(Enum):
    """There is no record now; there may be one later."""

    NOTHING_YET = 0


NOTHING_YET: Final = NothingYet.NOTHING_YET


class Place(Protocol):
    """Where a reader is: what `dump` says is all that `load` needs to go on after what was handed out."""

    @property
    def bytes_read(self) -> int: ...

    def dump(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Reader(Place, Protocol):
    """Reads one partition that has an end."""

    def read(self, rows_max: int) -> Block | None:
        """The next records, about `rows_max`; None at the end."""


class LiveReader(Place, Protocol):
    """Reads one partition that grows while it is read."""

    def read(self, rows_max: int) -> Block | NothingYet | None:
        """The next records, about `rows_max`; None where no more are wanted."""

    @property
    def lag(self) -> int:
        """Records that are there and were not handed out yet."""

    @property
    def offset(self) -> int:
        """Position of the next record."""

    def at_end_ms(self, quiet_seconds: float) -> int | None:
        """The latest moment (wall clock, ms) for which whoever keeps the records has said that there was none
        after what was handed out; None where one came within `quiet_seconds`, or nobody answers.
        """

    def gaps(self) -> list[Gap]:
        """What was found missing since the last call."""

    def kept(self) -> None:
        """A snapshot of where it is has been taken."""
