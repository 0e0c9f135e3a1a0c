"""Ids already seen: a set with event time that forgets at whole minutes, so that the law holds.

Used twice: per source partition in offset order, and per shard in total order (copies of one event in
different partitions). An id counts as seen while `now <= its event_at + window`; that test is exact at
every look-up, so when memory is really given back changes nothing. When more than `ids_max` are alive
at the turn of a minute, the oldest minutes are forgotten early and counted: a rule on records alone, which
is why a minute turns once, wherever batches end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

ENTRY: Final = np.dtype([("id", np.uint64), ("at", np.int64)])
MINUTE_MS: Final = 60_000
FLOOR, USED, EVICTED, TURNED = range(4)
"""Of `sizes`: ids of events before this time are forgotten; slots in use; ids forgotten before their time;
the last minute that has turned.
"""
LONG_AGO: Final = np.iinfo(np.int64).min // 2
NEW_MAX: Final = 1000
"""Pieces that are noted; more become one."""


@njit(cache=True, nogil=True)
def insert(entries, sizes, id_, at, now, window_ms):  # type: ignore[no-untyped-def]
    """True when `id_` is seen; else remembers it, if its time is still remembered. `entries` must have room
    (`Seen.reserve`).
    """
    mask = np.uint64(entries.shape[0] - 1)
    slot = np.int64(id_ & mask)
    while True:
        entry = entries[slot]
        if entry.id == 0:
            break
        if entry.id == id_:
            if entry.at >= sizes[FLOOR] and now <= entry.at + window_ms:
                return True
            break
        slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
    if entries[slot].id == 0:
        entries[slot].id = id_
        sizes[USED] += 1
    entries[slot].at = at
    if at < sizes[FLOOR] and now <= at + window_ms:
        sizes[EVICTED] += 1
    return False


@njit(cache=True, nogil=True)
def _rebuild(old, new, floor):  # type: ignore[no-untyped-def]
    mask = np.uint64(new.shape[0] - 1)
    used = 0
    for k in range(old.shape[0]):
        if old[k].id != 0 and old[k].at >= floor:
            slot = np.int64(old[k].id & mask)
            while new[slot].id != 0:
                slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
            new[slot] = old[k]
            used += 1
    return used


@njit(cache=True, nogil=True)
def _put(entries, ids):  # type: ignore[no-untyped-def]
    """Puts ids into a set that has room for them; of one and the same the last stays. How many are new."""
    mask = np.uint64(entries.shape[0] - 1)
    new = 0
    for k in range(ids.shape[0]):
        slot = np.int64(ids[k].id & mask)
        while entries[slot].id != 0 and entries[slot].id != ids[k].id:
            slot = np.int64((np.uint64(slot) + np.uint64(1)) & mask)
        new += entries[slot].id == 0
        entries[slot] = ids[k]
    return new


@dataclass
class Seen:
    """The set. `window_ms` is how long an id lives after its event; `ids_max` bounds memory."""

    window_ms: int
    ids_max: int
    entries: NDArray[np.void] = field(default_factory=lambda: np.zeros(1024, ENTRY))
    sizes: NDArray[np.int64] = field(default_factory=lambda: np.array([LONG_AGO, 0, 0, LONG_AGO], np.int64))

    _new: list[NDArray[np.void]] = field(default_factory=list)  # that were noted since `changes`

    moved: bool = False
    """Whether ids lie elsewhere than when `slice` was last asked for the first."""

    @property
    def evicted(self) -> int:
        """Ids forgotten before their time, because more than `ids_max` were alive."""
        return int(self.sizes[EVICTED])

    @property
    def alive(self) -> int:
        """At most so many ids can be alive: the dead ones are dropped only when room is needed."""
        return int(self.sizes[USED])

    def reserve(self, more: int) -> None:
        """Makes room for `more` ids: drops the dead ones, grows if that is not enough."""
        if self.sizes[USED] + more <= len(self.entries) // 2:
            return
        alive = int(np.count_nonzero((self.entries["id"] != 0) & (self.entries["at"] >= self.sizes[FLOOR])))
        size = 1024
        while size < 2 * (alive + more) + alive:
            size *= 2
        fresh = np.zeros(size, ENTRY)
        self.sizes[USED] = _rebuild(self.entries, fresh, self.sizes[FLOOR])
        self.entries = fresh
        self.moved = True

    def forget(self, now: int) -> None:
        """No look-up before `now` will follow. Changes no answer."""
        self.sizes[FLOOR] = max(self.sizes[FLOOR], now - self.window_ms)

    def turned(self, minute: int) -> None:
        """The minutes up to the one that begins at `minute` turned with room for all ids."""
        self.sizes[TURNED] = max(self.sizes[TURNED], minute)

    def turn(self, minute: int) -> None:
        """Time enters the minute that begins at `minute`: forgets what is past, then what is too much.

        Once: ids that were inserted within the minute wait for the next turn.
        """
        if minute <= self.sizes[TURNED]:
            return
        self.turned(minute)
        self.forget(minute)
        if self.sizes[USED] <= self.ids_max:
            return
        at = self.entries["at"][(self.entries["id"] != 0) & (self.entries["at"] >= self.sizes[FLOOR])]
        if len(at) <= self.ids_max:
            return
        minutes, counts = np.unique(at // MINUTE_MS, return_counts=True)
        kept = np.cumsum(counts[::-1])[::-1]
        drop = int(np.searchsorted(-kept, -self.ids_max))
        self.sizes[EVICTED] += counts[:drop].sum()
        self.sizes[FLOOR] = max(int(self.sizes[FLOOR]), int(minutes[drop - 1] + 1) * MINUTE_MS)

    def dump(self) -> dict[str, Any]:
        """State for a snapshot: the live ids alone."""
        return {"ids": self.slice(0, len(self.entries)), "sizes": self.sizes}

    def slice(self, first: int, stop: int) -> NDArray[np.void]:
        """The live ids in some places of the table. Those of all places, asked for one after the other while
        ids are added but none is `moved`, and those that were added meanwhile: that is the set.
        """
        if first == 0:
            self.moved = False
        entries = self.entries[first:stop]
        alive: NDArray[np.void] = entries[(entries["id"] != 0) & (entries["at"] >= self.sizes[FLOOR])]
        return alive

    def note(self, ids: NDArray[np.uint64], at: NDArray[np.int64]) -> None:
        """These are in the set now, and were not: `changes` will tell of them."""
        new = np.empty(len(ids), ENTRY)
        new["id"], new["at"] = ids, at
        self._new.append(new)
        if len(self._new) > NEW_MAX:
            self._new = [np.concatenate(self._new)]

    @property
    def dirty(self) -> int:
        """Ids that were noted since `changes` was asked for."""
        return sum(map(len, self._new))

    def changes(self, first: int, stop: int) -> NDArray[np.void]:
        """The ids that were noted since this was last asked for, and those of `slice`."""
        ids = self.slice(first, stop)
        if stop - first < len(self.entries):
            ids = np.concatenate([*self._new, ids])
        self._new = []
        return ids

    def add(self, ids: NDArray[np.void]) -> None:
        """Takes in ids that another set held."""
        self.reserve(len(ids))
        self.sizes[USED] += _put(self.entries, ids)

    @classmethod
    def loaded(
        cls, window_ms: int, ids_max: int, sizes: NDArray[np.int64], frames: Iterable[dict[str, Any]]
    ) -> Seen:
        """The set whose `ids` lie in several frames, of one and the same the last."""
        seen = cls.load(window_ms, ids_max, {"ids": np.zeros(0, ENTRY), "sizes": sizes})
        for frame in frames:
            seen.add(frame["ids"])
        return seen

    @classmethod
    def load(cls, window_ms: int, ids_max: int, state: dict[str, Any]) -> Seen:
        """The set that `dump` wrote."""
        seen = cls(window_ms, ids_max)
        seen.sizes = np.array(state["sizes"])
        seen.sizes[USED] = 0
        seen.add(state["ids"])
        return seen


class KeepsIds(ABC):
    """A state that is large by the ids that it has seen: what changes in it is what changes in these."""

    seen: Seen

    @abstractmethod
    def rest(self) -> dict[str, Any]:
        """All of the state but what `changes` tells of."""

    @property
    def bytes(self) -> int:
        """What the table of ids has in memory."""
        return self.seen.entries.nbytes

    @property
    def rows(self) -> int:
        """Places of that table: what a sweep has to pass."""
        return len(self.seen.entries)

    @property
    def dirty(self) -> int:
        """New ids since `changes` was asked for."""
        return self.seen.dirty

    @property
    def moved(self) -> bool:
        """Whether ids have other places than before."""
        return self.seen.moved

    def changes(self, first: int, stop: int) -> dict[str, Any]:
        """The ids that are new since this was last asked for, and those in the places from `first` to
        `stop`.
        """
        return {"ids": self.seen.changes(first, stop)}

    def dump(self) -> dict[str, Any]:
        """State for a snapshot."""
        return {"frames": [self.changes(0, self.rows)], "rest": self.rest()}
