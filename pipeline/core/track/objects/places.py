"""Where the open objects of a shard lie: found by the visitor's key, taken and given back."""

from __future__ import annotations

from numba import int64, njit, uint64

from pipeline.core.track.objects.layout import FREE, FREE_HEAD, LINKS_FREE, LINKS_HEAD, NEVER, SUPERSEDED


@njit(nogil=True, forceinline=True)
def _home(index, key):  # type: ignore[no-untyped-def]
    return int64(((key & uint64(0xFFFFFFFF)) * uint64(index.shape[0])) >> uint64(32))


@njit(nogil=True, forceinline=True)
def find(kept, key):  # type: ignore[no-untyped-def]
    """The place of the visitor's open object, or -1."""
    at = _home(kept.key_index, key)
    while True:
        place = int64(kept.key_index[at]) - 1
        if place < 0 or kept.records[place].key == key:
            return place
        at += 1
        if at == kept.key_index.shape[0]:
            at = 0


@njit(nogil=True, forceinline=True)
def file(records, index, place):  # type: ignore[no-untyped-def]
    """Puts an object into the index under its key, which is not there."""
    at = _home(index, records[place].key)
    while index[at] != 0:
        at += 1
        if at == index.shape[0]:
            at = 0
    index[at] = place + 1


@njit(cache=True, nogil=True)
def file_all(records, index):  # type: ignore[no-untyped-def]
    for place in range(records.shape[0]):
        if records[place].key != 0 and records[place].state != SUPERSEDED:
            file(records, index, place)


@njit(nogil=True, forceinline=True)
def refile(kept, place, other):  # type: ignore[no-untyped-def]
    """The entry of object `place` now leads to `other`, which has the same key."""
    at = _home(kept.key_index, kept.records[place].key)
    while kept.key_index[at] != place + 1:
        at += 1
        if at == kept.key_index.shape[0]:
            at = 0
    kept.key_index[at] = other + 1


@njit(nogil=True, forceinline=True)
def unfile(kept, place):  # type: ignore[no-untyped-def]
    """Takes an object out of the index by backward shift: no tombstones are left."""
    index = kept.key_index
    size = index.shape[0]
    hole = _home(index, kept.records[place].key)
    while index[hole] != place + 1:
        hole += 1
        if hole == size:
            hole = 0
    at = hole
    while True:
        at += 1
        if at == size:
            at = 0
        other = index[at]
        if other == 0:
            break
        home = _home(index, kept.records[other - 1].key)
        way = at - home if at >= home else at - home + size
        back = at - hole if at >= hole else at - hole + size
        if way >= back:
            index[hole] = other
            hole = at
    index[hole] = 0


@njit(nogil=True, forceinline=True)
def take(kept):  # type: ignore[no-untyped-def]
    place = kept.sizes[FREE_HEAD]
    kept.sizes[FREE_HEAD] = kept.records[place].prev
    kept.sizes[FREE] -= 1
    return place


@njit(nogil=True, forceinline=True)
def give_back(kept, place):  # type: ignore[no-untyped-def]
    kept.records[place].key = 0
    kept.records[place].prev = kept.sizes[FREE_HEAD]
    kept.due[place] = NEVER
    kept.sizes[FREE_HEAD] = place
    kept.sizes[FREE] += 1


@njit(nogil=True, forceinline=True)
def take_link(kept):  # type: ignore[no-untyped-def]
    link = kept.sizes[LINKS_HEAD]
    kept.sizes[LINKS_HEAD] = kept.links[link].next
    kept.sizes[LINKS_FREE] -= 1
    return link


@njit(nogil=True, forceinline=True)
def give_back_link(kept, link):  # type: ignore[no-untyped-def]
    kept.links[link].next = kept.sizes[LINKS_HEAD]
    kept.sizes[LINKS_HEAD] = link
    kept.sizes[LINKS_FREE] += 1
