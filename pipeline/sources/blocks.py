"""What every source hands out: decoded records with their positions, and where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.core.decode.decoder import Decoded


@dataclass(frozen=True)
class Block:
    """Some decoded records with their positions in the partition (line, row or offset)."""

    decoded: Decoded
    position: NDArray[np.int64]


class Reader(Protocol):
    """Reads one partition from where it is."""

    @property
    def bytes_read(self) -> int: ...

    def read(self, rows_max: int) -> Block | None:
        """The next records, about `rows_max`; None at the end."""

    def dump(self) -> dict[str, Any]:
        """Where it is: all that `load` needs to go on after the last record handed out."""

    def load(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None: ...
