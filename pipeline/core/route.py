"""Events to shards: by the visitor's key alone, so that a visitor's whole journey is in one place."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipeline.core.events import Events, Slice


def route(events: Events, shards: int) -> list[Slice]:
    """The part of `events` that belongs to each of `shards`, in order; parts may be empty."""
    starts, index = _split(events.key, shards)
    return [Slice(events, index[starts[shard] : starts[shard + 1]]) for shard in range(shards)]


@njit(cache=True, nogil=True)
def _split(key, shards):  # type: ignore[no-untyped-def]
    """A stable counting sort of row numbers by shard. The upper bits of the key decide: its lower bits
    place the session in the shard's own table.
    """
    n = key.shape[0]
    starts = np.zeros(shards + 1, np.int64)
    shard = np.empty(n, np.int32)
    for r in range(n):
        s = np.int32((key[r] >> np.uint64(32)) % np.uint64(shards))
        shard[r] = s
        starts[s + 1] += 1
    for s in range(shards):
        starts[s + 1] += starts[s]
    at = starts.copy()
    index = np.empty(n, np.int64)
    for r in range(n):
        index[at[shard[r]]] = r
        at[shard[r]] += 1
    return starts, index
