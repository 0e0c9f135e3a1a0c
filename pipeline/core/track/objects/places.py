"""Where the open objects of a shard lie: found by the visitor's key, taken and given back."""

from __future__ import annotations

from numba import njit, uint64

from pipeline.core.track.index import entry_of, file, look_up
from pipeline.core.track.objects.layout import FREE, FREE_HEAD, LINKS_FREE, LINKS_HEAD, NEVER, SUPERSEDED


@njit(nogil=True, forceinline=True)
def find(kept, key):  # type: ignore[no-untyped-def]
    """The place of the visitor's open object, or -1."""
    return look_up(kept.key_index, kept.records, key)


@njit(cache=True, nogil=True)
def file_all(records, index):  # type: ignore[no-untyped-def]
    for place in range(records.shape[0]):
        if records[place].key != 0 and records[place].state != SUPERSEDED:
            file(index, records, place)


@njit(nogil=True, forceinline=True)
def refile(kept, place, other):  # type: ignore[no-untyped-def]
    """The entry of object `place` now leads to `other`, which has the same key."""
    kept.key_index[entry_of(kept.key_index, kept.records, place)] = other + 1


@njit(nogil=True, forceinline=True)
def mark(kept, place):  # type: ignore[no-untyped-def]
    """What lies there is another now: the next snapshot must have it."""
    kept.dirty[place >> 6] |= uint64(1) << uint64(place & 63)


@njit(nogil=True, forceinline=True)
def take(kept):  # type: ignore[no-untyped-def]
    place = kept.sizes[FREE_HEAD]
    kept.sizes[FREE_HEAD] = kept.records[place].prev
    kept.sizes[FREE] -= 1
    mark(kept, place)
    return place


@njit(nogil=True, forceinline=True)
def give_back(kept, place):  # type: ignore[no-untyped-def]
    mark(kept, place)
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
