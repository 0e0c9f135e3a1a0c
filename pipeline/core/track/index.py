"""Packed records found by their key: open addressing, index[place of the key] = 1 + place of the record."""

from __future__ import annotations

from numba import int64, njit, uint64


@njit(nogil=True, forceinline=True)
def _home(index, key):  # type: ignore[no-untyped-def]
    """Where a key belongs: the lower half of its bits, scaled (the upper half chose the shard)."""
    return int64(((key & uint64(0xFFFFFFFF)) * uint64(index.shape[0])) >> uint64(32))


@njit(nogil=True, forceinline=True)
def look_up(index, records, key):  # type: ignore[no-untyped-def]
    """The place of the record with this key, or -1."""
    at = _home(index, key)
    while True:
        place = int64(index[at]) - 1
        if place < 0 or records[place].key == key:
            return place
        at += 1
        if at == index.shape[0]:
            at = 0


@njit(nogil=True, forceinline=True)
def file(index, records, place):  # type: ignore[no-untyped-def]
    """Puts a record into the index by its key, which is not there."""
    at = _home(index, records[place].key)
    while index[at] != 0:
        at += 1
        if at == index.shape[0]:
            at = 0
    index[at] = place + 1


@njit(nogil=True, forceinline=True)
def entry_of(index, records, place):  # type: ignore[no-untyped-def]
    """Where in the index a record is that is there."""
    at = _home(index, records[place].key)
    while index[at] != place + 1:
        at += 1
        if at == index.shape[0]:
            at = 0
    return at


@njit(nogil=True, forceinline=True)
def unfile(index, records, place):  # type: ignore[no-untyped-def]
    """Takes a record out of the index by backward shift: no tombstones are left."""
    size = index.shape[0]
    hole = entry_of(index, records, place)
    at = hole
    while True:
        at += 1
        if at == size:
            at = 0
        other = index[at]
        if other == 0:
            break
        home = _home(index, records[other - 1].key)
        # Its way from home leads over the hole: then the entry may move there.
        way = at - home if at >= home else at - home + size
        back = at - hole if at >= hole else at - hole + size
        if way >= back:
            index[hole] = other
            hole = at
    index[hole] = 0
