"""What is open has a cap: of too many, those are forgotten that have been quiet longest.

It is judged where a minute of event time turns, by all that came before: so it does not matter where batches
end. What is forgotten stays in the tables as its last row says, open: nobody will know what became of it, so
it counts neither as lost nor as won.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.core.events import Events
from pipeline.core.raw import borrowed
from pipeline.core.seen import LONG_AGO, MINUTE_MS
from pipeline.core.track.emit import emit
from pipeline.core.track.layout import Slots
from pipeline.core.track.lend import lend_out, lend_slots
from pipeline.core.track.slots import free_slot

SESSIONS_MAX: Final = 4_000_000
"""Open in a shard: about 1 GB with their texts (tests/benchmarks/MEMORY.md). Where visitors follow the time
of their partition, each partition has its part of it.
"""
OBJECTS_MAX: Final = 1_000_000
"""Open in a shard and journey: about 0.6 GB."""


class Caps(NamedTuple):
    """At most so many, per shard; of objects also per journey."""

    sessions: int = SESSIONS_MAX
    objects: int = OBJECTS_MAX


class Chunk(NamedTuple):
    """Rows to apply, the watermarks until which time passes after them, and whose minute turns then."""

    rows: NDArray[np.int64]
    until: NDArray[np.int64]
    turned_at: int
    turned: NDArray[np.int64]  # lanes


def at_once(order: NDArray[np.int64], watermarks: NDArray[np.int64]) -> Chunk:
    """All of them, where nothing may have to be forgotten."""
    return Chunk(order, watermarks, 0, np.empty(0, np.int64))


def by_minutes(
    batch: Events, order: NDArray[np.int64], before: NDArray[np.int64], watermarks: NDArray[np.int64]
) -> Iterator[Chunk]:
    """The rows of each minute, with its turn where time has come so far. Minutes that had begun `before`
    turn too, with or without rows; in others without any nothing can have become too much.
    """
    minute = batch.at[order] // MINUTE_MS
    begun = before[before > LONG_AGO] // MINUTE_MS
    for m in np.unique(np.concatenate([minute, begun])).tolist():
        turn = (m + 1) * MINUTE_MS
        turned = np.flatnonzero((before < turn) & (watermarks >= turn))
        yield Chunk(order[minute == m], np.minimum(watermarks, turn), turn, turned)
    yield at_once(order[:0], watermarks)


def quietest(active_at: NDArray[np.int64], keep: int) -> NDArray[np.int64]:
    """Which must go so that at most `keep` stay: the longest quiet, whole milliseconds at a time."""
    excess = len(active_at) - keep
    if excess <= 0:
        return np.empty(0, np.int64)
    since = np.partition(active_at, excess - 1)[excess - 1]
    return np.flatnonzero(active_at <= since)


def quiet_sessions(slots: Slots, lane: int, keep: int) -> NDArray[np.int64]:
    """The slots of those open sessions of a lane that must go."""
    sessions = slots.sessions
    used = np.flatnonzero((sessions["key"] != 0) & (sessions["lane"] == lane))
    active_at = sessions["started_at"][used] + sessions["ended_ms"][used]
    return used[quietest(active_at, keep)]


@njit(cache=True, nogil=True)
def forget_sessions(slots, out, places):  # type: ignore[no-untyped-def]
    """Tells of these sessions as they stand, and forgets them. `out` must have room."""
    slots, out, places = lend_slots(slots), lend_out(out), borrowed(places)
    for k in range(places.shape[0]):
        emit(slots, out, places[k])
        free_slot(slots, places[k])
