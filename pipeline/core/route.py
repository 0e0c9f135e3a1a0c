"""Events to shards: by the visitor's key alone, so that a visitor's whole journey is in one place.

The batch is reordered once, shard after shard, in one sequential pass over every column. If each shard
picked its own rows out of it, each would read every cache line of the batch again: three times slower.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

from pipeline.core.events import Events, Slice, room
from pipeline.core.gather import scatter_rows
from pipeline.core.raw import borrowed


def route(events: Events, shards: int) -> list[Slice]:
    """The part of `events` that belongs to each of `shards`, in order; parts may be empty."""
    n = len(events)
    index = np.arange(n)
    if shards == 1:
        return [Slice(events, index)]
    rows = events.rows()
    shard = np.empty(n, np.int32)
    starts = _split(rows.key, shard, np.zeros(shards + 1, np.int64))
    ordered = room(n, events.widths, [text.bytes for text in events.texts], events.known)
    scatter_rows(rows, shard, starts, ordered.rows())
    edges = starts.tolist()
    return [Slice(ordered, index[edges[s] : edges[s + 1]]) for s in range(shards)]


@njit(cache=True, nogil=True)
def _split(key, shard, starts):  # type: ignore[no-untyped-def]
    """Writes the shard of each row and where the rows of each shard begin. The upper bits of the key decide:
    its lower bits place the session in the shard's own table.
    """
    key, shard = borrowed(key), borrowed(shard)
    shards = uint64(starts.shape[0] - 1)
    for r in range(key.shape[0]):
        s = (key[r] >> uint64(32)) % shards
        shard[r] = s
        starts[s + uint64(1)] += 1
    for s in range(shards):
        starts[s + 1] += starts[s]
    return starts
