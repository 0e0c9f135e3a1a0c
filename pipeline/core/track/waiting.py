"""Events that wait until their watermark has passed them, in the pieces in which they came.

Of what waits ten seconds long nothing must be copied, and little be looked at, with every batch: a piece
whose time has not come is passed over, and one whose time comes bit by bit is an index that grows shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.events import Codes, Events, Index, Slice, dump_events, gather, load_events

PIECES_MAX: Final = 64
"""More are joined, the smallest first: what is left of many pieces may wait for minutes."""

Recode = Callable[[Events], tuple[list[str], Codes | None]]
Due = Callable[[NDArray[np.int64], NDArray[np.int32]], NDArray[np.bool_]]
"""Which events, by their time and partition, the watermark has passed."""


@dataclass(frozen=True)
class Piece:
    """Rows `left` of some events, the earliest of them at `first`; `is_told`: `untold` has given them."""

    events: Events
    left: Index
    first: int
    is_told: bool

    @classmethod
    def of(cls, events: Events, *, is_told: bool) -> Piece:
        """All of some events, of which there must be one."""
        return cls(events, np.arange(len(events)), int(events.at.min()), is_told)

    def without(self, left: Index) -> Piece:
        """Only rows `left` of it; copied where that frees more than it keeps."""
        if 2 * len(left) < len(self.events):
            return Piece.of(self.events.take(left), is_told=self.is_told)
        return Piece(self.events, left, int(self.events.at[left].min()), self.is_told)


class Waiting:
    """What waits in one shard."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []

    def __len__(self) -> int:
        return sum(len(piece.left) for piece in self._pieces)

    @property
    def bytes(self) -> int:
        """In memory."""
        return sum(piece.events.bytes for piece in self._pieces)

    @property
    def untold(self) -> int:
        """Events that `dump` has not told of."""
        return sum(len(piece.left) for piece in self._pieces if not piece.is_told)

    def turn(
        self, slices: Sequence[Slice], latest: int, is_due: Due, recode: Recode
    ) -> list[tuple[Events, Index]]:
        """Takes in `slices`, and gives out all that is due: of what is at `latest` or later nothing is."""
        due = [*self._let_go(latest, is_due)]
        waiting = []
        for piece in slices:
            at, partition = piece.events.at[piece.index], piece.events.partition[piece.index]
            passed = is_due(at, partition)
            due.append((piece.events, piece.index[passed]))
            waiting.append((piece.events, piece.index[~passed]))
        waiting = [(events, index) for events, index in waiting if len(index)]
        if waiting:
            self._pieces.append(Piece.of(gather(waiting, recode), is_told=False))
        if len(self._pieces) > PIECES_MAX:
            self._join(recode)
        return [(events, index) for events, index in due if len(index)]

    def _let_go(self, latest: int, is_due: Due) -> Iterable[tuple[Events, Index]]:
        kept = []
        for piece in self._pieces:
            if piece.first >= latest:
                kept.append(piece)
                continue
            events, left = piece.events, piece.left
            passed = is_due(events.at[left], events.partition[left])
            if not passed.any():
                kept.append(piece)
                continue
            yield events, left[passed]
            if not passed.all():
                kept.append(piece.without(left[~passed]))
        self._pieces = kept

    def _join(self, recode: Recode) -> None:
        """The smallest become one, or two: what is told stays told."""
        by_size = sorted(self._pieces, key=lambda piece: len(piece.left))
        small, self._pieces = by_size[: PIECES_MAX // 2], by_size[PIECES_MAX // 2 :]
        for is_told in (True, False):
            alike = [piece for piece in small if piece.is_told == is_told]
            if alike:
                self._pieces.append(Piece.of(_one(alike, recode), is_told=is_told))

    def all(self, recode: Recode) -> Events | None:
        """What waits, as one; None for nothing."""
        return _one(self._pieces, recode) if self._pieces else None

    def replace(self, events: Events) -> None:
        """These wait now, and no others."""
        self._pieces = [Piece.of(events, is_told=True)] if len(events) else []

    # --- snapshots ---

    def dump(self, *, whole: bool) -> list[dict[str, Any]]:
        """What waits, or what of it was not told before, with its own words."""
        told = [piece for piece in self._pieces if whole or not piece.is_told]
        self._pieces = [replace(piece, is_told=True) for piece in self._pieces]
        return [dump_events(piece.events.alone(piece.left)) for piece in told]

    def load(self, dumped: Iterable[dict[str, Any]], is_due: Due) -> None:
        """Takes in what `dump` told of and still waits."""
        for one in dumped:
            events = load_events(one)
            left = np.flatnonzero(~is_due(events.at, events.partition))
            if len(left):
                self._pieces.append(Piece.of(events.take(left), is_told=True))


def _one(pieces: Sequence[Piece], recode: Recode) -> Events:
    return gather([(piece.events, piece.left) for piece in pieces], recode)
