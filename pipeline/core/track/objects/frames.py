"""Open objects as they are kept outside: a frame holds some of them with all that they refer to.

As with sessions (`track/frames.py`) a frame stands by itself: its own text, links and words. An object keeps
its place, so that frames which are taken in one after the other leave what was there when the last was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit
from numpy.typing import NDArray

from pipeline.core.raw import borrowed, copy_bytes
from pipeline.core.track.objects import kernel
from pipeline.core.track.objects.layout import (
    FORGOTTEN_COUNT,
    FREE,
    FREE_HEAD,
    HEAP_USED,
    LINK,
    LINKS_FREE,
    LINKS_HEAD,
    NEVER,
    Kept,
    lend_kept,
)
from pipeline.core.track.objects.places import file_all
from pipeline.core.words import Words, own_codes

COLUMNS = ("records", "carts", "products", "due")
CROWDED_BYTES = 64 << 20
"""So much more text than was alive: frames that are taken in may have many versions of one object."""


def frame_of(kept: Kept, words: Words, places: NDArray[np.int64]) -> dict[str, Any]:
    """The objects at `places`; of those that are free only that they are."""
    is_free = kept.records["key"][places] == 0
    places, freed = places[~is_free], places[is_free]
    # Not `[places]`: records are structured, and copied field by field there, 27 times slower.
    frame: dict[str, Any] = {name: np.take(getattr(kept, name), places, axis=0) for name in COLUMNS}
    records = frame["records"]
    text_bytes = sum(int(records[name].sum()) for name in ("visitor_n", "person_n", "cart_n", "products_n"))
    heap = np.empty(text_bytes, np.uint8)
    links = np.zeros(int(_links(kept, places)), LINK)
    _fill(kept, records, heap, links)
    codes, own_words = own_codes(np.take(kept.words, places, axis=0), words.known)
    return frame | {
        "places": places.astype(np.int32),
        "freed": freed.astype(np.int32),
        "heap": heap,
        "links": links,
        "words": codes,
        "known": own_words,
        "capacity": len(kept.records),
    }


@njit(cache=True, nogil=True)
def _links(kept, places):  # type: ignore[no-untyped-def]
    """Sessions that take part in the chains at `places`."""
    kept, places = lend_kept(kept), borrowed(places)
    n = int64(0)
    for k in range(places.shape[0]):
        link = kept.records[places[k]].links
        while link >= 0:
            n += 1
            link = kept.links[link].next
    return n


@njit(cache=True, nogil=True)
def _fill(kept, records, heap, links):  # type: ignore[no-untyped-def]
    """Makes copies of records refer to `heap` and `links`, and copies what they refer to into these."""
    kept, records, heap, links = lend_kept(kept), borrowed(records), borrowed(heap), borrowed(links)
    text, used = int64(0), int64(0)
    for k in range(records.shape[0]):
        record = records[k]
        n = int64(record.visitor_n) + record.person_n + record.cart_n + record.products_n
        copy_bytes(heap, text, kept.heap, record.text, n)
        record.text = text
        text += n
        link = record.links
        record.links = used if link >= 0 else -1
        while link >= 0:
            links[used] = kept.links[link]
            link = kept.links[link].next
            links[used].next = used + 1 if link >= 0 else -1
            used += 1


class Taken:
    """Objects that are being taken in, frame by frame, into `kept`, which has none."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._words = Words()
        self._heap: list[NDArray[np.uint8]] = []
        self._links: list[NDArray[np.void]] = []
        self._heap_bytes = self._alive_bytes = self._link_count = 0

    def add(self, frame: dict[str, Any]) -> None:
        """What `frame_of` gave."""
        self._grow(frame["capacity"])
        k, places = self._kept, np.asarray(frame["places"], np.int64)
        k.records["key"][frame["freed"]] = 0
        records = np.array(frame["records"])
        records["text"] += self._heap_bytes
        records["links"][records["links"] >= 0] += self._link_count
        links = np.array(frame["links"])
        links["next"][links["next"] >= 0] += self._link_count
        k.records[places] = records
        for name in ("carts", "products", "due"):
            getattr(k, name)[places] = frame[name]
        k.words[places] = self._words.codes(frame["known"])[frame["words"]]
        self._heap.append(np.asarray(frame["heap"]))
        self._links.append(links)
        self._heap_bytes += len(frame["heap"])
        self._link_count += len(links)
        if self._heap_bytes > 2 * self._alive_bytes + CROWDED_BYTES:
            self._drop_dead()

    def kept(self, words: Words, forgotten: int) -> Kept:
        """All of them, in a shard with these `words`."""
        self._drop_dead()
        k = self._kept
        free = np.flatnonzero(k.records["key"] == 0)
        k.records["prev"][free] = np.append(free[1:], -1)[: len(free)]
        k.due[free] = NEVER
        k.words[:] = words.codes(self._words.known)[k.words]
        k.sizes[:] = 0
        k.sizes[FREE], k.sizes[FREE_HEAD] = len(free), free[0] if len(free) else -1
        k.sizes[LINKS_FREE], k.sizes[LINKS_HEAD] = 0, -1
        k.sizes[HEAP_USED], k.sizes[FORGOTTEN_COUNT] = self._heap_bytes, forgotten
        index = np.zeros(max(2 * len(k.records), 8), np.int32)
        file_all(k.records, index)
        return k._replace(
            heap=np.concatenate([*self._heap, np.zeros(64, np.uint8)]),
            links=np.concatenate([np.zeros(0, LINK), *self._links]),
            key_index=index,
        )

    def _grow(self, capacity: int) -> None:
        k, more = self._kept, capacity - len(self._kept.records)
        if more > 0:
            wide = {name: getattr(k, name) for name in (*COLUMNS, "words")}
            self._kept = k._replace(
                **{
                    name: np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
                    for name, column in wide.items()
                },
                dirty=np.zeros(-(-capacity // 64), np.uint64),
            )

    def _drop_dead(self) -> None:
        """Text and links that nobody refers to any more."""
        records = self._kept.records
        heap = np.concatenate([np.zeros(0, np.uint8), *self._heap])
        fresh = np.empty(max(1, int(kernel.compact(heap, records, heap[:0]))), np.uint8)
        used = int(kernel.compact(heap, records, fresh))
        links = np.concatenate([np.zeros(0, LINK), *self._links])
        kept_links = np.zeros(len(links), LINK)
        count = int(_move_links(records, links, kept_links))
        self._heap, self._links = [fresh[:used]], [kept_links[:count]]
        self._heap_bytes = self._alive_bytes = used
        self._link_count = count


@njit(cache=True, nogil=True)
def _move_links(records, links, fresh):  # type: ignore[no-untyped-def]
    """Copies the links in use; returns how many they are."""
    records, links, fresh = borrowed(records), borrowed(links), borrowed(fresh)
    used = int64(0)
    for place in range(records.shape[0]):
        record = records[place]
        if record.key == 0 or record.links < 0:
            continue
        link = record.links
        record.links = used
        while link >= 0:
            fresh[used] = links[link]
            link = links[link].next
            fresh[used].next = used + 1 if link >= 0 else -1
            used += 1
    return used
