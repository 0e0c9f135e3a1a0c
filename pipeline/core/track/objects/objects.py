"""The open objects of one journey in one shard: `(state, intents, watermark) -> (state', what to tell)`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.events import Events
from pipeline.core.track.caps import quietest
from pipeline.core.track.layout import COUNT_OUT
from pipeline.core.track.objects import kernel
from pipeline.core.track.objects.frames import Taken, frame_of
from pipeline.core.track.objects.layout import (
    CARTS_MAX,
    FORGOTTEN_COUNT,
    FREE,
    FREE_HEAD,
    HEAP_NEED,
    HEAP_USED,
    LINK,
    LINK_OUT,
    LINKS_FREE,
    LINKS_HEAD,
    MERGES_MAX,
    MOVE,
    NEVER,
    OBJECT,
    PRODUCTS_MAX,
    SUPERSEDED,
    Claimed,
    Kept,
    Terms,
    Told,
)
from pipeline.core.track.objects.places import file_all
from pipeline.core.words import Words
from schemas.journeys import Journey
from schemas.objects import KINDS

TOLD_ROWS: Final = 8_192
"""Rows of one output: beyond that another one is begun."""
HEAP_SLACK_BYTES: Final = 1 << 16
GROWTH: Final = 32
"""Room grows by this part of it."""


@dataclass(frozen=True)
class Intents:
    """What a call of the sessions' kernel hands on: INTENT rows, and the orders among them."""

    rows: NDArray[np.void]
    order_of: NDArray[np.int32]  # of each intent, its order in `claimed`, or -1
    claimed: Claimed


@dataclass(frozen=True)
class Spoken:
    """What is to be told, still in the shard's codes: good until the next is asked for."""

    journey: int
    records: NDArray[np.void]
    words: NDArray[np.int32]
    carts: NDArray[np.uint64]
    products: NDArray[np.uint32]
    links: NDArray[np.void]
    counts: NDArray[np.void]
    moves: NDArray[np.void]  # MOVE
    heap: NDArray[np.uint8]
    events: Events | None  # that the rows of orders point into


class Objects:
    """All open objects of journey number `journey`; `column` is that of its intents."""

    def __init__(self, definition: Journey, journey: int, column: int) -> None:
        assert definition.objects is not None
        self.definition, self.journey, self.column = definition.objects, journey, column
        self._sites = ["", *self.definition.by_site]
        rank = np.zeros(len(KINDS) + 1, np.uint8)
        for one in self.definition.kinds:
            rank[one.kind] = one.rank
        self._terms = Terms(rank, *self._timings(), site_row=np.zeros(0, np.int16), journey=journey)
        self._known: list[str] = []
        self.kept = _empty()
        self._told = _told()
        self._taken: Taken | None = None
        self.told_to = 0  # the place with which `tell` goes on

    @property
    def open(self) -> int:
        """Objects in memory."""
        return len(self.kept.records) - int(self.kept.sizes[FREE])

    @property
    def forgotten(self) -> int:
        """Chains forgotten while they were open, because there were too many."""
        return int(self.kept.sizes[FORGOTTEN_COUNT])

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.kept)

    def apply(
        self, intents: Intents, events: Events, contexts: Any, heap: Any, words: Words, until: int
    ) -> Iterator[Spoken]:
        """Applies the intents of a call and lets time pass until `until`; `contexts` and `heap` are those
        of the shard's sessions. Each result must be used up before the next is asked for.
        """
        self._know(words)
        n, rows = len(intents.rows), events.rows()
        index, place, code = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
        count = kernel.turns(intents.rows, rows.fate, rows.intent, self.column, index, place, code)
        told, done = self._room(), 0
        while done < count:
            came = kernel.apply(
                self.kept, told, self._terms, intents.claimed, intents.rows, index, done, count,
                intents.order_of, rows, self.column, contexts, heap,
            )  # fmt: skip
            if came < count:
                yield self._spoken(told, events)  # before the texts that it refers to move
                self._make_room()
                told = self._room()
            done = came
        first = 0
        while first >= 0:
            first = kernel.pass_time(self.kept, told, self._terms, first, until)
            if first >= 0 or told.sizes.any():
                yield self._spoken(told, events)
                told = self._room()

    def forget_quietest(self, keep: int, at: int) -> Iterator[Spoken]:
        """Forgets at `at` those that have been quiet longest, so that at most `keep` are open."""
        if self.open <= keep:
            return
        records = self.kept.records
        open_ = np.flatnonzero((records["key"] != 0) & (records["state"] != SUPERSEDED))
        yield from self._forget(open_[quietest(records["active_at"][open_], keep)], at)

    def forget_browsing(self, keys: NDArray[np.uint64], at: int) -> Iterator[Spoken]:
        """Forgets the browsing of visitors whose sessions are forgotten: it would have ended with these."""
        if self.open:
            yield from self._forget(kernel.browsing(self.kept, keys), at)

    def _forget(self, places: NDArray[np.int64], at: int) -> Iterator[Spoken]:
        first = 0 if len(places) else -1
        while first >= 0:
            told = self._room()
            first = kernel.forget_all(self.kept, told, places, first, at)
            yield self._spoken(told, None)

    def tell(self, blocks_max: int | None = None) -> Iterator[Spoken]:
        """The open objects that have changed since a row told of them; of many only so many blocks, and with
        the next call those behind.
        """
        first, blocks = 0 if blocks_max is None else self.told_to, 0
        while first >= 0 and blocks != blocks_max:
            told = self._room()
            first, blocks = kernel.tell_open(self.kept, told, first), blocks + 1
            if told.sizes.any():
                yield self._spoken(told, None)
        self.told_to = max(first, 0)

    def _timings(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        abandon = np.zeros((len(self._sites), len(KINDS) + 1), np.int64)
        risk = np.zeros_like(abandon)
        for row, site in enumerate(self._sites):
            for one in self.definition.kinds:
                timing = self.definition.timing(one.kind, site)
                abandon[row, one.kind] = timing.abandon_after_ms or 0
                risk[row, one.kind] = timing.at_risk_after_ms or 0
        return abandon, risk

    def _know(self, words: Words) -> None:
        """Which deadlines the sites among the shard's words have."""
        if words.known is not self._known:
            self._known = words.known
            self._terms = self._terms._replace(site_row=np.zeros(0, np.int16))
        have = len(self._terms.site_row)
        if have < len(words.known):
            own = {site: row for row, site in enumerate(self._sites)}
            more = [own.get(word, 0) for word in words.known[have:]]
            self._terms = self._terms._replace(
                site_row=np.concatenate([self._terms.site_row, np.array(more, np.int16)])
            )

    @property
    def _longest(self) -> int:
        """Rows that the end of any chain can take."""
        return len(self.kept.links) - int(self.kept.sizes[LINKS_FREE]) + MERGES_MAX + 16

    def _room(self) -> Told:
        """Room for an output, the same as long as it suffices: what was told has been used up."""
        if len(self._told.links) < self._longest:
            self._told = _told(2 * self._longest)
        self._told.sizes[:] = 0
        return self._told

    def _make_room(self) -> None:
        """Grows whatever was short of room."""
        sizes = self.kept.sizes
        if sizes[FREE] < 2:
            self._grow_records()
        if sizes[LINKS_FREE] < 2:
            self._grow_links()
        if sizes[HEAP_USED] + sizes[HEAP_NEED] > len(self.kept.heap):
            self._grow_heap(int(sizes[HEAP_NEED]))

    def _grow_records(self) -> None:
        """Room for some more, a little at a time: the system moves no bytes when a large array grows at its
        end.
        """
        k = self.kept
        have = len(k.records)
        more = max(have // GROWTH, 1024)
        for array in (k.records, k.words, k.carts, k.products, k.due):
            array.resize((have + more, *array.shape[1:]), refcheck=False)
        k.dirty.resize(-(-(have + more) // 64), refcheck=False)
        k.due[have:] = NEVER
        k.records["prev"][have:] = np.arange(have + 1, have + more + 1)
        k.records["prev"][-1] = k.sizes[FREE_HEAD]
        k.sizes[FREE_HEAD] = have
        k.sizes[FREE] += more
        if 4 * len(k.records) > 3 * len(k.key_index):
            index = np.zeros(2 * len(k.records), np.int32)
            file_all(k.records, index)
            self.kept = k._replace(key_index=index)

    def _grow_links(self) -> None:
        k = self.kept
        have = len(k.links)
        more = max(have // 2, 256)
        links = np.concatenate([k.links, np.zeros(more, LINK)])
        links["next"][have:] = np.arange(have + 1, have + more + 1)
        links["next"][-1] = k.sizes[LINKS_HEAD]
        k.sizes[LINKS_HEAD] = have
        k.sizes[LINKS_FREE] += more
        self.kept = k._replace(links=links)

    def _grow_heap(self, more: int) -> None:
        """A heap with the texts of what is open, and as much again."""
        k = self.kept
        alive = int(kernel.compact(k.heap, k.records, np.empty(0, np.uint8)))
        fresh = np.empty(2 * alive + more + HEAP_SLACK_BYTES, np.uint8)
        k.sizes[HEAP_USED] = kernel.compact(k.heap, k.records, fresh)
        self.kept = k._replace(heap=fresh)

    def _spoken(self, told: Told, events: Events | None) -> Spoken:
        records, links, counts, moves = told.sizes.tolist()
        return Spoken(
            self.journey,
            told.records[:records],
            told.words[:records],
            told.carts[:records],
            told.products[:records],
            told.links[:links],
            told.counts[:counts],
            told.moves[:moves],
            self.kept.heap,
            events,
        )

    # --- words and snapshots ---

    def words_used(self) -> NDArray[np.int32]:
        """The words that open objects use."""
        return np.unique(self.kept.words[self.kept.records["key"] != 0])

    def recode(self, codes: NDArray[np.int32]) -> None:
        """The shard's words have new codes."""
        used = self.kept.records["key"] != 0
        self.kept.words[used] = codes[self.kept.words[used]]

    @property
    def dirty(self) -> int:
        """Places that have changed since `changes` was asked for."""
        return int(np.bitwise_count(self.kept.dirty).sum())

    def dump(self, words: Words) -> dict[str, Any]:
        """What is open, for a snapshot."""
        self.kept.dirty[:] = 0
        return frame_of(self.kept, words, np.flatnonzero(self.kept.records["key"]))

    def changes(self, words: Words, first: int, stop: int) -> dict[str, Any]:
        """What has changed since this was last asked for, and all in the places from `first` to `stop`."""
        k = self.kept
        told = np.unpackbits(k.dirty.view(np.uint8), bitorder="little", count=len(k.records)).view(np.bool_)
        told[first:stop] = True
        k.dirty[:] = 0
        return frame_of(k, words, np.flatnonzero(told))

    def take_in(self, frame: dict[str, Any]) -> None:
        """One of the frames that `dump` or `changes` gave, oldest first; `settle` must follow."""
        self._taken = self._taken or Taken(_empty())
        self._taken.add(frame)

    def settle(self, words: Words, forgotten: int) -> None:
        """All frames are in: goes on from them in a shard with these words."""
        self.kept = (self._taken or Taken(_empty())).kept(words, forgotten)
        self._taken = None
        self._known = []


def _empty() -> Kept:
    sizes = np.zeros(7, np.int64)
    sizes[FREE_HEAD] = sizes[LINKS_HEAD] = -1
    return Kept(
        records=np.zeros(0, OBJECT),
        words=np.zeros((0, 8), np.int32),
        carts=np.zeros((0, CARTS_MAX), np.uint64),
        products=np.zeros((0, PRODUCTS_MAX), np.uint32),
        due=np.zeros(0, np.int64),
        key_index=np.zeros(8, np.int32),
        heap=np.zeros(64, np.uint8),
        links=np.zeros(0, LINK),
        sizes=sizes,
        dirty=np.zeros(0, np.uint64),
    )


def _told(least: int = 0) -> Told:
    n = max(TOLD_ROWS, least)
    return Told(
        records=np.empty(n, OBJECT),
        words=np.empty((n, 8), np.int32),
        carts=np.empty((n, CARTS_MAX), np.uint64),
        products=np.empty((n, PRODUCTS_MAX), np.uint32),
        links=np.empty(n, LINK_OUT),
        counts=np.empty(n, COUNT_OUT),
        moves=np.zeros(2 * n, MOVE),
        sizes=np.zeros(4, np.int64),
    )
