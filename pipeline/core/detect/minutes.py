"""What the detector sees of the world: one minute at a time, integers that can no longer change.

A *scope* is a step of a journey, whole or narrowed to a segment. Those who enter a scope in one minute are a
cohort; they count as lost when they have not gone on within a *horizon*, so the cohort of minute T − d is
settled for the horizon of d minutes when the watermark reaches the end of minute T. That is the moment at
which a minute tells of it: a short horizon soon, a long one later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.count.horizons import HORIZONS_MINUTES
from pipeline.core.count.kinds import RANKS

__all__ = ["HORIZONS_MINUTES", "WHOLE", "Minute", "Scope"]

WHOLE: Final[tuple[tuple[str, str], ...]] = ()
"""The segment that leaves nobody out."""


class Scope(NamedTuple):
    """A step, and whom of it. Scopes are ordered by their fields: nothing depends on who came first."""

    journey: str
    version: int
    rank: int
    stage: str
    segment: tuple[tuple[str, str], ...] = WHOLE  # (dimension, value), dimensions ascending: one or two

    @property
    def whole(self) -> Scope:
        """The same step with everybody in it."""
        return self._replace(segment=WHOLE)

    @property
    def is_kind(self) -> bool:
        """Whether it is a kind of object (`count/kinds.py`), not a stage."""
        return self.rank >= RANKS

    @property
    def place(self) -> int:
        """The rank of the stage that it is, or that it stands for."""
        return self.rank % RANKS

    def stands_with(self, other: Scope) -> bool:
        """Whether one is a kind of object and the other the stage that it stands for."""
        return self.is_kind != other.is_kind and self[:2] == other[:2] and self.place == other.place


@dataclass(frozen=True)
class Minute:
    """Minute `at` (unix minutes) in `n` scopes; a scope that is not there had nothing but zeros.

    `scopes` names the rows. `settled[:, h]` entered in the minute `at - HORIZONS_MINUTES[h]`, and
    `went_on[:, h]` of them reached a later step within that horizon. `skipped` reached a later step in this
    minute without having been in this one. Values are in 1/10,000 of the currency unit.
    """

    at: int
    scopes: list[Scope]
    entered: NDArray[np.int64]  # in this minute
    settled: NDArray[np.int64]  # (n, horizons)
    went_on: NDArray[np.int64]  # (n, horizons)
    skipped: NDArray[np.int64]
    value_e4: NDArray[np.int64]  # at stake with those who entered in this minute
